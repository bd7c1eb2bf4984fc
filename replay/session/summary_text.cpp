#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"
#include "replay/session/json_scanner.hpp"
#include "replay/session/summary.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kSymbolsShown = 30;

std::string time_text(std::int64_t time_ns) {
  return iso_time_ms(floor_to_ms(time_ns));
}

double seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / double{kNanosecondsPerSecond};
}

/// "1.5 ms", "12 s", "3.2 h"
std::string duration_text(std::int64_t begin_ns, std::int64_t end_ns) {
  const double length_s =
      static_cast<double>(static_cast<std::uint64_t>(end_ns) - static_cast<std::uint64_t>(begin_ns)) /
      double{kNanosecondsPerSecond};
  if (length_s < 1) {
    return fmt::format("{:.3g} ms", length_s * 1e3);
  }
  return length_s < 120    ? fmt::format("{:.3g} s", length_s)
         : length_s < 7200 ? fmt::format("{:.3g} min", length_s / 60)
                           : fmt::format("{:.3g} h", length_s / 3600);
}

std::string activity_text(const Activity& activity) {
  std::string text = fmt::format(
      "rate     {:.1f} trades/s in the mean; {} in the busiest second, {}; at most {} in 99 of 100 seconds\n",
      activity.mean_per_s(), activity.busiest_second().trades, time_text(activity.busiest_second().begin_ns),
      activity.percentile_per_s(99));
  text += fmt::format("over time, a sign is {}\n  |{}|\n", duration_text(0, activity.column_ns()),
                      sparkline(activity.columns()));
  text += "bursts   the biggest, of trades within 1 ms of the one before\n";
  for (const Stretch& burst : activity.biggest_bursts()) {
    text += fmt::format("  {:>9} in {:<10} from {}\n", burst.trades, duration_text(burst.begin_ns, burst.end_ns),
                        time_text(burst.begin_ns));
  }
  if (!activity.longest_gaps().empty()) {
    text += "gaps     the longest without a trade\n";
  }
  for (const Stretch& gap : activity.longest_gaps()) {
    text += fmt::format("  {:<22} from {}\n", duration_text(gap.begin_ns, gap.end_ns), time_text(gap.begin_ns));
  }
  return text;
}

std::string stretches_json(const std::vector<Stretch>& stretches) {
  std::string json = "[";
  for (const Stretch& one : stretches) {
    json += fmt::format(R"({}{{"begin_ns":{},"end_ns":{},"trades":{}}})", json.size() == 1 ? "" : ",", one.begin_ns,
                        one.end_ns, one.trades);
  }
  return json + "]";
}

std::string activity_json(const Activity& activity) {
  std::string json = fmt::format(
      R"(,"trades_per_s":{{"mean":{:.3f},"p50":{},"p99":{},"max":{}}},"busiest_second_ns":{},"bursts":{},"gaps":{},"column_ns":{},"columns":[)",
      activity.mean_per_s(), activity.percentile_per_s(50), activity.percentile_per_s(99),
      activity.busiest_second().trades, activity.busiest_second().begin_ns, stretches_json(activity.biggest_bursts()),
      stretches_json(activity.longest_gaps()), activity.column_ns());
  const char* separator = "";
  for (const std::uint64_t trades : activity.columns()) {
    json += fmt::format("{}{}", separator, trades);
    separator = ",";
  }
  return json + "]";
}

/// Appends {"key":value,…}.
template <class Map, class Value>
void append_object(const Map& map, Value&& value, std::string& json) {
  json += '{';
  const char* separator = "";
  for (const auto& one : map) {
    json.append(separator).append(quote(one.first)).append(":").append(value(one.second));
    separator = ",";
  }
  json += '}';
}

}  // namespace

std::string to_text(const SessionSummary& summary) {
  std::string text = fmt::format(
      "frames   {} ({} with trades, {} pings, {} errors, {} other, {} bad; {} bytes)\n"
      "trades   {} ({} more elements are no trades)\n",
      summary.frames, summary.trade_frames, summary.pings, summary.errors, summary.other, summary.bad, summary.bytes,
      summary.trades, summary.bad_elements);
  if (summary.first_ns) {
    text += fmt::format("span     {} to {} ({:.3f} s)\n", time_text(*summary.first_ns), time_text(*summary.last_ns),
                        seconds(*summary.last_ns) - seconds(*summary.first_ns));
  }
  if (summary.activity.trades() != 0) {
    text += activity_text(summary.activity);
  }
  text += fmt::format("symbols  {}\n", summary.trades_by_symbol.size());
  std::vector<std::pair<std::string, std::uint64_t>> most(summary.trades_by_symbol.begin(),
                                                          summary.trades_by_symbol.end());
  std::stable_sort(most.begin(), most.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  const bool all = !summary.digests_by_symbol.empty();
  const std::size_t shown = all ? most.size() : std::min(most.size(), kSymbolsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    text += fmt::format("  {:<24} {}{}{}\n", most[i].first, most[i].second, all ? "  " : "",
                        all ? summary.digests_by_symbol.at(most[i].first) : "");
  }
  if (most.size() > shown) {
    text += fmt::format("  and {} more (all of them: --digests, --json)\n", most.size() - shown);
  }
  return text + fmt::format("digest   sha256 {}\n", summary.digest);
}

std::string to_json(const SessionSummary& summary) {
  std::string json = fmt::format(
      R"({{"frames":{},"trade_frames":{},"pings":{},"errors":{},"other":{},"bad":{},"trades":{},"bad_elements":{},"bytes":{})",
      summary.frames, summary.trade_frames, summary.pings, summary.errors, summary.other, summary.bad, summary.trades,
      summary.bad_elements, summary.bytes);
  if (summary.first_ns) {
    json += fmt::format(R"(,"first_ns":{},"last_ns":{})", *summary.first_ns, *summary.last_ns);
  }
  if (summary.activity.trades() != 0) {
    json += activity_json(summary.activity);
  }
  json += R"(,"symbols":)";
  append_object(
      summary.trades_by_symbol, [](std::uint64_t count) { return std::to_string(count); }, json);
  if (!summary.digests_by_symbol.empty()) {
    json += R"(,"digests":)";
    append_object(
        summary.digests_by_symbol, [](const std::string& digest) { return "\"" + digest + "\""; }, json);
  }
  return json + fmt::format(",\"digest\":\"{}\"}}\n", summary.digest);
}

}  // namespace mdpipe::replay
