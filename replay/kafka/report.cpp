#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/wiring/text.hpp"
#include "replay/kafka/publisher.hpp"
#include "replay/pace/report.hpp"

namespace mdpipe::replay {
namespace {

double seconds_between(std::int64_t begin_ns, std::int64_t end_ns) noexcept {
  return begin_ns == 0 ? 0 : static_cast<double>(end_ns - begin_ns) / double{kNanosecondsPerSecond};
}

}  // namespace

std::string to_text(const PublishSessionReport& report, const PublishSessionOptions& options) {
  using wiring::grouped_text;
  std::string text = fmt::format("frames        {:>14}  {} without a trade: not sent\n", grouped_text(report.frames),
                                 grouped_text(report.frames_without)) +
                     fmt::format("trades        {:>14}  into {} as source {:016x}\n", grouped_text(report.trades),
                                 options.topic, report.source);
  if (report.found != 0) {
    text += fmt::format("  there before{:>14}{}\n", grouped_text(report.found),
                        report.found == report.trades ? "  = trades: there was nothing to do" : "");
  }
  const double seconds = seconds_between(report.first_sent_ns, report.done_ns);
  text += fmt::format("  acknowledged{:>14}  in {:.3f} s, {:.0f} trades/s\n", grouped_text(report.acknowledged),
                      seconds, seconds > 0 ? static_cast<double>(report.acknowledged) / seconds : 0);
  if (report.refused != 0) {
    text += fmt::format("  refused     {:>14}  by the broker, for good\n", grouped_text(report.refused));
  }
  if (options.rebase_now) {
    text += fmt::format("times moved   {:>+14} ms\n", report.rebased_by_ms);
  }
  if (report.rebase_cut != 0) {
    text += fmt::format("  cut         {:>14}  would have left the range of times\n", grouped_text(report.rebase_cut));
  }
  return text + pacing_text(report.pacing);
}

std::vector<std::pair<std::string, std::string>> details(const PublishSessionReport& report,
                                                         const PublishSessionOptions& options) {
  std::vector<std::pair<std::string, std::string>> details{
      {"topic", json_string(options.topic)},
      {"source", fmt::format("\"{:016x}\"", report.source)},
      {"frames", fmt::to_string(report.frames)},
      {"frames_without_trades", fmt::to_string(report.frames_without)},
      {"trades", fmt::to_string(report.trades)},
      {"there_before", fmt::to_string(report.found)},
      {"acknowledged", fmt::to_string(report.acknowledged)},
      {"refused", fmt::to_string(report.refused)},
      {"producers_given_up", fmt::to_string(report.rebuilds)},
      {"seconds", fmt::format("{:.6f}", seconds_between(report.first_sent_ns, report.done_ns))},
  };
  if (options.rebase_now) {
    details.emplace_back("rebased_by_ms", fmt::to_string(report.rebased_by_ms));
    details.emplace_back("rebase_cut", fmt::to_string(report.rebase_cut));
  }
  return details;
}

}  // namespace mdpipe::replay
