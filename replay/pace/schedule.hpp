#pragma once
/// \file
/// When each frame is due. One absolute schedule: a frame's due time never depends on when another was sent, so that no
/// delay adds up.

#include <cstdint>
#include <limits>
#include <optional>

namespace mdpipe::replay {

struct Pace {
  enum class Kind : std::uint8_t {
    max,       ///< everything is due at once
    recorded,  ///< as recorded, `speed` times as fast
    rate,      ///< `trades_per_second`, whatever was recorded
  };
  Kind kind = Kind::recorded;
  double speed = 1;
  double trades_per_second = 0;

  /// The market's clock stands while nobody listens; else it runs on, and what was due meanwhile is passed over.
  [[nodiscard]] bool stands_alone() const noexcept { return kind != Kind::recorded; }
};

/// Times of the clock are of a monotonic one, in ns; the caller says what time it is. Thread safety: none.
class Schedule {
 public:
  static constexpr std::int64_t kAtOnce = std::numeric_limits<std::int64_t>::min();

  explicit Schedule(const Pace& pace) noexcept : pace_(pace) {}

  /// The clock starts, or goes on after it stood.
  void start(std::int64_t now_ns) noexcept;
  void stop(std::int64_t now_ns) noexcept;
  [[nodiscard]] bool running() const noexcept { return start_ns_.has_value(); }

  /// When the next frame, with this schedule time (kNoTime: none) and that many trades before it, is due.
  /// Precondition: running().
  [[nodiscard]] std::int64_t due_ns(std::int64_t schedule_ns, std::uint64_t trades_before) noexcept;

 private:
  Pace pace_;
  std::optional<std::int64_t> start_ns_;  // the clock's time at the session's begin, standing times taken out
  std::int64_t stood_after_ns_ = 0;       // how far into the session the clock was when it stopped
  std::optional<std::int64_t> origin_ns_;
};

}  // namespace mdpipe::replay
