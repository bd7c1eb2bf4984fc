#pragma once
/// \file
/// What is to go wrong on purpose: a --faults file, read and checked.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::replay {

enum class FaultKind : std::uint8_t {
  close,      ///< the connection ends behind the frame: with a code, without a close frame, by a reset
  silence,    ///< nothing comes behind the frame, for a time or for good; pings may go on
  stall,      ///< nothing comes behind a part of the frame, for a time or for good
  fragment,   ///< the frame in fragments
  duplicate,  ///< the frame several times
  reorder,    ///< the frame and those behind it in another order
  corrupt,    ///< some bytes of the frame are others
  malformed,  ///< behind the frame comes something that cannot be used
  drip,       ///< the frame a few bytes at a time
  refuse,     ///< the handshake is answered with a status
  slow,       ///< the handshake's answer comes late
};

/// What `malformed` sends; the last three end the connection with a client that keeps to RFC 6455.
enum class Malformed : std::uint8_t {
  truncated,      ///< a frame's text cut anywhere
  garbage,        ///< printable, but no JSON
  empty,          ///< no bytes
  nan,            ///< a price NaN
  huge_number,    ///< a price 1e999
  twice_a_key,    ///< a trade with two prices
  nested,         ///< brackets, thousands deep
  no_object,      ///< a list with a frame in it
  mistyped,       ///< a price in quotes
  missing_field,  ///< a trade without price and size
  binary,         ///< a frame's text as a binary message
  not_utf8,       ///< text that is not UTF-8: 1007
  reserved_bits,  ///< a frame with a reserved bit set: 1002
  opcode,         ///< a frame with an opcode that there is not: 1002
};

/// One [[fault]] of the file. Of the parameters those count that its kind has.
struct Fault {
  FaultKind kind = FaultKind::close;
  int line = 0;  ///< of the file

  // When. Exactly one of the first three; handshakes have no trades and no time: `connection` or `rate`.
  std::uint64_t trade = 0;              ///< at the frame with the connection's so-many-th trade; 0 = not so
  std::optional<std::int64_t> time_ns;  ///< at the first frame at or behind this time of the session
  bool time_counts_from_start = false;  ///< time_ns counts from the session's first frame, else from 1970
  std::optional<double> rate;           ///< at each frame (handshake) with this probability
  std::uint64_t connection = 0;         ///< only on this one, counted from 1; 0 = on each

  // How.
  std::uint16_t code = 0;  ///< close: 0 = no close frame
  bool reset = false;
  std::optional<std::uint32_t> pause_ms;  ///< silence, stall: none = for good; slow: how late
  bool pings = false;
  std::uint32_t parts = 3;
  std::uint32_t times = 3;
  std::uint32_t window = 4;
  std::uint32_t bytes = 1;  ///< corrupt: how many are changed; drip: at a time
  bool ascii = false;       ///< corrupt: printable ASCII in ASCII's place only, so that it stays UTF-8
  std::uint32_t every_ms = 5;
  std::vector<Malformed> payloads;  ///< one of these, by chance
  std::uint16_t status = 503;
  std::uint32_t retry_after_s = 0;  ///< 0 = the answer does not say
};

struct FaultPlan {
  std::vector<Fault> faults;
  std::uint64_t seed = 1;

  /// ErrorCode::environment where the file is not there, ErrorCode::usage, with file and line, where it makes no sense.
  [[nodiscard]] static Result<FaultPlan> read(const std::filesystem::path& path, std::uint64_t seed);
};

[[nodiscard]] std::string_view name_of(FaultKind kind) noexcept;
[[nodiscard]] std::string_view name_of(Malformed payload) noexcept;

}  // namespace mdpipe::replay
