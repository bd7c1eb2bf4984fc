#pragma once
/// \file
/// What a player of a session says at its end: for people, as one JSON object, and as a page with pictures that needs
/// nothing from outside.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "replay/pace/pace_log.hpp"
#include "replay/pace/schedule.hpp"

namespace mdpipe::replay {

struct PlayReport {
  std::string command;  ///< "serve" or "kafka"
  std::vector<std::string> sessions;
  std::optional<std::string> digest;  ///< of the session as it is recorded; none where it could not be read through
  Pace pace;
  bool precise = false;
  bool stopped = false;  ///< by a signal, before the session's end
  /// What only this command knows: name, and value as JSON.
  std::vector<std::pair<std::string, std::string>> details;
};

/// "late by p50 … us, …" and what was late; empty where nothing had a time.
[[nodiscard]] std::string pacing_text(const PaceLog& log);
[[nodiscard]] std::string to_json(const PlayReport& report, const PaceLog& log);
[[nodiscard]] std::string to_html(const PlayReport& report, const PaceLog& log);

/// "as recorded", "20 times as fast as recorded", "5000 trades/s", "as fast as it goes".
[[nodiscard]] std::string words_for(const Pace& pace);

/// Whether a report can be written there: asked before a session is played. ErrorCode::usage for a folder,
/// ErrorCode::environment where its folder is not there or may not be written.
[[nodiscard]] Result<void> check_report_path(const std::filesystem::path& path);
/// HTML where the name ends in .html or .htm, else JSON. What was there before stays whole until the new is.
[[nodiscard]] Result<void> write_report(const std::filesystem::path& path, const PlayReport& report,
                                        const PaceLog& log);

}  // namespace mdpipe::replay
