#pragma once
/// \file
/// What a thread does when there is nothing to do. One object a thread; not shared.

#include <atomic>
#include <cstdint>
#include <string_view>

#include "mdpipe/base/error.hpp"

namespace mdpipe {

enum class IdleKind : std::uint8_t {
  spin,     ///< pause instructions only: a core of its own
  backoff,  ///< pauses, then yields, then sleeps that double up to kIdleSleepMaxNs; kIdleRestNs after a second of them
  park,     ///< a few pauses, then sleeps on a futex until a Bell rings (or kParkMaxNs pass)
};

inline constexpr std::int64_t kIdleSleepMaxNs = 1'000'000;
inline constexpr std::int64_t kIdleRestNs = 2'000'000;
inline constexpr std::int64_t kParkMaxNs = 10'000'000;

[[nodiscard]] Result<IdleKind> parse_idle_kind(std::string_view text);
[[nodiscard]] std::string_view to_string(IdleKind kind) noexcept;

/// Rung by a writer to wake those who parked on it. ring() costs one relaxed load where nobody sleeps.
/// A ring that races with a thread going to sleep may be missed: the sleeper's time-out (kParkMaxNs) bounds what that
/// costs. The price of never missing one would be a full fence on every commit.
class Bell {
 public:
  void ring() noexcept {
    if (sleepers_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      wake();
    }
  }

 private:
  friend class IdleStrategy;
  void wake() noexcept;
  void sleep(std::uint32_t seen_rings, std::int64_t timeout_ns) noexcept;

  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<std::uint32_t> rings_{0};
};

class IdleStrategy {
 public:
  /// `bell` may be null: park then sleeps by time alone.
  explicit IdleStrategy(IdleKind kind, Bell* bell = nullptr) noexcept : kind_(kind), bell_(bell) {}
  ~IdleStrategy() {
    if (announced_) {
      leave();
    }
  }
  IdleStrategy(const IdleStrategy&) = delete;
  IdleStrategy& operator=(const IdleStrategy&) = delete;

  /// Call once a round with whether the round did any work.
  void idle(bool worked) noexcept {
    if (worked) {
      rounds_ = 0;
      if (announced_) [[unlikely]] {
        leave();
      }
      return;
    }
    wait();
  }

 private:
  void wait() noexcept;
  void leave() noexcept;

  IdleKind kind_;
  Bell* bell_;
  std::uint32_t rounds_ = 0;
  std::uint32_t seen_rings_ = 0;
  bool announced_ = false;  // counted among the bell's sleepers
};

}  // namespace mdpipe
