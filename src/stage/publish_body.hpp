#pragma once
// The publisher itself: publish.cpp takes in, connects and keeps the state; publish_delivery.cpp sends and hears.

#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/kafka/producer.hpp"
#include "mdpipe/stage/publish.hpp"
#include "publish_connect.hpp"
#include "publish_cursor.hpp"
#include "publish_lane.hpp"

namespace mdpipe::stage {

class PublishBody final : public Publish {
 public:
  static constexpr std::size_t kOutboxInFlight = 1U << 14U;

  PublishBody(PublishOptions options, Outbox* outbox)
      : options_(std::move(options)),
        outbox_(outbox),
        lanes_{Lane(options_.in_flight_max), Lane(outbox_ == nullptr ? 1 : kOutboxInFlight)} {}

  std::string_view name() const noexcept override { return "publish"; }
  std::optional<Position> resume_after() override {
    return connected_once_ ? std::optional(cursor_.settled) : std::nullopt;
  }
  Uptake on_record(const RecordView& record, const SymbolTable& symbols) override;
  bool poll() override { return poll_for(0); }
  bool poll_for(int timeout_ms) override;
  Position settled() const noexcept override {
    const Lane& lane = lanes_[kJournalLane];
    return lane.empty() ? taken_ : const_cast<Lane&>(lane).at(lane.begin()).position - 1;
  }
  void begin_drain() noexcept override {
    draining_ = true;
    hurried_ns_ = 0;
  }
  bool drained() const noexcept override { return lanes_[0].empty() && lanes_[1].empty() && outbox_empty_; }
  void close() override;
  std::string waiting_for() const override { return waiting_for_; }
  std::optional<Error> failure() const override { return failure_; }
  const PublishFigures& figures() const noexcept override { return figures_; }
  std::string cluster_id() const override {
    const std::scoped_lock lock(shared_mutex_);
    return cluster_id_;
  }
  PublishCursor cursor() const override {
    const std::scoped_lock lock(shared_mutex_);
    return shared_cursor_;
  }

 private:
  static constexpr std::uint64_t kJournalLane = 0;
  static constexpr std::uint64_t kOutboxLane = 1;
  static constexpr std::uint64_t kCarefulInFlight = 64;
  static constexpr std::uint64_t kLookAhead = 4096;
  static constexpr std::size_t kLanes = 2;

  /// What of a partition is not in the cursor, because it is of this producer alone.
  struct Flight {
    Position previous = 0;                     // of the next message's header
    std::map<std::uint64_t, Position> others;  // the same, by source, where that is not ours
    std::uint64_t in_flight = 0;
    bool open = false;         // the first message of this producer is acknowledged
    bool alone = false;        // what is in flight is one message, and nothing joins it
    bool passed_over = false;  // one of its messages was looked at before its turn, and waits for it
    std::int64_t heard_ns = 0;
    std::int64_t waiting_ns = 0;  // since when: the last acknowledgement, or the first message in flight
  };

  // publish.cpp
  void connect(std::int64_t now_ns);
  void rebuild();
  void wait_before_retry();
  void give_up(std::string why);
  bool take_outbox();
  void save(std::int64_t now_ns);
  void count_partitions(std::int64_t now_ns);
  void say_waiting(std::int64_t now_ns);
  [[nodiscard]] std::string say_quiet(std::int64_t now_ns) const;
  [[nodiscard]] std::int32_t partition_of_symbol(SymbolId id, std::string_view symbol);

  // publish_delivery.cpp
  bool send(std::uint64_t lane_index, std::int64_t now_ns);
  bool send_firsts(std::uint64_t lane_index, std::int64_t now_ns, std::int64_t wall_ns);
  kafka::ProduceStatus hand_over(std::uint64_t index, std::uint64_t lane_index, std::int64_t now_ns,
                                 std::int64_t wall_ns);
  bool listen(std::int64_t now_ns, int timeout_ms);
  void hurry(std::int64_t now_ns);
  [[nodiscard]] bool may_go(const LaneEntry& entry, std::uint64_t lane_index, std::int64_t now_ns);
  kafka::ProduceStatus produce(const LaneEntry& entry, std::uint64_t tag, std::int64_t wall_ns);
  void on_report(const kafka::DeliveryReport& report);
  void acknowledged(LaneEntry& entry, std::int64_t heard_unix_ns);
  void found_already(LaneEntry& entry);
  void refused_for_good(LaneEntry& entry);

  [[nodiscard]] PartitionCursor& cursor_of(const LaneEntry& entry) noexcept {
    return cursor_.partitions[static_cast<std::size_t>(entry.destination)][static_cast<std::size_t>(entry.partition)];
  }
  [[nodiscard]] Flight& flight_of(const LaneEntry& entry) noexcept {
    return flights_[static_cast<std::size_t>(entry.destination)][static_cast<std::size_t>(entry.partition)];
  }
  [[nodiscard]] Position& previous_of(const LaneEntry& entry) noexcept {
    Flight& flight = flight_of(entry);
    return entry.source == options_.source ? flight.previous : flight.others[entry.source];
  }
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return in_flight_[kJournalLane] + in_flight_[kOutboxLane]; }
  [[nodiscard]] bool goes_carefully(std::uint64_t lane_index) const noexcept {
    return lanes_[lane_index].begin() < careful_until_[lane_index];
  }
  [[nodiscard]] bool goes_alone(std::uint64_t lane_index) const noexcept {
    return lanes_[lane_index].begin() < alone_until_[lane_index];
  }

  const PublishOptions options_;
  Outbox* const outbox_;
  std::unique_ptr<kafka::Producer> producer_;
  std::array<Lane, kLanes> lanes_;
  PublishCursor cursor_;
  std::array<std::vector<Flight>, kDestinations> flights_;
  std::vector<std::int32_t> partitions_;  // by symbol id; -1 = not worked out yet

  std::size_t batch_bytes_ = kafka::kUsualBatchBytes;  // that the topics take, as far as we know
  bool connected_once_ = false;
  bool draining_ = false;
  bool first_waits_ = false;  // the first message of a partition has been handed over: nothing joins it
  std::int64_t hurried_ns_ = 0;
  bool outbox_empty_ = true;
  Position taken_ = 0;     // last position of the last record taken
  std::size_t begun_ = 0;  // messages of the next record that are in the lane already
  std::array<std::uint64_t, kLanes> in_flight_{};
  // A batch is refused for one of its messages, and may be of thousands. Entries below the first number go a few at a
  // time, so that the next refusal is of few; those below the second go one at a time, until it is found.
  std::array<std::uint64_t, kLanes> careful_until_{};
  std::array<std::uint64_t, kLanes> careful_next_{};  // the first number's next value, of the next producer
  std::array<std::uint64_t, kLanes> alone_until_{};
  std::optional<std::string> broken_;  // why this producer must go
  std::int64_t broken_ns_ = 0;
  bool dirty_ = false;
  std::int64_t retry_at_ns_ = 0;
  std::int64_t retry_ns_ = 0;
  std::int64_t saved_ns_ = 0;
  std::int64_t listened_ns_ = 0;
  std::int64_t counted_ns_ = 0;
  std::string trouble_;
  std::string alarm_;
  std::string waiting_for_;
  std::optional<Error> failure_;
  PublishFigures figures_;

  mutable std::mutex shared_mutex_;
  std::string cluster_id_;
  PublishCursor shared_cursor_;
};

}  // namespace mdpipe::stage
