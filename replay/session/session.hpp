#pragma once
/// \file
/// Recorded sessions as one stream of frames in the order of their schedule.
///
/// A session file holds lines of three kinds, told apart line by line:
///   trade lines    {"s":…,"p":…,"t":…,"v":…,"c":…}        played as a frame of one trade
///   frame lines    a message of the venue a line           (it has a "type")
///   capture lines  {"recv_ns":N,"frame":{…}}               with when it was received, ns since 1970
///                  {"recv_ns":N,"raw":"BASE64"}            what was received and is not JSON
/// plain, gzip or zstd. Blank lines are passed over. Anything else is damage: file, line and what is wrong.
/// A folder is a journal of mdpipe: its frames, with when each was received.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "replay/session/frame_parser.hpp"
#include "replay/session/skipped_lines.hpp"

namespace mdpipe::replay {

struct SessionOptions {
  std::vector<std::filesystem::path> paths;  ///< several are merged by schedule; where equal, the one named first
  std::optional<std::int64_t> from_ns;       ///< frames whose time is before it are left out
  std::optional<std::int64_t> to_ns;         ///< frames whose time is at or after it are left out
  std::vector<std::string> symbols;          ///< other symbols' trades are left out; empty: all stay
  std::shared_ptr<SkippedLines> skipped;     ///< damaged lines are left out and counted here; null: the first ends it
};

/// The time of frames that come before anything that tells a time: at once.
inline constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

struct SessionFrame {
  std::string_view text;  ///< as the venue sent it; valid until the next call
  bool is_json = true;    ///< false: bytes that were recorded as raw
  std::optional<std::int64_t> receive_time_ns;
  std::int64_t time_ns = 0;      ///< receive time, else latest exchange time, else the schedule's so far
  std::int64_t schedule_ns = 0;  ///< running maximum of time_ns
  FrameShape shape;
};

/// Thread safety: none; the symbol table is used by next() alone.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  /// False at the end. ErrorCode::data where the session is damaged: nothing more comes after that.
  [[nodiscard]] virtual Result<bool> next(SessionFrame& out) = 0;
};

/// Opens the sessions, merged and filtered as the options say. `symbols` gets each symbol as it comes; it must outlive
/// the source. ErrorCode::environment where a file is not there.
[[nodiscard]] Result<std::unique_ptr<FrameSource>> open_sessions(const SessionOptions& options, SymbolTable& symbols);

}  // namespace mdpipe::replay
