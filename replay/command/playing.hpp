#pragma once
// What commands that play a session have in common besides the session and the pace: progress and report.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/secret.hpp"
#include "replay/pace/progress.hpp"
#include "replay/pace/report.hpp"
#include "replay/pace/survey.hpp"

namespace mdpipe::replay {

/// Add it after the pace.
struct PlayingArguments {
  std::string report;
  bool quiet = false;
  bool precise = false;

  void add_to(CLI::App& command) {
    command.add_flag("--precise", precise,
                     "wait for the last 0.5 ms before each frame with the processor: it takes up to all of a core");
    command
        .add_option("--report", report,
                    "when it was due and when sent, percentiles, drift, what was late; a page with pictures where FILE "
                    "ends in .html, else one JSON object")
        ->type_name("FILE");
    command.add_flag("--quiet", quiet, "no progress (on a terminal a bar, elsewhere a line every 10 s)");
  }
};

/// Goes with one run of a command.
class Playing {
 public:
  Playing(const PlayingArguments& arguments, const SessionOptions& session, const Pace& pace, std::uint64_t rounds)
      : arguments_(arguments),
        session_(session),
        pace_(pace),
        survey_(session),
        progress_(options(rounds), position_, survey_) {}

  /// Refuses what could not be written at the end. Before anything is played.
  [[nodiscard]] Result<void> begin() {
    if (!arguments_.report.empty()) {
      if (auto checked = check_report_path(arguments_.report); !checked) {
        return checked;
      }
    }
    // At max a survey would take what the player wants; the digest then comes at the end.
    const bool wanted = pace_.kind == Pace::Kind::max ? progress_.on_terminal() && !arguments_.quiet
                                                      : !arguments_.report.empty() || !arguments_.quiet;
    if (wanted) {
      if (auto started = survey_.start(); !started) {
        return started;
      }
    }
    return progress_.start();
  }

  [[nodiscard]] PlayPosition& position() noexcept { return position_; }
  void say(const std::string& words) { progress_.say(redact(words)); }
  void finish() { progress_.finish(); }

  /// After finish().
  [[nodiscard]] Result<void> report(const std::string& command, bool stopped, const PaceLog& log,
                                    std::vector<std::pair<std::string, std::string>> details) {
    if (arguments_.report.empty()) {
      return {};
    }
    PlayReport report;
    report.command = command;
    for (const auto& path : session_.paths) {
      report.sessions.push_back(path.string());
    }
    // Who has stopped it does not want to wait until a long session is read through.
    if (const SessionSummary* const summary = stopped ? survey_.known() : survey_.wait(); summary != nullptr) {
      report.digest = summary->digest;
    }
    report.pace = pace_;
    report.precise = arguments_.precise;
    report.stopped = stopped;
    report.details = std::move(details);
    return write_report(arguments_.report, report, log);
  }

 private:
  [[nodiscard]] ProgressOptions options(std::uint64_t rounds) const {
    ProgressOptions options;
    options.quiet = arguments_.quiet;
    options.pace = pace_;
    options.rounds = rounds;
    return options;
  }

  const PlayingArguments& arguments_;
  const SessionOptions session_;
  const Pace pace_;
  PlayPosition position_;
  SessionSurvey survey_;
  Progress progress_;  // last: it reads the two before it
};

}  // namespace mdpipe::replay
