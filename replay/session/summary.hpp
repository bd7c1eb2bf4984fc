#pragma once
/// \file
/// What `mdreplay info` says of a session.

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "replay/session/activity.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

struct SessionSummary {
  std::uint64_t frames = 0;  ///< trade_frames + pings + errors + other + bad
  std::uint64_t trade_frames = 0;
  std::uint64_t pings = 0;
  std::uint64_t errors = 0;
  std::uint64_t other = 0;
  std::uint64_t bad = 0;  ///< nothing of them can be used: they go to the dead letters whole
  std::uint64_t trades = 0;
  std::uint64_t bad_elements = 0;        ///< in trade frames, no trades
  std::uint64_t bytes = 0;               ///< of the frames, as they go over the wire
  std::optional<std::int64_t> first_ns;  ///< of the schedule
  std::optional<std::int64_t> last_ns;
  std::map<std::string, std::uint64_t> trades_by_symbol;
  /// SHA-256, in hex, over every trade in order: length of the symbol (u32, little-endian), the symbol, length of the
  /// trade's text (u32), the text. Equal digests: the same keys and values in the same order.
  std::string digest;
  /// The same a symbol: over length (u32) and text of each of its trades. Empty unless asked for.
  std::map<std::string, std::string> digests_by_symbol;
  Activity activity;  ///< by the schedule
};

/// `digests`: one for each symbol, too. `stop`, where there is one, ends it early, with an error, once it is true.
[[nodiscard]] Result<SessionSummary> summarize(const SessionOptions& options, bool digests = false,
                                               const std::atomic<bool>* stop = nullptr);

/// For people (the symbols with the most trades alone, unless their digests were asked for), and as one JSON object;
/// both end with a line end.
[[nodiscard]] std::string to_text(const SessionSummary& summary);
[[nodiscard]] std::string to_json(const SessionSummary& summary);

}  // namespace mdpipe::replay
