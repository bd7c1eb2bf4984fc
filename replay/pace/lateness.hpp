#pragma once
/// \file
/// How late things were, from a nanosecond to hours, to within 1.6 %.

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace mdpipe::replay {

/// A histogram whose buckets are 64 to each power of two. Thread safety: none.
class Lateness {
 public:
  void record(std::int64_t late_ns) noexcept {
    const std::uint64_t value = late_ns < 0 ? 0 : static_cast<std::uint64_t>(late_ns);
    ++buckets_[bucket_of(value)];
    ++count_;
    sum_ns_ += value;
    max_ns_ = value > max_ns_ ? value : max_ns_;
    last_ns_ = value;
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t sum_ns() const noexcept { return sum_ns_; }
  [[nodiscard]] std::uint64_t max_ns() const noexcept { return max_ns_; }
  /// Of what was recorded last: what a drift would have added up to.
  [[nodiscard]] std::uint64_t last_ns() const noexcept { return last_ns_; }

  /// The least value that this share (0..1) of all do not exceed, rounded up to its bucket's end; 0 of none.
  [[nodiscard]] std::uint64_t quantile_ns(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(std::llround(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen != 0 && seen >= wanted) {
        const std::uint64_t end = end_of(bucket);
        return end < max_ns_ ? end : max_ns_;
      }
    }
    return max_ns_;
  }

  /// Calls `use(first_ns, last_ns, count)` for each bucket that is not empty, ascending; both bounds belong to it.
  template <class Use>
  void for_each_bucket(Use&& use) const {
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      if (buckets_[bucket] != 0) {
        use(bucket == 0 ? 0 : end_of(bucket - 1) + 1, end_of(bucket), buckets_[bucket]);
      }
    }
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::size_t kPerOctave = std::size_t{1} << kBits;

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kPerOctave) {
      return static_cast<std::size_t>(value);
    }
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (std::size_t{shift} + 1) * kPerOctave + static_cast<std::size_t>((value >> shift) - kPerOctave);
  }
  static constexpr std::uint64_t end_of(std::size_t bucket) noexcept {
    if (bucket < kPerOctave) {
      return bucket;
    }
    const std::size_t shift = bucket / kPerOctave - 1;
    return ((kPerOctave + bucket % kPerOctave + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (65 - kBits) * kPerOctave> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
  std::uint64_t last_ns_ = 0;
};

}  // namespace mdpipe::replay
