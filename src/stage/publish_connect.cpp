#include "publish_connect.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "mdpipe/base/file.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/producer.hpp"
#include "mdpipe/kafka/tail_scan.hpp"

namespace mdpipe::stage {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kAskTimeout{1000};
constexpr milliseconds kScanPatience{5000};

constexpr auto kRaw = static_cast<std::size_t>(Destination::raw);
constexpr auto kAlerts = static_cast<std::size_t>(Destination::alerts);
constexpr auto kMetrics = static_cast<std::size_t>(Destination::metrics);

tl::unexpected<ConnectFailure> soon(Error error) {
  return tl::unexpected(ConnectFailure{std::move(error), false});
}
tl::unexpected<ConnectFailure> never(std::string message) {
  return tl::unexpected(ConnectFailure{Error{ErrorCode::environment, std::move(message)}, true});
}

/// A command that looks at the same cluster and topics as we do. Properties may be secret: they are not repeated.
std::string command(const PublishOptions& options, std::string_view verb) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, kDestinations> kNames = {
      {{"--raw-topic", "raw-market-data"},
       {"--metrics-topic", "aggregated-metrics"},
       {"--alerts-topic", "price-alerts"},
       {"--dead-letter-topic", "dead-letter-queue"}}};
  std::string words = fmt::format("mdpipe topics {} --kafka {}", verb, options.kafka.bootstrap);
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    if (!options.topics[topic].empty() && options.topics[topic] != kNames[topic].second) {
      words += fmt::format(" {} {}", kNames[topic].first, options.topics[topic]);
    }
  }
  if (!options.kafka.properties.empty()) {
    words += " with the same -X and --kafka-config";
  }
  return words;
}

std::string adopt_command(const PublishOptions& options) {
  return command(options, "adopt --journal " + options.state_directory.parent_path().string());
}

using Descriptions = std::array<kafka::TopicDescription, kDestinations>;

tl::expected<Descriptions, ConnectFailure> describe_topics(const PublishOptions& options, kafka::Admin& admin) {
  Descriptions found;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    if (options.topics[topic].empty()) {
      continue;
    }
    auto description = admin.describe(options.topics[topic], kAskTimeout);
    if (!description) {
      return soon(description.error());
    }
    if (!description->exists) {
      std::string words =
          fmt::format("there is no topic {}: run {}", options.topics[topic], command(options, "create"));
      return options.topics_must_exist ? never(std::move(words))
                                       : soon(Error{ErrorCode::environment, std::move(words)});
    }
    found[topic] = *description;
  }
  const bool both = !options.topics[kMetrics].empty() && !options.topics[kRaw].empty();
  if (both && found[kMetrics].partitions != found[kRaw].partitions) {
    const bool fewer = found[kMetrics].partitions < found[kRaw].partitions;
    return never(fmt::format(
        "{} has {} partitions and {} has {}: they must be the same, or positions would not rise in each; run {}{}",
        options.topics[kMetrics], found[kMetrics].partitions, options.topics[kRaw], found[kRaw].partitions,
        command(options, fewer ? "mend" : "mend --delete-metrics"),
        fewer ? "" : fmt::format(", which makes {} anew, without what is in it", options.topics[kMetrics])));
  }
  return found;
}

/// How large a batch the topics take, as far as we make them.
tl::expected<std::size_t, ConnectFailure> check_settings(const PublishOptions& options, kafka::Admin& admin) {
  constexpr std::size_t kBatchHeaderBytes = 1024;  // and more: what librdkafka does not count as the batch
  const std::size_t needed = kafka::batch_max_bytes(options.message_max_bytes);
  std::size_t batch_bytes = kafka::kUsualBatchBytes;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    if (options.topics[topic].empty()) {
      continue;
    }
    const auto settings = admin.settings(options.topics[topic], kAskTimeout);
    if (!settings) {
      return soon(settings.error());
    }
    if (settings->cleanup_policy.find("compact") != std::string::npos) {
      return never(
          fmt::format("topic {} is compacted: Kafka would delete trades of a symbol that newer ones follow; run {}",
                      options.topics[topic], command(options, "mend")));
    }
    if (settings->message_max_bytes < static_cast<std::int64_t>(needed)) {
      return never(fmt::format(
          "topic {} takes batches of at most {} bytes; --max-frame {} needs {}: make --max-frame smaller, or run {}",
          options.topics[topic], settings->message_max_bytes, options.message_max_bytes, needed,
          command(options, fmt::format("mend --max-frame {}", options.message_max_bytes))));
    }
    const auto taken = static_cast<std::size_t>(settings->message_max_bytes);
    batch_bytes = std::min(batch_bytes, std::max(needed, taken - std::min(taken, kBatchHeaderBytes)));
  }
  return batch_bytes;
}

/// A cursor for a cluster that this journal has no state of.
tl::expected<PublishCursor, ConnectFailure> first_cursor(const PublishOptions& options, const Descriptions& found,
                                                         kafka::Admin& admin) {
  // Of a new journal nothing can be there. Of an older one whose state is gone, anything: scan all there is.
  const bool nothing_yet = options.begin ? options.begin_at_ends : options.new_journal;
  PublishCursor cursor;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    if (found[topic].partitions == 0) {
      continue;
    }
    if (nothing_yet) {
      const auto ends = admin.ends(options.topics[topic], found[topic].partitions, kAskTimeout);
      if (!ends) {
        return soon(ends.error());
      }
      for (const std::int64_t end : *ends) {
        cursor.partitions[topic].push_back({end, 0, {}});
      }
      continue;
    }
    for (std::int32_t partition = 0; partition < found[topic].partitions; ++partition) {
      const auto range = admin.offsets(options.topics[topic], partition, kAskTimeout);
      if (!range) {
        return soon(range.error());
      }
      cursor.partitions[topic].push_back({range->begin, 0, {}});
    }
  }
  return cursor;
}

/// Looks at the tail of each partition, so that the cursor knows all that is in it of our source.
class CatchUp {
 public:
  /// `running`: what is acknowledged cannot be read from the journal again.
  CatchUp(const PublishOptions& options, bool running, kafka::Admin& admin)
      : options_(options), running_(running), admin_(admin) {}

  tl::expected<void, ConnectFailure> operator()(PublishCursor& cursor) {
    for (std::size_t topic = 0; topic < kDestinations; ++topic) {
      for (std::size_t i = 0; i < cursor.partitions[topic].size(); ++i) {
        if (auto done = partition(topic, static_cast<std::int32_t>(i), cursor.partitions[topic][i], cursor.settled);
            !done) {
          return done;
        }
      }
    }
    return {};
  }
  [[nodiscard]] const std::string& alarm() const noexcept { return alarm_; }

 private:
  tl::expected<void, ConnectFailure> partition(std::size_t topic, std::int32_t partition, PartitionCursor& cursor,
                                               Position& settled) {
    const std::string& name = options_.topics[topic];
    const auto range = admin_.offsets(name, partition, kAskTimeout);
    if (!range) {
      return soon(range.error());
    }
    const bool shorter = range->end < cursor.offset;
    const std::int64_t from = shorter ? range->begin : std::max(cursor.offset, range->begin);
    const auto scanned = scan(name, partition, from, range->end);
    if (!scanned) {
      return tl::unexpected(scanned.error());
    }
    if (shorter && !options_.begin && scanned->last_position == 0 && cursor.last != 0) {
      return never(
          fmt::format("{}[{}] ends at {} where we had written up to {}, and holds nothing of ours: the topic was "
                      "created anew. To go on behind what it had acknowledged: {}",
                      name, partition, range->end, cursor.offset, adopt_command(options_)));
    }
    if (shorter && (scanned->last_position < cursor.last || lost_of_others(cursor, *scanned))) {
      // An unclean leader election lost the rest: what is left of ours is the truth.
      const std::string words = fmt::format("{}[{}] has lost messages: it ends at {} where we had written up to {}",
                                            name, partition, range->end, cursor.offset);
      if (topic == kMetrics || topic == kAlerts || scanned->last_position >= cursor.last || options_.begin) {
        // Of metrics: what they were made of is behind the aggregate's snapshot. Of other sources: it is not ours to
        // give.
        alarm_ = words;
      } else if (running_) {
        return never(words + ". Start mdpipe run again: it publishes them again from the journal");
      } else {
        alarm_ = words + ": published again from the journal";
        settled = std::min(settled, scanned->last_position);
      }
      cursor.last = scanned->last_position;
      cursor.others.clear();
    }
    cursor.last = std::max(cursor.last, scanned->last_position);
    for (const auto& [source, position] : scanned->positions) {
      if (source != options_.source) {
        Position& last = cursor.others[source];
        last = std::max(last, position);
      }
    }
    cursor.offset = range->end;
    return {};
  }

  /// A client is made for the first that has something to scan: most starts have nothing.
  tl::expected<kafka::TailScan, ConnectFailure> scan(const std::string& topic, std::int32_t partition,
                                                     std::int64_t from, std::int64_t end) {
    if (from >= end) {
      return kafka::TailScan{};
    }
    if (scanner_ == nullptr) {
      auto scanner = kafka::TailScanner::connect(options_.kafka);
      if (!scanner) {
        return never(scanner.error().message);
      }
      scanner_ = std::move(*scanner);
    }
    auto scanned = scanner_->scan(topic, partition, from, end, options_.source, kScanPatience);
    return scanned ? tl::expected<kafka::TailScan, ConnectFailure>(std::move(*scanned)) : soon(scanned.error());
  }

  static bool lost_of_others(const PartitionCursor& cursor, const kafka::TailScan& scanned) {
    return std::any_of(cursor.others.begin(), cursor.others.end(), [&](const auto& other) {
      const auto found = scanned.positions.find(other.first);
      return found == scanned.positions.end() || found->second < other.second;
    });
  }

  const PublishOptions& options_;
  const bool running_;
  kafka::Admin& admin_;
  std::unique_ptr<kafka::TailScanner> scanner_;
  std::string alarm_;
};

/// The cursor that is stored, else a first one.
tl::expected<PublishCursor, ConnectFailure> begin_cursor(const PublishOptions& options, const std::string& cluster_id,
                                                         const Descriptions& found, kafka::Admin& admin) {
  if (options.begin) {
    return options.begin_at_ends ? first_cursor(options, found, admin) : *options.begin;
  }
  auto loaded = load_cursor(cursor_path(options.state_directory, cluster_id), options.topics);
  if (!loaded) {
    return tl::unexpected(ConnectFailure{loaded.error(), true});
  }
  return *loaded ? tl::expected<PublishCursor, ConnectFailure>(std::move(**loaded))
                 : first_cursor(options, found, admin);
}

tl::expected<void, ConnectFailure> check_partitions(const PublishOptions& options, bool running,
                                                    const Descriptions& found, PublishCursor& cursor,
                                                    std::string& alarm) {
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    auto& partitions = cursor.partitions[topic];
    const auto now = static_cast<std::size_t>(found[topic].partitions);
    if (partitions.empty() || (options.begin && !running)) {
      partitions.resize(now);  // a topic of another name than before, or partitions whose tail nobody has read
    }
    if (partitions.size() == now) {
      continue;
    }
    if (!running || now < partitions.size()) {
      return never(
          fmt::format("{} has {} partitions now and had {}: symbols would change their partition. To go on "
                      "so: {}",
                      options.topics[topic], now, partitions.size(), adopt_command(options)));
    }
    alarm = more_partitions(options.topics[topic], now, partitions.size());
  }
  return {};
}

/// A broker that forgets: no state, no checks that it cannot answer; before our first message nothing of ours is there.
PublishCursor embedded_cursor(const PublishOptions& options, const Descriptions& found) {
  PublishCursor cursor;
  cursor.settled = options.start_after;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    cursor.partitions[topic].resize(static_cast<std::size_t>(found[topic].partitions));
  }
  return cursor;
}

}  // namespace

std::string more_partitions(const std::string& topic, std::size_t now, std::size_t pinned) {
  return fmt::format("{} has {} partitions now and had {}: going on with the old number until the next start", topic,
                     now, pinned);
}

tl::expected<Connection, ConnectFailure> connect_cluster(const PublishOptions& options,
                                                         const std::optional<PublishCursor>& known,
                                                         kafka::Admin& admin) {
  Connection connection;
  auto cluster_id = admin.cluster_id(kAskTimeout);
  if (!cluster_id) {
    return soon(cluster_id.error());
  }
  connection.cluster_id = *cluster_id;
  auto found = describe_topics(options, admin);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (options.embedded && !known) {
    connection.cursor = embedded_cursor(options, *found);
    return connection;
  }
  if (!options.embedded) {
    const auto batch_bytes = check_settings(options, admin);
    if (!batch_bytes) {
      return tl::unexpected(batch_bytes.error());
    }
    connection.batch_bytes = *batch_bytes;
  }
  auto cursor = known ? tl::expected<PublishCursor, ConnectFailure>(*known)
                      : begin_cursor(options, connection.cluster_id, *found, admin);
  if (!cursor) {
    return tl::unexpected(cursor.error());
  }
  if (auto same = check_partitions(options, known.has_value(), *found, *cursor, connection.alarm); !same) {
    return tl::unexpected(same.error());
  }
  if (known || !options.begin_at_ends) {
    CatchUp catch_up(options, known.has_value(), admin);
    if (auto caught_up = catch_up(*cursor); !caught_up) {
      return tl::unexpected(caught_up.error());
    }
    if (!catch_up.alarm().empty()) {
      connection.alarm = catch_up.alarm();
    }
  }
  if (!options.embedded && !options.begin) {
    // Before anything is sent: a restart must know where to begin to look, and what was lost.
    if (auto saved = save_cursor(cursor_path(options.state_directory, connection.cluster_id), *cursor, options.topics);
        !saved) {
      return soon(saved.error());
    }
  }
  connection.cursor = std::move(*cursor);
  return connection;
}

Result<std::string> adopt_topics(const PublishOptions& options) {
  auto admin = kafka::Admin::connect(options.kafka);
  if (!admin) {
    return tl::unexpected(admin.error());
  }
  auto cluster_id = (*admin)->cluster_id(kScanPatience);
  if (!cluster_id) {
    return tl::unexpected(cluster_id.error());
  }
  auto found = describe_topics(options, **admin);
  if (!found) {
    return tl::unexpected(found.error().error);
  }
  const auto path = cursor_path(options.state_directory, *cluster_id);
  auto before = load_cursor(path, options.topics);
  if (!before) {
    return tl::unexpected(before.error());
  }
  if (!*before) {
    return fail(ErrorCode::environment,
                fmt::format("this journal has never published to cluster {}: there is nothing to adopt, "
                            "mdpipe run begins by itself",
                            *cluster_id));
  }
  PublishOptions at_the_end = options;
  at_the_end.new_journal = true;  // the ends of what is there now
  auto now = first_cursor(at_the_end, *found, **admin);
  if (!now) {
    return tl::unexpected(now.error().error);
  }
  now->settled = (*before)->settled;
  std::string words = fmt::format("cluster {}, behind position {}:\n", *cluster_id, now->settled);
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    for (std::size_t i = 0; i < now->partitions[topic].size(); ++i) {
      PartitionCursor& one = now->partitions[topic][i];
      const auto& had = (*before)->partitions[topic];
      const bool same = i < had.size() && had[i].offset <= one.offset;
      one = same ? had[i] : one;
      words += fmt::format("  {}[{}] from offset {}{}\n", options.topics[topic], i, one.offset, same ? "" : " (new)");
    }
  }
  if (auto saved = save_cursor(path, *now, options.topics); !saved) {
    return tl::unexpected(saved.error());
  }
  return words;
}

}  // namespace mdpipe::stage
