#pragma once
/// \file
/// Waiting for an instant of the monotonic clock.

#include <immintrin.h>
#include <sys/prctl.h>

#include <cstdint>
#include <ctime>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {

/// --precise: the kernel wakes us that much before a due time, and the rest is waited for with the processor. Waking
/// takes 50 µs on a virtual machine, one time in a hundred 150 and more.
inline constexpr std::int64_t kSpinNs = 500'000;

/// Else the kernel may add 50 µs to each sleep of this thread.
inline void sleep_without_slack() noexcept {
  ::prctl(PR_SET_TIMERSLACK, 1);
}

/// At once where that time is over. A signal ends it early.
inline void sleep_until(std::int64_t monotonic_ns) noexcept {
  const timespec until{monotonic_ns / kNanosecondsPerSecond, monotonic_ns % kNanosecondsPerSecond};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

inline void spin_until(std::int64_t monotonic_ns) noexcept {
  while (monotonic_clock_ns() < monotonic_ns) {
    ::_mm_pause();
  }
}

}  // namespace mdpipe::replay
