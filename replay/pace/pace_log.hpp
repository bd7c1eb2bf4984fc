#pragma once
/// \file
/// When things were due and when they were sent: what a report of the pacing is made of.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "replay/pace/lateness.hpp"

namespace mdpipe::replay {

/// What one receiver got last. A receiver is a connection, or a topic.
struct PaceStream {
  std::int64_t due_ns = std::numeric_limits<std::int64_t>::min();
  std::int64_t sent_ns = std::numeric_limits<std::int64_t>::min();
};

/// All times are of the monotonic clock. Memory is bounded, however long it runs: the pictures get coarser.
/// Thread safety: none.
class PaceLog {
 public:
  /// Later than this is late: counted, and told.
  static constexpr std::int64_t kLateNs = 1'000'000;
  /// "More than so much" is counted for each of these.
  static constexpr std::array<std::int64_t, 5> kLimitsNs{50'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};
  static constexpr std::size_t kBinsMax = 512;

  /// What happened in a piece of the time since the first was due.
  struct Bin {
    std::uint64_t due_trades = 0;   ///< due in it, by the schedule
    std::uint64_t sent_trades = 0;  ///< sent in it
    std::uint64_t frames = 0;       ///< due in it; what follows is of them
    std::uint64_t late_sum_ns = 0;
    std::uint64_t late_max_ns = 0;
    std::uint64_t late_min_ns = std::numeric_limits<std::uint64_t>::max();
  };

  /// A frame with so many trades that was due then (Schedule::kAtOnce: whenever it could be sent) was sent now.
  void record(PaceStream& stream, std::int64_t due_ns, std::int64_t sent_ns, std::uint64_t trades) noexcept;

  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  [[nodiscard]] std::uint64_t trades() const noexcept { return trades_; }
  /// Of the frames that had a time: how late each was sent. Before it is due none is.
  [[nodiscard]] const Lateness& lateness() const noexcept { return lateness_; }
  /// How many were later than kLimitsNs[i].
  [[nodiscard]] const std::array<std::uint64_t, kLimitsNs.size()>& over() const noexcept { return over_; }
  /// How late the late ones were together.
  [[nodiscard]] std::uint64_t late_sum_ns() const noexcept { return late_sum_ns_; }
  /// Frames that were due later than the one before them, and already overdue when that one went out: the time between
  /// the two was lost.
  [[nodiscard]] std::uint64_t bunched() const noexcept { return bunched_; }
  /// Frames due at the same instant as the one before them: bursts, as recorded.
  [[nodiscard]] std::uint64_t in_bursts() const noexcept { return in_bursts_; }

  [[nodiscard]] std::int64_t first_due_ns() const noexcept { return first_due_ns_.value_or(0); }
  [[nodiscard]] std::int64_t last_due_ns() const noexcept { return last_due_ns_; }
  [[nodiscard]] std::int64_t first_sent_ns() const noexcept { return first_sent_ns_; }
  [[nodiscard]] std::int64_t last_sent_ns() const noexcept { return last_sent_ns_; }
  /// When the first was due, by the wall clock as it was when that one was sent; ns since 1970.
  [[nodiscard]] std::int64_t first_due_unix_ns() const noexcept { return first_due_unix_ns_; }

  /// By how much lateness grows, in ns a second of the schedule: the slope of the line through all frames. 0 of one.
  [[nodiscard]] double drift_ns_per_s() const noexcept;
  /// The least lateness in the first and in the last tenth of the schedule: a drift moves it, a hiccup does not.
  [[nodiscard]] std::uint64_t least_in_first_tenth_ns() const noexcept;
  [[nodiscard]] std::uint64_t least_in_last_tenth_ns() const noexcept;

  [[nodiscard]] std::int64_t bin_width_ns() const noexcept { return bin_width_ns_; }
  [[nodiscard]] std::size_t bin_count() const noexcept { return bin_count_; }
  [[nodiscard]] const Bin& bin(std::size_t index) const noexcept { return bins_[index]; }

 private:
  Bin& bin_at(std::int64_t since_begin_ns) noexcept;
  [[nodiscard]] std::uint64_t least_between(double begin_share, double end_share) const noexcept;

  Lateness lateness_;
  std::array<std::uint64_t, kLimitsNs.size()> over_{};
  std::uint64_t frames_ = 0;
  std::uint64_t trades_ = 0;
  std::uint64_t late_sum_ns_ = 0;
  std::uint64_t bunched_ = 0;
  std::uint64_t in_bursts_ = 0;
  std::optional<std::int64_t> begin_ns_;  // of the bins: the first due time, or where nothing is due, the first sending
  std::optional<std::int64_t> first_due_ns_;
  std::int64_t first_due_unix_ns_ = 0;
  std::int64_t last_due_ns_ = 0;
  std::int64_t first_sent_ns_ = 0;
  std::int64_t last_sent_ns_ = 0;
  // Of the line through (due time in s, lateness in ns): means and sums of products of differences to them (Welford).
  double mean_due_s_ = 0;
  double mean_late_ns_ = 0;
  double due_square_ = 0;
  double due_times_late_ = 0;
  std::array<Bin, kBinsMax> bins_{};
  std::size_t bin_count_ = 0;
  std::int64_t bin_width_ns_ = 1'000'000;
};

}  // namespace mdpipe::replay
