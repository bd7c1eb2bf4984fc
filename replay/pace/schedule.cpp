#include "replay/pace/schedule.hpp"

#include "mdpipe/base/clock.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {
namespace {

/// So far ahead that nobody waits for it, and that sums with it stay in range: 73 years.
constexpr std::int64_t kFarAheadNs = std::int64_t{1} << 61;

/// `begin_ns` and so many nanoseconds, which may be any number.
std::int64_t later(std::int64_t begin_ns, double delay_ns) noexcept {
  return begin_ns + (delay_ns < static_cast<double>(kFarAheadNs) ? static_cast<std::int64_t>(delay_ns) : kFarAheadNs);
}

}  // namespace

void Schedule::start(std::int64_t now_ns) noexcept {
  start_ns_ = now_ns - stood_after_ns_;
}

void Schedule::stop(std::int64_t now_ns) noexcept {
  if (start_ns_) {
    stood_after_ns_ = now_ns - *start_ns_;
    start_ns_.reset();
  }
}

std::int64_t Schedule::due_ns(std::int64_t schedule_ns, std::uint64_t trades_before) noexcept {
  switch (pace_.kind) {
    case Pace::Kind::max:
      return kAtOnce;
    case Pace::Kind::rate:
      return later(*start_ns_,
                   static_cast<double>(trades_before) * double{kNanosecondsPerSecond} / pace_.trades_per_second);
    case Pace::Kind::recorded:
      break;
  }
  if (schedule_ns == kNoTime) {
    return kAtOnce;
  }
  if (!origin_ns_) {
    origin_ns_ = schedule_ns;
  }
  // Times of a session that somebody made up may lie further apart than 63 bits reach; never below the origin.
  const auto since_origin = static_cast<std::uint64_t>(schedule_ns) - static_cast<std::uint64_t>(*origin_ns_);
  return later(*start_ns_, static_cast<double>(since_origin) / pace_.speed);
}

}  // namespace mdpipe::replay
