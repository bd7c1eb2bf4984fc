#include "replay/pace/pace_log.hpp"

#include <algorithm>
#include <cmath>

#include "mdpipe/base/clock.hpp"
#include "replay/pace/schedule.hpp"

namespace mdpipe::replay {

PaceLog::Bin& PaceLog::bin_at(std::int64_t since_begin_ns) noexcept {
  const auto since = static_cast<std::uint64_t>(std::max<std::int64_t>(since_begin_ns, 0));
  while (since / static_cast<std::uint64_t>(bin_width_ns_) >= kBinsMax) {
    for (std::size_t to = 0; to < kBinsMax; ++to) {
      Bin sum;
      for (std::size_t from = 2 * to; from < std::min(2 * to + 2, kBinsMax); ++from) {
        const Bin& part = bins_[from];
        sum.due_trades += part.due_trades;
        sum.sent_trades += part.sent_trades;
        sum.frames += part.frames;
        sum.late_sum_ns += part.late_sum_ns;
        sum.late_max_ns = std::max(sum.late_max_ns, part.late_max_ns);
        sum.late_min_ns = std::min(sum.late_min_ns, part.late_min_ns);
      }
      bins_[to] = sum;
    }
    bin_count_ = (bin_count_ + 1) / 2;
    bin_width_ns_ *= 2;
  }
  const auto index = static_cast<std::size_t>(since / static_cast<std::uint64_t>(bin_width_ns_));
  bin_count_ = std::max(bin_count_, index + 1);
  return bins_[index];
}

void PaceLog::record(PaceStream& stream, std::int64_t due_ns, std::int64_t sent_ns, std::uint64_t trades) noexcept {
  ++frames_;
  trades_ += trades;
  first_sent_ns_ = frames_ == 1 ? sent_ns : first_sent_ns_;
  last_sent_ns_ = sent_ns;
  const bool timed = due_ns != Schedule::kAtOnce;
  if (!begin_ns_) {
    begin_ns_ = timed ? due_ns : sent_ns;
  }
  bin_at(sent_ns - *begin_ns_).sent_trades += trades;
  if (!timed) {
    return;
  }
  if (!first_due_ns_) {
    first_due_ns_ = due_ns;
    first_due_unix_ns_ = wall_clock_ns() - (monotonic_clock_ns() - due_ns);
  }
  last_due_ns_ = due_ns;
  const std::int64_t late_ns = std::max<std::int64_t>(sent_ns - due_ns, 0);
  lateness_.record(late_ns);
  for (std::size_t limit = 0; limit < kLimitsNs.size() && late_ns > kLimitsNs[limit]; ++limit) {
    ++over_[limit];
  }
  if (late_ns > kLateNs) {
    late_sum_ns_ += static_cast<std::uint64_t>(late_ns);
  }
  if (due_ns == stream.due_ns) {
    ++in_bursts_;
  } else if (due_ns > stream.due_ns && stream.sent_ns >= due_ns) {
    ++bunched_;
  }
  stream = {due_ns, sent_ns};
  Bin& bin = bin_at(due_ns - *begin_ns_);
  bin.due_trades += trades;
  ++bin.frames;
  bin.late_sum_ns += static_cast<std::uint64_t>(late_ns);
  bin.late_max_ns = std::max(bin.late_max_ns, static_cast<std::uint64_t>(late_ns));
  bin.late_min_ns = std::min(bin.late_min_ns, static_cast<std::uint64_t>(late_ns));
  const auto count = static_cast<double>(lateness_.count());
  const double due_s = static_cast<double>(due_ns - *first_due_ns_) / double{kNanosecondsPerSecond};
  const double from_mean_due_s = due_s - mean_due_s_;
  mean_due_s_ += from_mean_due_s / count;
  mean_late_ns_ += (static_cast<double>(late_ns) - mean_late_ns_) / count;
  due_square_ += from_mean_due_s * (due_s - mean_due_s_);
  due_times_late_ += from_mean_due_s * (static_cast<double>(late_ns) - mean_late_ns_);
}

double PaceLog::drift_ns_per_s() const noexcept {
  return due_square_ > 0 ? due_times_late_ / due_square_ : 0;
}

std::uint64_t PaceLog::least_between(double begin_share, double end_share) const noexcept {
  const double count =
      std::floor(static_cast<double>(last_due_ns_ - begin_ns_.value_or(0)) / static_cast<double>(bin_width_ns_)) + 1;
  std::uint64_t least_ns = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t index = 0; index < bin_count_; ++index) {
    const auto place = static_cast<double>(index);
    if (place >= std::floor(begin_share * count) && place < std::ceil(end_share * count)) {
      least_ns = std::min(least_ns, bins_[index].late_min_ns);
    }
  }
  return least_ns == std::numeric_limits<std::uint64_t>::max() ? 0 : least_ns;
}

std::uint64_t PaceLog::least_in_first_tenth_ns() const noexcept {
  return least_between(0, 0.1);
}

std::uint64_t PaceLog::least_in_last_tenth_ns() const noexcept {
  return least_between(0.9, 1);
}

}  // namespace mdpipe::replay
