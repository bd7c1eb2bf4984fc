#pragma once
// Messages on their way to Kafka, in order, until each is acknowledged.

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "mdpipe/event/record.hpp"
#include "mdpipe/stage/outbox.hpp"

namespace mdpipe::stage {

/// One cache line: there are tens of thousands, and each is gone through three times.
struct alignas(64) LaneEntry {
  [[nodiscard]] std::string_view key() const noexcept { return {key_begin, key_length}; }
  [[nodiscard]] std::string_view value() const noexcept { return {value_begin, value_length}; }
  void set_key(std::string_view key) noexcept {
    key_begin = key.data();
    key_length = static_cast<std::uint32_t>(key.size());
  }
  void set_value(std::string_view value) noexcept {
    value_begin = value.data();
    value_length = static_cast<std::uint32_t>(value.size());
  }

  Position position = 0;
  const char* key_begin = nullptr;
  const char* value_begin = nullptr;
  std::uint32_t key_length = 0;
  std::uint32_t value_length = 0;
  std::int64_t receive_time_ns = 0;
  std::uint64_t source = 0;
  const OutboxMessage* message = nullptr;  // of the outbox; null for what comes from the journal
  std::int32_t partition = 0;
  Destination destination = Destination::raw;
  std::uint8_t header_flags = 0;
  FrameReason reason = FrameReason::none;  // of the journal's dead letters: what was wrong
  bool sent : 1 = false;                   // before its turn
  bool acknowledged : 1 = false;
  bool refused : 1 = false;  // by Kafka, for good: it has become a dead letter
};
static_assert(sizeof(LaneEntry) == 64);

/// A ring: [begin, next) have been given to the producer, [next, end) wait, but for those that were sent before their
/// turn. Nothing is allocated after construction.
class Lane {
 public:
  explicit Lane(std::size_t capacity) : ring_(capacity), mask_(capacity - 1) {}

  [[nodiscard]] std::size_t room() const noexcept { return ring_.size() - static_cast<std::size_t>(end_ - begin_); }
  [[nodiscard]] std::size_t capacity() const noexcept { return ring_.size(); }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
  [[nodiscard]] LaneEntry& at(std::uint64_t index) noexcept { return ring_[index & mask_]; }

  /// Precondition: room() > 0.
  LaneEntry& append() {
    LaneEntry& entry = ring_[end_++ & mask_];
    entry = LaneEntry{};
    return entry;
  }
  void sent() noexcept { ++next_; }
  /// Drops what is acknowledged at the front.
  void settle() {
    while (begin_ != next_ && at(begin_).acknowledged) {
      ++begin_;
    }
  }
  /// The next entry to be looked at for what can be sent before its turn.
  [[nodiscard]] std::uint64_t ahead() noexcept { return ahead_ = std::max(ahead_, next_); }
  void looked_at() noexcept { ++ahead_; }
  /// All that is not acknowledged is to be sent again.
  void rewind() noexcept {
    for (std::uint64_t index = next_; index < ahead_; ++index) {
      at(index).sent = false;
    }
    next_ = ahead_ = begin_;
  }

 private:
  std::vector<LaneEntry> ring_;
  std::uint64_t mask_;
  std::uint64_t begin_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t ahead_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace mdpipe::stage
