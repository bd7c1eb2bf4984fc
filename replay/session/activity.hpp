#pragma once
/// \file
/// How a session's trades lie in time: rates, gaps, bursts, a picture. In memory that does not grow with it.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mdpipe::replay {

/// A stretch of time; of a gap `trades` is 0.
struct Stretch {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t trades = 0;
};

/// Thread safety: none.
class Activity {
 public:
  /// Trades that lie within so much of the one before are one burst.
  static constexpr std::int64_t kBurstNs = 1'000'000;
  static constexpr std::size_t kStretchesKept = 5;
  static constexpr std::size_t kColumnsMax = 64;

  /// So many trades at once. Precondition: times do not fall.
  void add(std::int64_t time_ns, std::uint64_t trades);
  /// After the last one.
  void finish();

  [[nodiscard]] std::uint64_t trades() const noexcept { return trades_; }
  /// Trades by the span from the first to the last; 0 where that is nothing.
  [[nodiscard]] double mean_per_s() const noexcept;
  /// The second (of the clock) with the most trades; the first of equal ones.
  [[nodiscard]] const Stretch& busiest_second() const noexcept { return busiest_; }
  /// At most so many trades came in so many hundredths of the seconds, those without one among them.
  [[nodiscard]] std::uint64_t percentile_per_s(unsigned hundredths) const noexcept;
  /// The longest and the biggest, in that order; of equal ones the earlier.
  [[nodiscard]] const std::vector<Stretch>& longest_gaps() const noexcept { return gaps_; }
  [[nodiscard]] const std::vector<Stretch>& biggest_bursts() const noexcept { return bursts_; }
  /// Trades in stretches of column_ns(), from the first trade on.
  [[nodiscard]] const std::vector<std::uint64_t>& columns() const noexcept { return columns_; }
  [[nodiscard]] std::int64_t column_ns() const noexcept { return column_ns_; }

 private:
  void count_second(std::int64_t second, std::uint64_t trades);
  void end_second();
  void count_column(std::int64_t time_ns, std::uint64_t trades);

  std::uint64_t trades_ = 0;
  std::optional<std::int64_t> first_ns_;
  std::int64_t last_ns_ = 0;
  std::int64_t second_ = 0;
  std::uint64_t in_second_ = 0;
  Stretch busiest_;
  std::map<std::uint64_t, std::uint64_t> seconds_by_trades_;
  Stretch burst_;
  std::vector<Stretch> gaps_;
  std::vector<Stretch> bursts_;
  std::vector<std::uint64_t> columns_;
  std::int64_t column_ns_ = 1;
};

/// A sign for each number, as high as it is: "▁▃█"; a blank for none.
[[nodiscard]] std::string sparkline(const std::vector<std::uint64_t>& numbers);

}  // namespace mdpipe::replay
