// The report as a page: text, tables and pictures (SVG) in one file, no script, nothing fetched.

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/wiring/text.hpp"
#include "replay/pace/report.hpp"

namespace mdpipe::replay {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 260;
constexpr double kLeft = 70;  // room for the numbers of the axes
constexpr double kBottom = 34;
constexpr double kTop = 14;
constexpr double kRight = 14;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = kHeight - kTop - kBottom;

constexpr std::string_view kStyle =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:900px;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:.15em .9em .15em 0;text-align:left;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#555}"
    ".due{stroke:#999;stroke-width:4;fill:none;opacity:.6}.sent{stroke:#06c;stroke-width:1.5;fill:none}"
    ".max{stroke:#c50;stroke-width:1;fill:none}.bar{fill:#06c}.axis{stroke:#ccc;stroke-width:1}";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += letter;
    }
  }
  return out;
}

/// "850 ns", "12.3 us", "4.56 ms", "1.20 s"
std::string duration_text(double nanoseconds) {
  if (nanoseconds < 1e3) {
    return fmt::format("{:.0f} ns", nanoseconds);
  }
  if (nanoseconds < 1e6) {
    return fmt::format("{:.1f} us", nanoseconds / 1e3);
  }
  return nanoseconds < 1e9 ? fmt::format("{:.2f} ms", nanoseconds / 1e6) : fmt::format("{:.2f} s", nanoseconds / 1e9);
}

std::string row(std::string_view name, std::string_view value) {
  return fmt::format("<tr><th>{}</th><td class=\"n\">{}</td></tr>\n", escaped(name), escaped(value));
}

std::string label(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, escaped(text));
}

std::string picture(std::string_view title, const std::string& inside) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, kHeight, escaped(title)) +
         fmt::format("<path class=\"axis\" fill=\"none\" d=\"M{0} {1}V{2}H{3}\"/>\n", kLeft, kTop, kTop + kPlotHeight,
                     kLeft + kPlotWidth) +
         inside + "</svg>\n";
}

std::string line(std::string_view style, const std::vector<double>& values, double top_value) {
  std::string path;
  for (std::size_t index = 0; index < values.size(); ++index) {
    const double x = kLeft + kPlotWidth * static_cast<double>(index) / static_cast<double>(values.size() - 1);
    const double y = kTop + kPlotHeight * (1 - (top_value > 0 ? values[index] / top_value : 0));
    path += fmt::format("{}{:.1f} {:.1f}", index == 0 ? "M" : "L", x, y);
  }
  return fmt::format("<path class=\"{}\" d=\"{}\"/>\n", style, path);
}

std::string time_axis(double seconds) {
  std::string text;
  constexpr int kMarks = 5;
  for (int mark = 0; mark < kMarks; ++mark) {
    const double share = static_cast<double>(mark) / (kMarks - 1);
    text += label(kLeft + kPlotWidth * share, kHeight - 14, "middle", fmt::format("{:.2f} s", seconds * share));
  }
  return text;
}

/// How many trades had been sent by each instant, over how many were due by it: the two lie on each other where the
/// schedule was kept.
std::string scheduled_against_actual(const PaceLog& log) {
  std::vector<double> due{0};
  std::vector<double> sent{0};
  for (std::size_t index = 0; index < log.bin_count(); ++index) {
    due.push_back(due.back() + static_cast<double>(log.bin(index).due_trades));
    sent.push_back(sent.back() + static_cast<double>(log.bin(index).sent_trades));
  }
  const double top = std::max(due.back(), sent.back());
  const double seconds =
      static_cast<double>(log.bin_width_ns()) * static_cast<double>(log.bin_count()) / double{kNanosecondsPerSecond};
  return picture("trades scheduled and sent over time",
                 line("due", due, top) + line("sent", sent, top) + time_axis(seconds) +
                     label(kLeft - 6, kTop + 8, "end", fmt::format("{:.0f}", top)) +
                     label(kLeft - 6, kTop + kPlotHeight, "end", "0"));
}

std::string lateness_over_time(const PaceLog& log) {
  std::vector<double> means;
  std::vector<double> maxima;
  for (std::size_t index = 0; index < log.bin_count(); ++index) {
    const PaceLog::Bin& bin = log.bin(index);
    means.push_back(bin.frames == 0 ? (means.empty() ? 0 : means.back())
                                    : static_cast<double>(bin.late_sum_ns) / static_cast<double>(bin.frames));
    maxima.push_back(static_cast<double>(bin.late_max_ns));
  }
  if (means.size() < 2) {
    means.resize(2, means.empty() ? 0 : means.front());
    maxima.resize(2, maxima.empty() ? 0 : maxima.front());
  }
  const double top = *std::max_element(maxima.begin(), maxima.end());
  const double seconds =
      static_cast<double>(log.bin_width_ns()) * static_cast<double>(log.bin_count()) / double{kNanosecondsPerSecond};
  return picture("lateness over time", line("max", maxima, top) + line("sent", means, top) + time_axis(seconds) +
                                           label(kLeft - 6, kTop + 8, "end", duration_text(top)) +
                                           label(kLeft - 6, kTop + kPlotHeight, "end", "0"));
}

/// Bars of a quarter of an octave, from 64 ns on.
std::string histogram(const PaceLog& log) {
  constexpr double kFirstPower = 6;
  constexpr double kBarsPerPower = 4;
  std::vector<double> bars;
  log.lateness().for_each_bucket([&](std::uint64_t first_ns, std::uint64_t last_ns, std::uint64_t count) {
    const double middle = (static_cast<double>(first_ns) + static_cast<double>(last_ns)) / 2;
    const double place = (std::log2(std::max(middle, 1.0)) - kFirstPower) * kBarsPerPower;
    const auto bar = static_cast<std::size_t>(std::max(place, 0.0));
    bars.resize(std::max(bars.size(), bar + 1));
    bars[bar] += static_cast<double>(count);
  });
  // At least to 1 ms, so that pages of good runs look alike.
  constexpr std::size_t kBarsMin = 56;
  bars.resize(std::max(bars.size(), kBarsMin));
  const double most = *std::max_element(bars.begin(), bars.end());
  const double width = kPlotWidth / static_cast<double>(bars.size());
  std::string inside;
  for (std::size_t bar = 0; bar < bars.size(); ++bar) {
    const double x = kLeft + width * static_cast<double>(bar);
    if (bars[bar] > 0) {
      const double height = std::max(kPlotHeight * bars[bar] / most, 1.0);  // one in a million is to be seen
      inside += fmt::format(
          "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{:.0f} frames from "
          "{}</title></rect>\n",
          x, kTop + kPlotHeight - height, std::max(width - 1, 0.5), height, bars[bar],
          duration_text(std::exp2(kFirstPower + static_cast<double>(bar) / kBarsPerPower)));
    }
    constexpr std::size_t kBarsPerMark = 8;
    if (bar % kBarsPerMark == 0) {
      inside += label(x, kHeight - 14, "middle",
                      duration_text(std::exp2(kFirstPower + static_cast<double>(bar) / kBarsPerPower)));
    }
  }
  inside +=
      label(kLeft - 6, kTop + 8, "end", fmt::format("{:.0f}", most)) + label(kLeft - 6, kTop + kPlotHeight, "end", "0");
  return picture("histogram of lateness", inside);
}

std::string lateness_table(const PaceLog& log) {
  const Lateness& late = log.lateness();
  std::string rows;
  for (const auto& [name, share] : {std::pair("p50", 0.5), std::pair("p90", 0.9), std::pair("p99", 0.99)}) {
    rows += row(name, duration_text(static_cast<double>(late.quantile_ns(share))));
  }
  rows += row("max", duration_text(static_cast<double>(late.max_ns())));
  for (std::size_t limit = 0; limit < PaceLog::kLimitsNs.size(); ++limit) {
    rows += row("later than " + duration_text(static_cast<double>(PaceLog::kLimitsNs[limit])),
                wiring::grouped_text(log.over()[limit]) + " frames");
  }
  rows += row("the late ones (over 1 ms) together", duration_text(static_cast<double>(log.late_sum_ns())));
  rows += row("overdue when their turn came", wiring::grouped_text(log.bunched()) + " frames");
  rows += row("in bursts, as recorded", wiring::grouped_text(log.in_bursts()) + " frames");
  rows += row("drift", fmt::format("{:.3f} us a minute", log.drift_ns_per_s() * 60 / 1e3));
  rows += row("least lateness, first and last tenth",
              duration_text(static_cast<double>(log.least_in_first_tenth_ns())) + ", " +
                  duration_text(static_cast<double>(log.least_in_last_tenth_ns())));
  return rows;
}

}  // namespace

std::string to_html(const PlayReport& report, const PaceLog& log) {
  std::string sessions;
  for (const std::string& session : report.sessions) {
    sessions += (sessions.empty() ? "" : ", ") + session;
  }
  const auto seconds = [](std::int64_t begin_ns, std::int64_t end_ns) {
    return static_cast<double>(end_ns - begin_ns) / double{kNanosecondsPerSecond};
  };
  const double sending_s = seconds(log.first_sent_ns(), log.last_sent_ns());
  const double due_s = seconds(log.first_due_ns(), log.last_due_ns());
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>mdreplay {0}: {1}</title>\n"
      "<style>{2}</style></head><body>\n<h1>mdreplay {0}</h1>\n<table>\n",
      escaped(report.command), escaped(sessions), kStyle);
  page += row("session", sessions) + row("digest", report.digest ? "sha256 " + *report.digest : "not known") +
          row("pace", words_for(report.pace) + (report.precise ? ", precise" : "")) +
          row("ended", report.stopped ? "stopped by a signal" : "at the session's end") +
          row("frames sent", wiring::grouped_text(log.frames())) +
          row("trades sent", wiring::grouped_text(log.trades())) +
          row("sent within", fmt::format("{:.6f} s", sending_s)) +
          row("achieved rate",
              fmt::format("{:.1f} trades/s", sending_s > 0 ? static_cast<double>(log.trades()) / sending_s : 0));
  if (log.lateness().count() != 0) {
    page += row("scheduled within", fmt::format("{:.6f} s", due_s));
  }
  for (const auto& [name, value] : report.details) {
    page += row(name, value);
  }
  page += "</table>\n";
  if (log.lateness().count() == 0) {
    return page + "<h2>Sent over time</h2>\n" + scheduled_against_actual(log) +
           "<p>Nothing had a time at which it was due.</p>\n</body></html>\n";
  }
  page +=
      "<h2>Scheduled against actual</h2>\n<p>Trades due (grey) and sent (blue).</p>\n" + scheduled_against_actual(log) +
      "<h2>How late frames were sent</h2>\n<table>\n" + lateness_table(log) + "</table>\n" + histogram(log) +
      "<h2>Lateness over time</h2>\n<p>Mean (blue) and maximum (orange) of each piece.</p>\n" + lateness_over_time(log);
  return page + "</body></html>\n";
}

}  // namespace mdpipe::replay
