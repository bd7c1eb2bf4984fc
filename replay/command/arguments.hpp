#pragma once
// Options that several commands have, and the one wording of each.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/wiring/text.hpp"
#include "replay/pace/schedule.hpp"
#include "replay/session/session.hpp"
#include "replay/session/session_format.hpp"

namespace mdpipe::replay {

// Every option has a limit; a number beyond 64 bits, which CLI11 takes for the largest there is, is beyond it too.
inline constexpr std::uint64_t kTradesMax = 1'000'000'000'000;
inline constexpr std::uint64_t kSymbolsMax = 10'000'000;
inline constexpr std::uint64_t kSeedMax = std::numeric_limits<std::int64_t>::max();
inline constexpr std::uint64_t kRoundsMax = 1'000'000'000;
inline constexpr std::uint64_t kSecondsMax = 31'536'000;
inline constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40U;

/// A whole number from 0 on.
inline CLI::Validator up_to(std::uint64_t limit) {
  return {[limit](const std::string& text) {
            std::uint64_t value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool good = error == std::errc{} && end == text.data() + text.size() && value <= limit;
            return good ? std::string() : fmt::format("{}: want a whole number up to {}", text, limit);
          },
          ""};
}

/// "capture", "frame" or "trade".
inline Result<SessionFormat> parse_format(const std::string& text) {
  for (const auto& [name, format] :
       {std::pair("capture", SessionFormat::capture), std::pair("frame", SessionFormat::frame),
        std::pair("trade", SessionFormat::trade)}) {
    if (text == name) {
      return format;
    }
  }
  return fail(ErrorCode::usage, fmt::format("--format {}: want capture, frame or trade", text));
}

/// What every command that reads sessions is told, as text.
struct SessionArguments {
  std::vector<std::string> paths;
  std::string from;
  std::string to;
  std::string symbols;
  bool skip_bad = false;
  std::shared_ptr<SkippedLines> skipped = std::make_shared<SkippedLines>();

  void add_to(CLI::App& command) {
    command
        .add_option("session", paths,
                    "session files (trade, frame or capture lines; plain, .gz or .zst) or journal folders; several are "
                    "merged by "
                    "time")
        ->type_name("SESSION");
    command.add_option("--from", from, "leave out frames before this time (RFC 3339 or epoch)")->type_name("TIME");
    command.add_option("--to", to, "leave out frames at or after this time")->type_name("TIME");
    command.add_option("--symbols", symbols, "leave out trades of other symbols; @FILE: one a line")
        ->join(',')
        ->type_name("A,B|@FILE");
    command.add_flag("--skip-bad", skip_bad,
                     "leave out damaged and foreign lines, and say at the end how many; else the first ends it");
  }

  /// At the end: what was left out.
  void say_skipped() const {
    if (const std::string words = skipped->words(); !words.empty()) {
      std::fputs(fmt::format("mdreplay: {}\n", words).c_str(), stderr);
    }
  }

  [[nodiscard]] Result<SessionOptions> options() const {
    if (paths.empty()) {
      return fail(ErrorCode::usage, "name at least one SESSION (see --help)");
    }
    SessionOptions options;
    options.paths.assign(paths.begin(), paths.end());
    if (skip_bad) {
      options.skipped = skipped;
    }
    if (!symbols.empty()) {
      auto wanted = wiring::parse_symbols(symbols);
      if (!wanted) {
        return tl::unexpected(wanted.error());
      }
      options.symbols = std::move(*wanted);
    }
    for (const auto& [text, target] : {std::pair(&from, &options.from_ns), std::pair(&to, &options.to_ns)}) {
      if (!text->empty()) {
        const auto time = parse_time_ns(*text);
        if (!time) {
          return tl::unexpected(time.error());
        }
        *target = *time;
      }
    }
    return options;
  }
};

/// How fast, as text.
struct PaceArguments {
  std::optional<std::string> speed;
  std::optional<double> rate;

  void add_to(CLI::App& command) {
    command.add_option("--speed", speed, "max, or so many times as fast as recorded")
        ->type_name("max|N")
        ->default_str("1");
    command.add_option("--rate", rate, "so many trades a second, whatever was recorded, in place of --speed")
        ->type_name("N");
  }

  [[nodiscard]] Result<Pace> pace() const {
    if (rate) {
      if (speed) {
        return fail(ErrorCode::usage, "--rate and --speed exclude each other");
      }
      if (!(*rate > 0) || *rate > 1e12) {
        return fail(ErrorCode::usage, fmt::format("--rate {}: want a number above 0", *rate));
      }
      return Pace{Pace::Kind::rate, 1, *rate};
    }
    const std::string text = speed.value_or("1");
    if (text == "max") {
      return Pace{Pace::Kind::max, 1, 0};
    }
    char* end = nullptr;
    const double factor = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(factor > 0) || factor > 1e9) {
      return fail(ErrorCode::usage, fmt::format("--speed {}: want max or a number above 0", text));
    }
    return Pace{Pace::Kind::recorded, factor, 0};
  }
};

}  // namespace mdpipe::replay
