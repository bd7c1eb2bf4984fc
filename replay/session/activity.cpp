#include "replay/session/activity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

/// A venue may stamp anything: beyond the year 2261, or as long before 1970, all is one time.
constexpr std::int64_t kTimeMaxNs = 9'200'000'000 * kNanosecondsPerSecond;

/// Saturating. Precondition: begin <= end.
std::int64_t distance_ns(std::int64_t begin_ns, std::int64_t end_ns) noexcept {
  const auto distance = static_cast<std::uint64_t>(end_ns) - static_cast<std::uint64_t>(begin_ns);
  return static_cast<std::int64_t>(std::min<std::uint64_t>(distance, std::numeric_limits<std::int64_t>::max()));
}

/// Keeps the greatest few, in order; of equal ones the earlier is the greater.
template <class Size>
void keep(const Stretch& stretch, std::vector<Stretch>& kept, Size&& size) {
  if (kept.size() == Activity::kStretchesKept && size(stretch) <= size(kept.back())) {
    return;
  }
  const auto at = std::find_if(kept.begin(), kept.end(), [&](const Stretch& one) { return size(one) < size(stretch); });
  kept.insert(at, stretch);
  kept.resize(std::min(kept.size(), Activity::kStretchesKept));
}

std::uint64_t trades_of(const Stretch& stretch) noexcept {
  return stretch.trades;
}
std::int64_t length_of(const Stretch& stretch) noexcept {
  return distance_ns(stretch.begin_ns, stretch.end_ns);
}

}  // namespace

void Activity::add(std::int64_t time_ns, std::uint64_t trades) {
  if (trades == 0) {
    return;
  }
  trades_ += trades;
  time_ns = std::clamp(time_ns, -kTimeMaxNs, kTimeMaxNs);
  const std::int64_t second = time_ns / kNanosecondsPerSecond - (time_ns % kNanosecondsPerSecond < 0 ? 1 : 0);
  if (!first_ns_) {
    first_ns_ = last_ns_ = time_ns;
    second_ = second;
    burst_ = {time_ns, time_ns, 0};
  }
  if (distance_ns(last_ns_, time_ns) > kBurstNs) {
    keep(burst_, bursts_, trades_of);
    keep({last_ns_, time_ns, 0}, gaps_, length_of);
    burst_ = {time_ns, time_ns, 0};
  }
  burst_.end_ns = last_ns_ = time_ns;
  burst_.trades += trades;
  count_second(second, trades);
  count_column(time_ns, trades);
}

void Activity::finish() {
  if (first_ns_) {
    keep(burst_, bursts_, trades_of);
    end_second();
  }
}

void Activity::end_second() {
  if (in_second_ > busiest_.trades) {
    busiest_ = {second_ * kNanosecondsPerSecond, (second_ + 1) * kNanosecondsPerSecond, in_second_};
  }
  ++seconds_by_trades_[in_second_];
  in_second_ = 0;
}

void Activity::count_second(std::int64_t second, std::uint64_t trades) {
  if (second != second_) {
    end_second();
    if (second - second_ > 1) {
      seconds_by_trades_[0] += static_cast<std::uint64_t>(second - second_ - 1);
    }
    second_ = second;
  }
  in_second_ += trades;
}

void Activity::count_column(std::int64_t time_ns, std::uint64_t trades) {
  while (distance_ns(*first_ns_, time_ns) / column_ns_ >= static_cast<std::int64_t>(kColumnsMax)) {
    column_ns_ *= 2;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::uint64_t count = columns_[i];
      columns_[i] = 0;
      columns_[i / 2] += count;
    }
    columns_.resize((columns_.size() + 1) / 2);
  }
  const auto column = static_cast<std::size_t>(distance_ns(*first_ns_, time_ns) / column_ns_);
  columns_.resize(std::max(columns_.size(), column + 1));
  columns_[column] += trades;
}

double Activity::mean_per_s() const noexcept {
  const std::int64_t span_ns = first_ns_ ? distance_ns(*first_ns_, last_ns_) : 0;
  return span_ns == 0 ? 0 : static_cast<double>(trades_) / static_cast<double>(span_ns) * double{kNanosecondsPerSecond};
}

std::uint64_t Activity::percentile_per_s(unsigned hundredths) const noexcept {
  std::uint64_t all = 0;
  for (const auto& [trades, seconds] : seconds_by_trades_) {
    all += seconds;
  }
  std::uint64_t passed = 0;
  for (const auto& [trades, seconds] : seconds_by_trades_) {
    passed += seconds;
    if (static_cast<double>(passed) * 100 >= static_cast<double>(all) * hundredths) {
      return trades;
    }
  }
  return 0;
}

std::string sparkline(const std::vector<std::uint64_t>& numbers) {
  constexpr std::array<std::string_view, 9> kSigns = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::uint64_t most = numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
  std::string text;
  for (const std::uint64_t number : numbers) {
    const auto height = most == 0 ? 0L : std::lround(8 * static_cast<double>(number) / static_cast<double>(most));
    text += kSigns[number == 0 ? 0 : static_cast<std::size_t>(std::clamp(height, 1L, 8L))];
  }
  return text;
}

}  // namespace mdpipe::replay
