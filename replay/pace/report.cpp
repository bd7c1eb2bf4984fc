#include "replay/pace/report.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <span>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/json_text.hpp"

namespace mdpipe::replay {
namespace {

double micros(std::uint64_t nanoseconds) noexcept {
  return static_cast<double>(nanoseconds) / 1e3;
}

double seconds_between(std::int64_t begin_ns, std::int64_t end_ns) noexcept {
  return static_cast<double>(end_ns - begin_ns) / double{kNanosecondsPerSecond};
}

std::string pace_json(const Pace& pace) {
  switch (pace.kind) {
    case Pace::Kind::max:
      return R"("speed":"max","rate":null)";
    case Pace::Kind::rate:
      return fmt::format(R"("speed":null,"rate":{})", pace.trades_per_second);
    case Pace::Kind::recorded:
      break;
  }
  return fmt::format(R"("speed":{},"rate":null)", pace.speed);
}

std::string lateness_json(const PaceLog& log) {
  const Lateness& late = log.lateness();
  std::string over;
  for (std::size_t limit = 0; limit < PaceLog::kLimitsNs.size(); ++limit) {
    over += fmt::format(R"({}"{}":{})", limit == 0 ? "" : ",", PaceLog::kLimitsNs[limit], log.over()[limit]);
  }
  std::string histogram;
  late.for_each_bucket([&](std::uint64_t first_ns, std::uint64_t last_ns, std::uint64_t count) {
    histogram += fmt::format("{}[{},{},{}]", histogram.empty() ? "" : ",", first_ns, last_ns, count);
  });
  const std::uint64_t mean_ns = late.count() == 0 ? 0 : late.sum_ns() / late.count();
  return fmt::format(R"("late_ns":{{"frames":{},"p50":{},"p90":{},"p99":{},"max":{},"last":{},"mean":{}}})",
                     late.count(), late.quantile_ns(0.5), late.quantile_ns(0.9), late.quantile_ns(0.99), late.max_ns(),
                     late.last_ns(), mean_ns) +
         fmt::format(R"(,"late":{{"later_than_ns":{},"frames":{},"sum_ns":{},"frames_later_than_ns":{{{}}}}})",
                     PaceLog::kLateNs, log.over()[1], log.late_sum_ns(), over) +
         fmt::format(R"(,"bunched_frames":{},"frames_in_bursts":{})", log.bunched(), log.in_bursts()) +
         fmt::format(R"(,"drift":{{"ns_per_s":{:.3f},"least_in_first_tenth_ns":{},"least_in_last_tenth_ns":{}}})",
                     log.drift_ns_per_s(), log.least_in_first_tenth_ns(), log.least_in_last_tenth_ns()) +
         fmt::format(R"(,"histogram_ns":[{}])", histogram);
}

std::string timeline_json(const PaceLog& log) {
  std::string bins;
  for (std::size_t index = 0; index < log.bin_count(); ++index) {
    const PaceLog::Bin& bin = log.bin(index);
    bins += fmt::format("{}[{},{},{},{}]", index == 0 ? "" : ",", bin.due_trades, bin.sent_trades,
                        bin.frames == 0 ? 0 : bin.late_sum_ns / bin.frames, bin.late_max_ns);
  }
  return fmt::format(
      R"("timeline":{{"bin_ns":{},"columns":["due_trades","sent_trades","late_mean_ns","late_max_ns"],"bins":[{}]}})",
      log.bin_width_ns(), bins);
}

}  // namespace

static_assert(PaceLog::kLimitsNs[1] == PaceLog::kLateNs);

std::string words_for(const Pace& pace) {
  switch (pace.kind) {
    case Pace::Kind::max:
      return "as fast as it goes";
    case Pace::Kind::rate:
      return fmt::format("{} trades/s", pace.trades_per_second);
    case Pace::Kind::recorded:
      break;
  }
  return pace.speed == 1 ? "as recorded" : fmt::format("{} times as fast as recorded", pace.speed);
}

std::string pacing_text(const PaceLog& log) {
  const Lateness& late = log.lateness();
  if (late.count() == 0) {
    return {};
  }
  std::string text =
      fmt::format("frames late by p50 {:.1f} us, p90 {:.1f}, p99 {:.1f}, max {:.1f}; the last by {:.1f}\n",
                  micros(late.quantile_ns(0.5)), micros(late.quantile_ns(0.9)), micros(late.quantile_ns(0.99)),
                  micros(late.max_ns()), micros(late.last_ns()));
  if (log.over()[1] != 0) {
    text += fmt::format(
        "late by more than {} ms: {} of {} frames, {:.3f} s together; {} were overdue when their turn came\n",
        PaceLog::kLateNs / kNanosecondsPerMillisecond, log.over()[1], late.count(),
        static_cast<double>(log.late_sum_ns()) / double{kNanosecondsPerSecond}, log.bunched());
  }
  return text;
}

std::string to_json(const PlayReport& report, const PaceLog& log) {
  std::string sessions;
  for (const std::string& session : report.sessions) {
    sessions += (sessions.empty() ? "" : ",") + json_string(session);
  }
  std::string json =
      fmt::format(R"({{"command":{},"sessions":[{}],"digest":{},{},"precise":{},"stopped":{})",
                  json_string(report.command), sessions, report.digest ? json_string(*report.digest) : "null",
                  pace_json(report.pace), report.precise, report.stopped);
  for (const auto& [name, value] : report.details) {
    json += fmt::format(",{}:{}", json_string(name), value);
  }
  const double sending_s = seconds_between(log.first_sent_ns(), log.last_sent_ns());
  const double due_s = seconds_between(log.first_due_ns(), log.last_due_ns());
  const auto trades = static_cast<double>(log.trades());
  json +=
      fmt::format(R"(,"frames_sent":{},"trades_sent":{},"scheduled_seconds":{:.9f},"sending_seconds":{:.9f},)"
                  R"("scheduled_trades_per_second":{:.3f},"achieved_trades_per_second":{:.3f},"first_due_unix_ns":{},)",
                  log.frames(), log.trades(), due_s, sending_s, due_s > 0 ? trades / due_s : 0,
                  sending_s > 0 ? trades / sending_s : 0, log.first_due_unix_ns());
  return json + lateness_json(log) + "," + timeline_json(log) + "}\n";
}

Result<void> check_report_path(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return fail(ErrorCode::usage, fmt::format("--report {}: it is there and is no file", path.string()));
  }
  // As it will be written: under another name, in the same folder.
  const std::filesystem::path trial = path.string() + ".new";
  const auto opened = open_file(trial, O_WRONLY | O_CREAT | O_TRUNC);
  if (!opened) {
    return fail(ErrorCode::environment, fmt::format("--report {}: {}", path.string(), opened.error().message));
  }
  ::unlink(trial.c_str());
  return {};
}

Result<void> write_report(const std::filesystem::path& path, const PlayReport& report, const PaceLog& log) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  const std::string text = ending == ".html" || ending == ".htm" ? to_html(report, log) : to_json(report, log);
  return replace_file(path, std::as_bytes(std::span(text)));
}

}  // namespace mdpipe::replay
