#pragma once
/// \file
/// Sessions of any kind as one file of one kind of lines.

#include <cstdint>
#include <filesystem>
#include <string>

#include "mdpipe/base/error.hpp"
#include "replay/session/session.hpp"
#include "replay/session/session_format.hpp"

namespace mdpipe::replay {

/// What was written, and what the format has no place for.
struct ConvertReport {
  std::uint64_t lines = 0;
  std::uint64_t trades = 0;
  std::uint64_t frames_left_out = 0;    ///< trade lines: without a trade; frame lines: not JSON
  std::uint64_t elements_left_out = 0;  ///< trade lines: elements of trade frames that are no trades
  std::uint64_t times_made_up = 0;      ///< capture lines: of frames without a receive time, their schedule
};

/// A line break within a frame is a blank in the file, between JSON's tokens it means the same. Packed as the name's
/// ending says; "-" is stdout. Where a session is damaged nothing takes the place of what was there.
[[nodiscard]] Result<ConvertReport> convert_session(const SessionOptions& session, SessionFormat format,
                                                    const std::filesystem::path& path);

/// One line; without an end.
[[nodiscard]] std::string to_text(const ConvertReport& report);

}  // namespace mdpipe::replay
