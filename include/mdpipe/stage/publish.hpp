#pragma once
/// \file
/// Publishing to Kafka: every trade of the journal once, in order, exactly as the venue sent it; bad frames to the
/// dead-letter topic; and whatever other stages put into the outbox.
///
/// The promise: no trade that the journal holds is lost; a duplicate is possible in the raw log only after a publisher
/// was killed or rebuilt with requests in flight; exactly once for every reader that applies the filter (drop what has
/// a position that is not above the last one of its source in its partition).
///
/// How: an idempotent, gapless producer; a header on every message that says source and position; a scan of each
/// partition's tail at every start, so that what an earlier life had sent is not sent again; and nothing but one
/// message to a partition until its first is acknowledged (a broker accepts any first sequence of a producer that it
/// does not know, so a lost first message would be skipped in silence).

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/event/stage.hpp"
#include "mdpipe/kafka/config.hpp"
#include "mdpipe/stage/outbox.hpp"

namespace mdpipe::stage {

struct PartitionCursor {
  std::int64_t offset = 0;  ///< everything of our source before it is at or below `last`: a scan begins here
  Position last = 0;        ///< greatest position of our source that is in the partition, as far as we know
  std::map<std::uint64_t, Position> others;  ///< the same of other sources that we speak for; not in our own file
};

/// How far a publisher has got in each partition of one cluster.
struct PublishCursor {
  Position settled = 0;  ///< every message caused up to here is acknowledged
  std::array<std::vector<PartitionCursor>, kDestinations> partitions;
};

struct PublishOptions {
  kafka::Config kafka;
  std::array<std::string, kDestinations> topics;  ///< by Destination; an empty one is not used
  std::uint64_t source = 0;                       ///< the journal's id
  std::filesystem::path state_directory;          ///< one file a cluster: how far each partition has got
  bool new_journal = true;                        ///< nothing of it can be in any topic yet
  bool embedded = false;                          ///< a broker that forgets: no state, no checks, from start_after on
  Position start_after = kBeforeEverything;       ///< embedded only
  /// Of whoever publishes for stages that keep cursors themselves: where the scans begin. No file is read or written;
  /// of partitions that it does not name, everything is scanned.
  std::optional<PublishCursor> begin;
  bool begin_at_ends = false;      ///< with `begin`: nothing of the source can be there yet, and nothing is scanned
  bool topics_must_exist = false;  ///< one that is not there is a failure, nothing to wait for
  std::uint32_t message_max_bytes = 512U << 10U;  ///< the largest frame; the broker must take it
  std::uint32_t in_flight_max =
      1U << 16U;       ///< messages kept until acknowledged; more hold the stage back. A power of two
  bool hurry = false;  ///< what nothing will join does not wait for it, though poll() stands still for a millisecond
  std::int64_t save_interval_ns = 1'000'000'000;
  std::int64_t retry_max_ns = 5'000'000'000;    ///< between two attempts to connect
  std::int64_t quiet_ns = 5'000'000'000;        ///< a partition that acknowledges nothing for so long is an alarm
  std::int64_t silence_ns = 3'600'000'000'000;  ///< after it a partition's next message goes alone, as the first did
};

/// Readable from any thread.
struct PublishFigures {
  SingleWriterCounter trades_acknowledged;
  SingleWriterCounter trades_found;  ///< in the topic already when we (re)started: not sent again
  SingleWriterCounter metrics_acknowledged;
  SingleWriterCounter metrics_found;
  SingleWriterCounter dead_letters_acknowledged;
  SingleWriterCounter refused;         ///< messages that Kafka will never take: dead-lettered
  SingleWriterCounter trades_refused;  ///< trades among them
  SingleWriterCounter bytes_sent;      ///< values
  SingleWriterCounter rebuilds;        ///< producers given up after a failure
  SingleWriterCounter queue_full;
  SingleWriterGauge<std::uint64_t> in_flight;
  SingleWriterGauge<bool> online;
  SingleWriterGauge<Position> saved;         ///< what its state says is settled: where the next life begins
  LatencyHistogram receive_to_acknowledged;  ///< of trades
};

class Publish : public Stage {
 public:
  /// `outbox` may be null. Connects to nothing yet: poll() does, and goes on trying.
  [[nodiscard]] static std::unique_ptr<Publish> make(PublishOptions options, Outbox* outbox);

  /// poll(); where nothing moved, it waits for as long as this for an acknowledgement.
  virtual bool poll_for(int timeout_ms) = 0;

  [[nodiscard]] virtual const PublishFigures& figures() const noexcept = 0;
  /// Any thread. Empty until a broker has answered.
  [[nodiscard]] virtual std::string cluster_id() const = 0;
  /// Any thread. How far it had got at most a save interval ago; nothing of a topic that it has not connected to yet.
  [[nodiscard]] virtual PublishCursor cursor() const = 0;
};

/// What `mdpipe topics adopt` does: takes the topics as they are now for the publisher state of this cluster, so that a
/// publisher that was refused (a topic re-created, partitions added) goes on behind what it had acknowledged. Where
/// partitions were added, what was acknowledged out of order before that (a second's worth, after a kill) may be
/// published again, in its symbol's new partition. Returns what it did, in words.
[[nodiscard]] Result<std::string> adopt_topics(const PublishOptions& options);

}  // namespace mdpipe::stage
