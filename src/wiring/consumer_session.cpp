#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "consumer_partition.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/ops/log.hpp"

namespace mdpipe::wiring {
namespace {

using ops::log;
using ops::LogLevel;

constexpr std::size_t kSymbolsMax = 100'000;
constexpr std::int64_t kAskGroupIntervalNs = kNanosecondsPerSecond / 4;
constexpr std::chrono::milliseconds kAskGroupTimeout{1000};

/// Milliseconds of a message as nanoseconds; now where it has none that can be.
std::int64_t time_of(const kafka::IncomingMessage& message) {
  constexpr std::int64_t kMillisecondsMax = std::numeric_limits<std::int64_t>::max() / kNanosecondsPerMillisecond;
  return message.timestamp_ms < 0 || message.timestamp_ms > kMillisecondsMax
             ? wall_clock_ns()
             : message.timestamp_ms * kNanosecondsPerMillisecond;
}

}  // namespace

ConsumerSession::ConsumerSession(const ConsumerWorld& world)
    : world_(world),
      outbox_(stage::Outbox::make()),
      record_(kSymbolsMax),
      taken_before_(world.figures->taken.get()),
      metrics_before_(world.figures->metrics.get()),
      acknowledged_before_(world.figures->metrics_acknowledged.get()),
      found_before_(world.figures->metrics_found.get()),
      dead_before_(world.figures->dead_letters_acknowledged.get()) {}

ConsumerSession::~ConsumerSession() {
  for (const auto& partition : partitions_) {
    world_.partitions[partition->number].ours.set(false);
  }
}

tl::expected<std::unique_ptr<ConsumerSession>, SessionFailure> ConsumerSession::open(
    const ConsumerWorld& world, std::vector<LockedPartition> locks) {
  std::unique_ptr<ConsumerSession> session(new ConsumerSession(world));
  for (LockedPartition& locked : locks) {
    if (auto opened = session->open_partition(std::move(locked)); !opened) {
      return tl::unexpected(opened.error());
    }
  }
  if (auto started = session->start_publisher(); !started) {
    return tl::unexpected(SessionFailure{started.error(), true});
  }
  return session;
}

std::vector<kafka::PartitionOffset> ConsumerSession::positions() const {
  std::vector<kafka::PartitionOffset> positions;
  positions.reserve(partitions_.size());
  for (const auto& partition : partitions_) {
    positions.push_back({partition->number, partition->next_offset, {}});
  }
  return positions;
}

ConsumerSession::Partition* ConsumerSession::find(std::int32_t partition) const noexcept {
  for (const auto& one : partitions_) {
    if (one->number == partition) {
      return one.get();
    }
  }
  return nullptr;
}

void ConsumerSession::advance(Partition& partition, std::int64_t next_offset, bool told_stage) {
  partition.next_offset = next_offset;
  partition.untold = told_stage ? -1 : next_offset;
  world_.partitions[partition.number].next_offset.set(next_offset);
}

Uptake ConsumerSession::take(const kafka::IncomingMessage& message) {
  Partition* const partition = find(message.partition);
  if (partition == nullptr || message.offset < partition->next_offset || message.offset >= partition->until) {
    return Uptake::taken;
  }
  ConsumerFigures& figures = *world_.figures;
  const bool foreign = !message.header;
  kafka::MessageHeader header{0, partition->foreign_source, static_cast<Position>(message.offset) + 1, 0};
  std::string_view why = foreign && world_.plan->require_header ? "no mdp header" : std::string_view();
  if (message.header) {
    if (const auto decoded = kafka::decode(*message.header)) {
      header = *decoded;
    } else {
      why = "mdp header of another version or length";
    }
  }
  bool gap = false;
  if (why.empty()) {
    const auto verdict = partition->filter.judge(header.source, header.position, header.previous);
    if (verdict == SourceFilter::Verdict::duplicate) {
      figures.messages.add();
      figures.bytes.add(message.value.size());
      figures.duplicates.add();
      advance(*partition, message.offset + 1, false);
      return Uptake::taken;
    }
    gap = verdict == SourceFilter::Verdict::after_gap && !foreign;
    if (partition->filter.rivals.count(header.source) != 0 && !partition->filter.knows(header.source)) {
      failure_ =
          Error{ErrorCode::environment,
                fmt::format("{} holds metrics of source {:016x} already, and {} has no state of them: another "
                            "aggregator's (a mdpipe run with all stages?), or that state was lost. Stop that one "
                            "(mdpipe run --stages publish), delete the topic, create it (mdpipe topics create)",
                            world_.plan->topics.metrics, header.source, world_.plan->folder.string())};
      return Uptake::busy;
    }
  }
  const std::int64_t time_ns = time_of(message);
  MessageRecord::Outcome outcome;
  if (why.empty()) {
    outcome = record_.trade(message.value, message.offset, time_ns, header, partition->symbols);
    why = outcome.why;
  }
  if (!outcome.record) {
    if (!dead_letter(*partition, message, why)) {
      return Uptake::busy;
    }
    figures.dead_letters.add();
  } else {
    if (partition->aggregate != nullptr) {
      partition->aggregate->set_source(header.source);
    }
    if (partition->stage->on_record(*outcome.record, partition->symbols) == Uptake::busy) {
      return Uptake::busy;
    }
    figures.trades.add();
    figures.foreign.add(foreign ? 1 : 0);
  }
  figures.messages.add();
  figures.bytes.add(message.value.size());
  if (gap) {
    figures.gaps.add();
    log(LogLevel::error, world_.plan->name(), "gap",
        {{"partition", partition->name},
         {"offset", std::to_string(message.offset)},
         {"source", fmt::format("{:016x}", header.source)},
         {"previous", std::to_string(header.previous)}});
  }
  partition->filter.take(header.source, header.position);
  advance(*partition, message.offset + 1, outcome.record.has_value());
  return Uptake::taken;
}

/// False where there is no room now. It is acknowledged before any state behind it is saved.
bool ConsumerSession::dead_letter(Partition& partition, const kafka::IncomingMessage& message, std::string_view why) {
  if (partition.dead_letters_full && partition.dead_letters->outstanding() != 0) {
    return false;
  }
  stage::OutboxMessage* const letter = partition.dead_letters->prepare();
  partition.dead_letters_full = letter == nullptr;
  if (letter == nullptr) {
    return false;
  }
  letter->destination = stage::Destination::dead_letters;
  letter->header_flags = 0;
  letter->source = partition.dead_letter_source;
  letter->position = static_cast<Position>(message.offset) + 1;
  letter->cause = position_behind(message.offset + 1);
  letter->receive_time_ns = time_of(message);
  letter->key.assign(message.key);
  letter->value.assign(message.value);
  letter->origin = {std::string(why), world_.plan->name(), world_.plan->topics.raw, std::to_string(partition.number),
                    std::to_string(message.offset)};
  partition.dead_letters->submit();
  return true;
}

void ConsumerSession::on_end(std::int32_t number, std::int64_t offset) {
  Partition* const partition = find(number);
  // What lies between may be a transaction's marks: no messages.
  if (partition != nullptr && offset > partition->next_offset) {
    advance(*partition, offset, false);
  }
}

bool ConsumerSession::poll() {
  bool moved = false;
  for (const auto& partition : partitions_) {
    if (partition->untold >= 0 &&
        partition->stage->on_record(record_.nothing(partition->untold), partition->symbols) == Uptake::taken) {
      partition->untold = -1;
    }
    moved = partition->stage->poll() || moved;
    PartitionFigures& figures = world_.partitions[partition->number];
    figures.settled.set(next_offset_behind(partition->stage->settled()));
    if (const std::int64_t end = world_.consumer->known_end(partition->number); end >= 0) {
      figures.end.set(std::max(end, partition->next_offset));
    }
  }
  count();
  return moved;
}

void ConsumerSession::count() {
  std::uint64_t taken = 0;
  std::uint64_t metrics = 0;
  for (const auto& partition : partitions_) {
    if (partition->store != nullptr) {
      taken += partition->store->figures().trades.get();
    } else {
      taken += partition->aggregate->figures().trades.get();
      metrics += partition->aggregate->figures().metrics.get();
    }
  }
  ConsumerFigures& figures = *world_.figures;
  const stage::PublishFigures& published = publisher_->publish().figures();
  figures.taken.set(taken_before_ + taken);
  figures.metrics.set(metrics_before_ + metrics);
  figures.metrics_acknowledged.set(acknowledged_before_ + published.metrics_acknowledged.get());
  figures.metrics_found.set(found_before_ + published.metrics_found.get());
  figures.dead_letters_acknowledged.set(dead_before_ + published.dead_letters_acknowledged.get());
}

bool ConsumerSession::at_end() const {
  return std::all_of(partitions_.begin(), partitions_.end(),
                     [](const auto& partition) { return partition->next_offset >= partition->until; });
}

bool ConsumerSession::group_at_end() {
  if (!at_end()) {
    return false;
  }
  std::vector<std::int32_t> others;
  for (std::int32_t partition = 0; world_.plan->fixed_partitions.empty() && partition < world_.topic->partitions;
       ++partition) {
    if (find(partition) == nullptr && world_.topic->ends[static_cast<std::size_t>(partition)] != 0) {
      others.push_back(partition);
    }
  }
  const std::int64_t now_ns = monotonic_clock_ns();
  if (others.empty() || now_ns - group_asked_ns_ < kAskGroupIntervalNs) {
    return others.empty();
  }
  if (group_asked_ns_ == 0) {
    log(LogLevel::info, world_.plan->name(), "at the end of our partitions",
        {{"and", "waits for the group to be at that of the others"}});
  }
  const auto committed = world_.consumer->committed(others, kAskGroupTimeout);
  group_asked_ns_ = monotonic_clock_ns();
  return committed && std::all_of(committed->begin(), committed->end(), [this](const kafka::PartitionOffset& one) {
           return one.offset >= world_.topic->ends[static_cast<std::size_t>(one.partition)];
         });
}

void ConsumerSession::begin_drain() {
  for (const auto& partition : partitions_) {
    partition->stage->begin_drain();
  }
}

bool ConsumerSession::drained() {
  return std::all_of(partitions_.begin(), partitions_.end(),
                     [](const auto& partition) { return partition->untold < 0 && partition->stage->drained(); });
}

void ConsumerSession::close() {
  for (const auto& partition : partitions_) {
    partition->stage->close();
  }
  count();
}

std::vector<kafka::PartitionOffset> ConsumerSession::settled(bool all) {
  std::vector<kafka::PartitionOffset> offsets;
  for (const auto& partition : partitions_) {
    const std::int64_t settled = next_offset_behind(partition->stage->settled());
    world_.partitions[partition->number].settled.set(settled);
    if (all || settled != partition->committed) {
      partition->committed = settled;
      offsets.push_back({partition->number, settled, {}});
    }
  }
  return offsets;
}

std::string ConsumerSession::waiting_for() const {
  for (const auto& partition : partitions_) {
    if (std::string waiting = partition->stage->waiting_for(); !waiting.empty()) {
      return partition->name + ": " + waiting;
    }
  }
  return publisher_->waiting_for();
}

std::optional<Error> ConsumerSession::failure() const {
  if (failure_) {
    return failure_;
  }
  for (const auto& partition : partitions_) {
    if (auto failure = partition->stage->failure()) {
      return Error{failure->code, partition->name + ": " + failure->message};
    }
  }
  return publisher_->failure();
}

}  // namespace mdpipe::wiring
