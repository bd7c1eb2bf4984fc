// How a consumer begins: what the topic is like, what is on disk of each partition, and the producer behind its stages.

#include <chrono>

#include <fmt/format.h>

#include "consumer_partition.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/tail_scan.hpp"
#include "mdpipe/ops/log.hpp"

namespace mdpipe::wiring {
namespace {

using ops::log;
using ops::LogLevel;
using std::chrono::milliseconds;

constexpr milliseconds kAskTimeout{2000};
constexpr milliseconds kScanPatience{10'000};
constexpr std::size_t kMetricSlots = 1U << 11U;     // a partition's metrics that are not acknowledged yet
constexpr std::size_t kDeadLetterSlots = 1U << 6U;  // the same of what could not be used
constexpr auto kMetrics = static_cast<std::size_t>(stage::Destination::metrics);
constexpr auto kDeadLetters = static_cast<std::size_t>(stage::Destination::dead_letters);

tl::unexpected<SessionFailure> soon(Error error) {
  return tl::unexpected(SessionFailure{std::move(error), false});
}
tl::unexpected<SessionFailure> never(Error error) {
  return tl::unexpected(SessionFailure{std::move(error), true});
}

}  // namespace

tl::expected<TopicSight, SessionFailure> look_at_topic(const ConsumerPlan& plan, kafka::Admin& admin) {
  const auto cluster_id = admin.cluster_id(kAskTimeout);
  if (!cluster_id) {
    return soon(cluster_id.error());
  }
  TopicSight topic{*cluster_id, 0, {}};
  const bool aggregates = plan.role == ConsumerRole::aggregate;
  for (const std::string& name : {plan.topics.raw, aggregates ? plan.topics.metrics : plan.topics.raw}) {
    const auto described = admin.describe(name, kAskTimeout);
    if (!described) {
      return soon(described.error());
    }
    if (!described->exists) {
      return soon(Error{ErrorCode::environment, fmt::format("there is no topic {}: mdpipe topics create --kafka {}",
                                                            name, plan.kafka.bootstrap)});
    }
    if (topic.partitions != 0 && topic.partitions != described->partitions) {
      return never(Error{
          ErrorCode::environment,
          fmt::format("{} has {} partitions and {} has {}: they must be the same, or positions would not rise in each; "
                      "delete {} and run mdpipe topics create --kafka {} --partitions {}",
                      name, described->partitions, plan.topics.raw, topic.partitions, name, plan.kafka.bootstrap,
                      topic.partitions)});
    }
    topic.partitions = described->partitions;
  }
  for (const std::int32_t partition : plan.fixed_partitions) {
    if (partition >= topic.partitions) {
      return never(Error{ErrorCode::usage, fmt::format("--partitions {}: {} has {}, counted from 0", partition,
                                                       plan.topics.raw, topic.partitions)});
    }
  }
  for (std::int32_t partition = 0; plan.until_end && partition < topic.partitions; ++partition) {
    const auto range = admin.offsets(plan.topics.raw, partition, kAskTimeout);
    if (!range) {
      return soon(range.error());
    }
    topic.ends.push_back(range->end);
  }
  return topic;
}

tl::expected<void, SessionFailure> ConsumerSession::open_partition(LockedPartition locked) {
  const ConsumerPlan& plan = *world_.plan;
  auto owned = std::make_unique<Partition>();
  Partition& partition = *owned;
  partition.number = locked.partition;
  partition.lock.emplace(std::move(locked.lock));
  partition.name = fmt::format("{}[{}]", plan.topics.raw, partition.number);
  partition.identity = fmt::format("{}-{}-{}", world_.topic->cluster_id, plan.topics.raw, partition.number);
  partition.foreign_source = hash_of_words(fmt::format("{} {}", plan.topics.raw, partition.number));
  partition.dead_letter_source = hash_of_words(fmt::format("{} {} {}", plan.group, plan.topics.raw, partition.number));
  partition.dead_letters = outbox_->port(kDeadLetterSlots);
  const auto range = world_.consumer->offsets(partition.number, kAskTimeout);
  if (!range) {
    return soon(range.error());
  }
  if (auto begun = begin_anew(partition, *range); !begun) {
    return begun;
  }
  if (auto opened = open_stage(partition); !opened) {
    return opened;
  }
  if (partition.next_offset > range->end) {
    return never(Error{ErrorCode::data,
                       fmt::format("{} ends at {}, and we have had it up to {}: it was created anew, or has lost its "
                                   "end. To read it from its beginning, move the state away: {}",
                                   partition.name, range->end, partition.next_offset, plan.folder.string())});
  }
  if (partition.next_offset < range->begin) {
    world_.figures->gaps.add();
    log(LogLevel::error, plan.name(), "messages are gone",
        {{"partition", partition.name},
         {"from", std::to_string(partition.next_offset)},
         {"to", std::to_string(range->begin)},
         {"why", "the topic's retention took them before they were read"}});
    partition.next_offset = range->begin;
  }
  if (plan.until_end) {
    partition.until = world_.topic->ends[static_cast<std::size_t>(partition.number)];
  }
  PartitionFigures& figures = world_.partitions[partition.number];
  figures.next_offset.set(partition.next_offset);
  figures.settled.set(partition.next_offset);
  figures.end.set(range->end);
  figures.ours.set(true);
  log(LogLevel::info, plan.name(), "reading",
      {{"partition", partition.name},
       {"from", std::to_string(partition.next_offset)},
       {"end", std::to_string(range->end)}});
  partitions_.push_back(std::move(owned));
  return {};
}

/// Where the partition begins where there is no state of it: known before the stage asks, because that is what the
/// stage writes then.
tl::expected<void, SessionFailure> ConsumerSession::begin_anew(Partition& partition, const kafka::OffsetRange& range) {
  const ConsumerPlan& plan = *world_.plan;
  const auto state = plan.role == ConsumerRole::store
                         ? plan.folder / fmt::format("store.partition-{}.state", partition.number)
                         : plan.folder / fmt::format("aggregate-{}.state", partition.identity);
  std::error_code ignored;
  if (std::filesystem::exists(state, ignored)) {
    return {};
  }
  std::int64_t from = plan.from.kind == StartPoint::Kind::latest ? range.end : range.begin;
  if (plan.from.kind == StartPoint::Kind::time) {
    const auto at = world_.consumer->offset_at(partition.number, plan.from.time_ms, kAskTimeout);
    if (!at) {
      return soon(at.error());
    }
    from = *at;
  } else if (plan.from.kind == StartPoint::Kind::earliest && range.begin != 0) {
    log(LogLevel::warning, plan.name(), "the beginning is gone",
        {{"partition", partition.name},
         {"first", std::to_string(range.begin)},
         {"so", "counts start with what is left"}});
  }
  partition.begin_after = position_behind(from);
  partition.filter.from_beginning = from == 0;
  partition.filter.partitions = world_.topic->partitions;
  if (plan.role != ConsumerRole::aggregate) {
    return {};
  }
  auto scanner = kafka::TailScanner::connect(plan.kafka);
  if (!scanner) {
    return never(scanner.error());
  }
  auto& tails = partition.filter.tails.partitions[kMetrics];
  for (std::int32_t metrics = 0; metrics < world_.topic->partitions; ++metrics) {
    const auto tail = world_.admin->offsets(plan.topics.metrics, metrics, kAskTimeout);
    if (!tail) {
      return soon(tail.error());
    }
    tails.push_back({tail->end, 0, {}});
    if (metrics != partition.number) {
      continue;
    }
    const auto scanned =
        (*scanner)->scan(plan.topics.metrics, metrics, tail->begin, tail->end, partition.foreign_source, kScanPatience);
    if (!scanned) {
      return soon(scanned.error());
    }
    for (const auto& [source, position] : scanned->positions) {
      partition.filter.rivals.insert(source);
    }
  }
  return {};
}

tl::expected<void, SessionFailure> ConsumerSession::open_stage(Partition& partition) {
  const ConsumerPlan& plan = *world_.plan;
  stage::SourceState state;
  state.append = [this, &partition](std::string& out) {
    if (publisher_ != nullptr) {
      stage::PublishCursor now = publisher_->publish().cursor();
      if (!now.partitions[kDeadLetters].empty()) {
        partition.filter.tails = std::move(now);
      }
    }
    partition.filter.append(partition.dead_letter_source, out);
  };
  state.acknowledged = [&partition] { return partition.dead_letters->acknowledged_below(); };
  const std::optional<std::string>* kept = nullptr;
  if (plan.role == ConsumerRole::store) {
    stage::StoreOptions options = plan.store;
    options.source = hash_of_words(partition.identity);
    options.source_words =
        fmt::format("topic's partition than {} of cluster {}", partition.name, world_.topic->cluster_id);
    options.part = fmt::format("partition-{}", partition.number);
    options.start_after = partition.begin_after;
    options.source_state = std::move(state);
    auto store = stage::Store::open(std::move(options));
    if (!store) {
      return never(store.error());
    }
    partition.store = store->get();
    partition.stage = std::move(*store);
    kept = &partition.store->source_state();
  } else {
    stage::AggregateOptions options = plan.aggregate;
    options.cluster_id = [identity = partition.identity] { return identity; };
    options.begin_after = partition.begin_after;
    options.source_state = std::move(state);
    auto aggregate = stage::Aggregate::make(std::move(options), outbox_->port(kMetricSlots));
    partition.aggregate = aggregate.get();
    partition.stage = std::move(aggregate);
    kept = &partition.aggregate->source_state();
  }
  const std::optional<Position> after = partition.stage->resume_after();
  if (!after) {
    const auto failure = partition.stage->failure();
    return never(failure.value_or(Error{ErrorCode::data, partition.name + ": no state to go on from"}));
  }
  partition.next_offset = next_offset_behind(*after);
  if (!*kept) {
    return {};
  }
  auto filter = SourceFilter::parse(**kept, plan.folder.string());
  if (!filter) {
    return never(filter.error());
  }
  if (filter->partitions != world_.topic->partitions) {
    return never(
        Error{ErrorCode::environment,
              fmt::format("{} has {} partitions now and had {}: symbols have changed theirs. Let this group "
                          "begin anew in another folder than {}",
                          plan.topics.raw, world_.topic->partitions, filter->partitions, plan.folder.string())});
  }
  partition.filter = std::move(*filter);
  return {};
}

Result<void> ConsumerSession::start_publisher() {
  const ConsumerPlan& plan = *world_.plan;
  stage::PublishOptions options;
  options.kafka = plan.kafka;
  if (plan.role == ConsumerRole::aggregate) {
    options.topics[kMetrics] = plan.topics.metrics;
  }
  options.topics[kDeadLetters] = plan.topics.dead_letters;
  options.begin.emplace();
  for (const auto& partition : partitions_) {
    merge(partition->filter.tails, *options.begin);
  }
  options.save_interval_ns = kNanosecondsPerSecond / 4;
  publisher_ = std::make_unique<PublisherThread>(stage::Publish::make(std::move(options), outbox_.get()));
  return publisher_->start();
}

}  // namespace mdpipe::wiring
