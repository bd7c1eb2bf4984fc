#pragma once
/// \file
/// When each frame of one file is due.

#include <algorithm>
#include <cstdint>

#include "mdpipe/base/clock.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

class Timeline {
 public:
  /// As it is behind what has this schedule.
  void begin_at(std::int64_t schedule_ns) noexcept { schedule_ns_ = schedule_ns; }

  /// Sets the frame's time and schedule from its receive time and its trades.
  void stamp(SessionFrame& frame) noexcept {
    if (frame.receive_time_ns) {
      frame.time_ns = *frame.receive_time_ns;
    } else if (frame.shape.latest_exchange_ms) {
      frame.time_ns = *frame.shape.latest_exchange_ms * kNanosecondsPerMillisecond;
    } else {
      frame.time_ns = schedule_ns_;
    }
    schedule_ns_ = std::max(schedule_ns_, frame.time_ns);
    frame.schedule_ns = schedule_ns_;
  }

 private:
  std::int64_t schedule_ns_ = kNoTime;
};

}  // namespace mdpipe::replay
