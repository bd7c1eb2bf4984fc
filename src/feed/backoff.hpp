#pragma once
// How long to wait before connecting again: capped exponential, full jitter, so that many clients do not come back at
// once.

#include <algorithm>
#include <cstdint>
#include <random>

namespace mdpipe::feed {

class Backoff {
 public:
  Backoff(std::int64_t min_ns, std::int64_t max_ns, std::uint64_t seed)
      : min_ns_(min_ns), max_ns_(std::max(min_ns, max_ns)), random_(seed) {}

  /// The next wait: drawn evenly from [min, min × 2^failures], never beyond max.
  [[nodiscard]] std::int64_t next_ns() {
    const std::int64_t ceiling = failures_ >= 40 || min_ns_ > (max_ns_ >> failures_) ? max_ns_ : min_ns_ << failures_;
    ++failures_;
    return std::uniform_int_distribution<std::int64_t>(min_ns_, std::max(min_ns_, ceiling))(random_);
  }

  /// The connection has proved good: data came.
  void reset() noexcept { failures_ = 0; }

 private:
  std::int64_t min_ns_;
  std::int64_t max_ns_;
  int failures_ = 0;
  std::mt19937_64 random_;
};

}  // namespace mdpipe::feed
