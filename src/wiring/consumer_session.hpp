#pragma once
// One assignment: the partitions that are ours now, each with its own stage, and the one producer of what they cause.
// It begins with what is on disk and ends with what it has put there; nothing else passes from one to the next.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "consumer_folder.hpp"
#include "consumer_plan.hpp"
#include "mdpipe/event/stage.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/consumer.hpp"
#include "mdpipe/stage/outbox.hpp"
#include "message_record.hpp"
#include "publisher_thread.hpp"
#include "source_filter.hpp"

namespace mdpipe::wiring {

/// The topic, as it was when the process found it.
struct TopicSight {
  std::string cluster_id;
  std::int32_t partitions = 0;
  std::vector<std::int64_t> ends;  ///< of each partition, with until_end
};

/// A partition that is ours, its lock taken.
struct LockedPartition {
  std::int32_t partition;
  LockFile lock;
};

/// What outlives sessions.
struct ConsumerWorld {
  const ConsumerPlan* plan = nullptr;
  const TopicSight* topic = nullptr;
  kafka::Admin* admin = nullptr;
  kafka::Consumer* consumer = nullptr;
  ConsumerFigures* figures = nullptr;
  PartitionFigures* partitions = nullptr;  ///< by partition
};

/// `for_good`: trying again will not help.
struct SessionFailure {
  Error error;
  bool for_good = false;
};

/// Not for good while no broker answers or a topic is not there yet.
[[nodiscard]] tl::expected<TopicSight, SessionFailure> look_at_topic(const ConsumerPlan& plan, kafka::Admin& admin);

/// Thread safety: one thread.
class ConsumerSession {
 public:
  [[nodiscard]] static tl::expected<std::unique_ptr<ConsumerSession>, SessionFailure> open(
      const ConsumerWorld& world, std::vector<LockedPartition> locks);
  ~ConsumerSession();  ///< writes nothing
  ConsumerSession(const ConsumerSession&) = delete;
  ConsumerSession& operator=(const ConsumerSession&) = delete;

  /// From where each partition is to be read.
  [[nodiscard]] std::vector<kafka::PartitionOffset> positions() const;

  /// A message that is not ours, or that we have had, is taken and nothing else. Busy: give it again after poll().
  [[nodiscard]] Uptake take(const kafka::IncomingMessage& message);
  /// The log ends here for now.
  void on_end(std::int32_t partition, std::int64_t offset);
  bool poll();

  /// Everything up to where each partition was to end has been taken.
  [[nodiscard]] bool at_end() const;
  /// ... and by the others of the group where they were to end: a member that has ended keeps its place for a session's
  /// time-out, and its partitions come to us only then.
  [[nodiscard]] bool group_at_end();

  void begin_drain();
  [[nodiscard]] bool drained();
  /// Saves what may be saved. After it, settled() has its last word.
  void close();

  /// Offsets that have risen since the last call; all that are known with `all`.
  [[nodiscard]] std::vector<kafka::PartitionOffset> settled(bool all);

  [[nodiscard]] std::string waiting_for() const;
  [[nodiscard]] std::optional<Error> failure() const;
  [[nodiscard]] std::int64_t publisher_alive_ns() const noexcept { return publisher_->alive_ns(); }

 private:
  struct Partition;

  explicit ConsumerSession(const ConsumerWorld& world);
  tl::expected<void, SessionFailure> open_partition(LockedPartition locked);
  tl::expected<void, SessionFailure> begin_anew(Partition& partition, const kafka::OffsetRange& range);
  tl::expected<void, SessionFailure> open_stage(Partition& partition);
  [[nodiscard]] Result<void> start_publisher();
  [[nodiscard]] Partition* find(std::int32_t partition) const noexcept;
  [[nodiscard]] bool dead_letter(Partition& partition, const kafka::IncomingMessage& message, std::string_view why);
  void advance(Partition& partition, std::int64_t next_offset, bool told_stage);
  void count();

  const ConsumerWorld world_;
  std::unique_ptr<stage::Outbox> outbox_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::unique_ptr<PublisherThread> publisher_;  // goes first: it reads what the ports of the others hold
  MessageRecord record_;
  std::optional<Error> failure_;
  std::int64_t group_asked_ns_ = 0;

  // Figures when this session began: those of its stages come on top.
  std::uint64_t taken_before_;
  std::uint64_t metrics_before_;
  std::uint64_t acknowledged_before_;
  std::uint64_t found_before_;
  std::uint64_t dead_before_;
};

}  // namespace mdpipe::wiring
