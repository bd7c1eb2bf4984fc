// mdpipe topics: the four topics of a cluster.

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/journal/reader.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/config.hpp"
#include "mdpipe/kafka/producer.hpp"
#include "mdpipe/stage/publish.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::tools {
namespace {

constexpr kafka::Admin::Milliseconds kPatience{10'000};

Result<std::vector<kafka::TopicWanted>> wanted_topics(const TopicsOptions& options) {
  const auto retention = wiring::parse_keep("--retention", options.retention, {0, 0});
  if (!retention) {
    return tl::unexpected(retention.error());
  }
  if (retention->age_s <= 0 || retention->bytes != 0) {
    return fail(ErrorCode::usage, fmt::format("--retention {}: give an age, as 7d or 12h", options.retention));
  }
  const auto partitions = static_cast<std::int32_t>(options.partitions);
  const auto replication = static_cast<std::int32_t>(options.replication);
  const std::int64_t retention_ms = retention->age_s * 1000;
  return std::vector<kafka::TopicWanted>{{options.names.raw, partitions, replication, retention_ms},
                                         {options.names.metrics, partitions, replication, retention_ms},
                                         {options.names.alerts, 2, replication, retention_ms},
                                         {options.names.dead_letters, 1, replication, retention_ms}};
}

Result<void> create(kafka::Admin& admin, const std::vector<kafka::TopicWanted>& topics) {
  for (const kafka::TopicWanted& topic : topics) {
    const auto created = admin.create(topic, kPatience);
    if (!created) {
      return tl::unexpected(created.error());
    }
    fmt::print("{:<20} {}\n", topic.name,
               *created ? fmt::format("created, {} partitions", topic.partitions) : "is there");
  }
  return {};
}

Result<void> describe(kafka::Admin& admin, const std::vector<kafka::TopicWanted>& topics) {
  for (const kafka::TopicWanted& topic : topics) {
    const auto found = admin.describe(topic.name, kPatience);
    if (!found) {
      return tl::unexpected(found.error());
    }
    if (!found->exists) {
      fmt::print("{:<20} missing\n", topic.name);
      continue;
    }
    const auto settings = admin.settings(topic.name, kPatience);
    if (!settings) {
      return tl::unexpected(settings.error());
    }
    std::int64_t messages = 0;
    for (std::int32_t partition = 0; partition < found->partitions; ++partition) {
      const auto range = admin.offsets(topic.name, partition, kPatience);
      if (!range) {
        return tl::unexpected(range.error());
      }
      messages += range->end - range->begin;
    }
    fmt::print("{:<20} {} partitions, {} replicas, {}, retention {} s, messages up to {} bytes, {} offsets\n",
               topic.name, found->partitions, found->replication, settings->cleanup_policy,
               settings->retention_ms / 1000, settings->message_max_bytes, messages);
  }
  return {};
}

/// What is not as it was asked for.
Result<std::vector<std::string>> differences(kafka::Admin& admin, const kafka::TopicWanted& wanted) {
  const auto found = admin.describe(wanted.name, kPatience);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (!found->exists) {
    return std::vector<std::string>{"missing: mdpipe topics create"};
  }
  const auto settings = admin.settings(wanted.name, kPatience);
  if (!settings) {
    return tl::unexpected(settings.error());
  }
  std::vector<std::string> list;
  const auto compare = [&](const char* what, const auto& want, const auto& got) {
    if (want != got) {
      list.push_back(fmt::format("{}: wanted {}, found {}", what, want, got));
    }
  };
  compare("partitions", wanted.partitions, found->partitions);
  compare("replicas", wanted.replication, found->replication);
  compare("retention in ms", wanted.retention_ms, settings->retention_ms);
  compare("cleanup policy", std::string("delete"), settings->cleanup_policy);
  if (found->leaderless != 0) {
    list.push_back(fmt::format("{} partitions have no leader", found->leaderless));
  }
  return list;
}

Result<void> check(kafka::Admin& admin, const std::vector<kafka::TopicWanted>& topics) {
  bool all_well = true;
  for (const kafka::TopicWanted& topic : topics) {
    const auto list = differences(admin, topic);
    if (!list) {
      return tl::unexpected(list.error());
    }
    fmt::print("{:<20} {}\n", topic.name, list->empty() ? "ok" : fmt::format("{}", fmt::join(*list, "; ")));
    all_well = all_well && list->empty();
  }
  return all_well ? Result<void>{} : fail(ErrorCode::difference, "the topics are not as asked for");
}

Result<void> mend_settings(kafka::Admin& admin, const std::string& topic, std::size_t batch_max_bytes) {
  const auto settings = admin.settings(topic, kPatience);
  if (!settings) {
    return tl::unexpected(settings.error());
  }
  std::vector<std::pair<std::string, std::string>> changes;
  if (settings->cleanup_policy.find("compact") != std::string::npos) {
    changes.emplace_back("cleanup.policy", "delete");
  }
  if (settings->message_max_bytes < static_cast<std::int64_t>(batch_max_bytes)) {
    changes.emplace_back("max.message.bytes", std::to_string(batch_max_bytes));
  }
  for (const auto& [property, value] : changes) {
    if (auto done = admin.set(topic, property, value, kPatience); !done) {
      return done;
    }
    fmt::print("{:<20} {} is {} now\n", topic, property, value);
  }
  return {};
}

Result<void> mend_metrics(kafka::Admin& admin, const TopicsOptions& options, std::int32_t raw, std::int32_t metrics,
                          const kafka::TopicWanted& wanted) {
  if (metrics < raw) {
    if (auto added = admin.add_partitions(wanted.name, raw, kPatience); !added) {
      return added;
    }
    fmt::print("{:<20} has {} partitions now, and had {}\n", wanted.name, raw, metrics);
    return {};
  }
  if (!options.delete_metrics) {
    return fail(ErrorCode::difference,
                fmt::format("{} has {} partitions and {} has {}; Kafka takes none away: with --delete-metrics it is "
                            "deleted and made anew",
                            wanted.name, metrics, options.names.raw, raw));
  }
  if (auto removed = admin.remove(wanted.name, kPatience); !removed) {
    return removed;
  }
  kafka::TopicWanted anew = wanted;
  anew.partitions = raw;
  if (auto made = admin.create(anew, kPatience); !made) {
    return tl::unexpected(made.error());
  }
  fmt::print("{:<20} made anew, {} partitions\n", wanted.name, raw);
  return {};
}

Result<void> mend(kafka::Admin& admin, const TopicsOptions& options, const std::vector<kafka::TopicWanted>& topics) {
  std::int32_t raw = 0;
  for (const kafka::TopicWanted& topic : topics) {
    const auto found = admin.describe(topic.name, kPatience);
    if (!found) {
      return tl::unexpected(found.error());
    }
    if (!found->exists) {
      return fail(ErrorCode::environment, fmt::format("there is no topic {}: mdpipe topics create", topic.name));
    }
    if (auto mended = mend_settings(admin, topic.name, kafka::batch_max_bytes(options.frame_max_bytes)); !mended) {
      return mended;
    }
    raw = topic.name == options.names.raw ? found->partitions : raw;
    if (topic.name == options.names.metrics && found->partitions != raw) {
      if (auto mended = mend_metrics(admin, options, raw, found->partitions, topic); !mended) {
        return mended;
      }
    }
  }
  fmt::print("the topics are fit for a publisher\n");
  return {};
}

Result<void> adopt(const TopicsOptions& options, const kafka::Config& config) {
  const auto reader = journal::Reader::open(options.journal);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  // While a run publishes from this journal it would write the same state.
  const auto lock = LockFile::acquire(std::filesystem::path(options.journal) / "lock", "mdpipe topics adopt");
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  stage::PublishOptions publish;
  publish.kafka = config;
  publish.topics = {options.names.raw, options.names.metrics, options.names.alerts, options.names.dead_letters};
  publish.source = (*reader)->journal_id();
  publish.state_directory = std::filesystem::path(options.journal) / "state";
  const auto adopted = stage::adopt_topics(publish);
  if (!adopted) {
    return tl::unexpected(adopted.error());
  }
  std::fputs(adopted->c_str(), stdout);
  return {};
}

Result<void> act(TopicsAction action, const TopicsOptions& options) {
  const auto config = kafka::make_config(options.kafka.empty() ? "localhost:9092" : options.kafka,
                                         options.kafka_properties, options.kafka_config);
  if (!config) {
    return tl::unexpected(config.error());
  }
  if (action == TopicsAction::adopt) {
    return adopt(options, *config);
  }
  const auto topics = wanted_topics(options);
  if (!topics) {
    return tl::unexpected(topics.error());
  }
  const auto admin = kafka::Admin::connect(*config);
  if (!admin) {
    return tl::unexpected(admin.error());
  }
  switch (action) {
    case TopicsAction::create:
      return create(**admin, *topics);
    case TopicsAction::check:
      return check(**admin, *topics);
    case TopicsAction::mend:
      return mend(**admin, options, *topics);
    default:
      return describe(**admin, *topics);
  }
}

}  // namespace

int topics(TopicsAction action, const TopicsOptions& options) {
  const auto done = act(action, options);
  return done ? 0 : report(done.error());
}

}  // namespace mdpipe::tools
