#pragma once
/// \file
/// Figures that one thread writes and any thread reads: no lock prefix, no cache line shared between writers.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace mdpipe {

/// Thread safety: add() and set() by one thread only; get() by any. Relaxed: a figure says nothing of other memory.
template <class T = std::uint64_t>
class SingleWriterGauge {
 public:
  void add(T amount = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] T get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> value_{};
};

using SingleWriterCounter = SingleWriterGauge<std::uint64_t>;

/// Durations in powers of two of a microsecond: bucket n counts durations of at most 2^n µs; the last one the rest.
/// Same thread safety.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 32;

  void record_ns(std::int64_t duration_ns) noexcept {
    const auto microseconds =
        duration_ns <= 1000 ? std::uint64_t{0} : static_cast<std::uint64_t>(duration_ns - 1) / 1000;
    const auto bucket = static_cast<std::size_t>(std::bit_width(microseconds));
    buckets_[bucket < kBuckets ? bucket : kBuckets - 1].add();
    sum_ns_.add(duration_ns > 0 ? static_cast<std::uint64_t>(duration_ns) : 0);
  }
  [[nodiscard]] std::uint64_t bucket(std::size_t index) const noexcept { return buckets_[index].get(); }
  [[nodiscard]] std::uint64_t sum_ns() const noexcept { return sum_ns_.get(); }
  /// Upper bound of a bucket, inclusive, in microseconds.
  [[nodiscard]] static constexpr std::uint64_t bound_us(std::size_t index) noexcept {
    return std::uint64_t{1} << index;
  }

 private:
  std::array<SingleWriterCounter, kBuckets> buckets_;
  SingleWriterCounter sum_ns_;
};

}  // namespace mdpipe
