#pragma once
/// \file
/// Positions: the total order of everything in one journal.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mdpipe {

/// (epoch << 48 | sequence). A record takes one position, each of its trades the next ones. 0 = before everything.
/// Within an epoch the sequence rises by one from 1; a new epoch starts again at 1, so positions only ever rise.
using Position = std::uint64_t;

inline constexpr Position kBeforeEverything = 0;
inline constexpr int kSequenceBits = 48;

[[nodiscard]] constexpr Position make_position(std::uint16_t epoch, std::uint64_t sequence) noexcept {
  return (static_cast<Position>(epoch) << kSequenceBits) | sequence;
}
[[nodiscard]] constexpr std::uint16_t epoch_of(Position position) noexcept {
  return static_cast<std::uint16_t>(position >> kSequenceBits);
}
[[nodiscard]] constexpr std::uint64_t sequence_of(Position position) noexcept {
  return position & ((Position{1} << kSequenceBits) - 1);
}

/// "1.500": epoch, sequence. How people and files of text name a position.
[[nodiscard]] std::string position_text(Position position);
/// The same back; nothing where it is something else.
[[nodiscard]] std::optional<Position> parse_position(std::string_view text) noexcept;

}  // namespace mdpipe
