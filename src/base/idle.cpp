#include "mdpipe/base/idle.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

#include <fmt/format.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mdpipe {
namespace {

constexpr std::uint32_t kPauses = 64;
constexpr std::uint32_t kYields = 16;
constexpr std::int64_t kFirstSleepNs = 20'000;
constexpr std::uint32_t kSleepsBeforeRest = 1'000;  // of kIdleSleepMaxNs each: about a second in which nothing came

void pause_once() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

timespec to_timespec(std::int64_t duration_ns) noexcept {
  return {static_cast<time_t>(duration_ns / 1'000'000'000), static_cast<long>(duration_ns % 1'000'000'000)};
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) noexcept {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
                std::atomic<std::uint32_t>::is_always_lock_free);
  return ::syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, timeout, nullptr, 0);
}

}  // namespace

Result<IdleKind> parse_idle_kind(std::string_view text) {
  for (const IdleKind kind : {IdleKind::spin, IdleKind::backoff, IdleKind::park}) {
    if (text == to_string(kind)) {
      return kind;
    }
  }
  return fail(ErrorCode::usage, fmt::format("\"{}\" is no idle strategy: spin, backoff or park", text));
}

std::string_view to_string(IdleKind kind) noexcept {
  switch (kind) {
    case IdleKind::spin:
      return "spin";
    case IdleKind::backoff:
      return "backoff";
    case IdleKind::park:
      return "park";
  }
  return "?";
}

void Bell::wake() noexcept {
  rings_.fetch_add(1, std::memory_order_release);
  futex(rings_, FUTEX_WAKE, INT_MAX, nullptr);
}

void Bell::sleep(std::uint32_t seen_rings, std::int64_t timeout_ns) noexcept {
  const timespec timeout = to_timespec(timeout_ns);
  futex(rings_, FUTEX_WAIT, seen_rings, &timeout);
}

void IdleStrategy::wait() noexcept {
  const std::uint32_t round = rounds_++;
  if (kind_ == IdleKind::spin || round < kPauses) {
    rounds_ = kind_ == IdleKind::spin ? 0 : rounds_;
    pause_once();
    return;
  }
  if (kind_ == IdleKind::park && bell_ != nullptr) {
    // Say first that we sleep, look once more (the caller's next round), then sleep: a ring between the two changes
    // rings_ and the futex returns at once.
    if (!announced_) {
      bell_->sleepers_.fetch_add(1, std::memory_order_seq_cst);
      seen_rings_ = bell_->rings_.load(std::memory_order_acquire);
      announced_ = true;
      return;
    }
    bell_->sleep(seen_rings_, kParkMaxNs);
    seen_rings_ = bell_->rings_.load(std::memory_order_acquire);
    return;
  }
  if (kind_ == IdleKind::backoff && round < kPauses + kYields) {
    ::syscall(SYS_sched_yield);
    return;
  }
  const std::uint32_t sleeps = round - kPauses - (kind_ == IdleKind::backoff ? kYields : 0);
  const bool rests = sleeps >= kSleepsBeforeRest;
  if (rests) {
    --rounds_;  // it does not run over however long nothing comes
  }
  const timespec duration = to_timespec(
      rests ? kIdleRestNs : std::min(kFirstSleepNs << std::min<std::uint32_t>(sleeps, 10), kIdleSleepMaxNs));
  ::nanosleep(&duration, nullptr);
}

void IdleStrategy::leave() noexcept {
  bell_->sleepers_.fetch_sub(1, std::memory_order_relaxed);
  announced_ = false;
}

}  // namespace mdpipe
