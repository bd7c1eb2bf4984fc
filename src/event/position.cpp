#include "mdpipe/event/position.hpp"

#include <charconv>
#include <system_error>

#include <fmt/format.h>

namespace mdpipe {

std::string position_text(Position position) {
  return fmt::format("{}.{}", epoch_of(position), sequence_of(position));
}

std::optional<Position> parse_position(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  std::uint16_t epoch = 0;
  const auto [dot, epoch_error] = std::from_chars(text.data(), end, epoch);
  if (epoch_error != std::errc{} || dot == end || *dot != '.') {
    return std::nullopt;
  }
  std::uint64_t sequence = 0;
  const auto [behind, sequence_error] = std::from_chars(dot + 1, end, sequence);
  if (sequence_error != std::errc{} || behind != end || sequence >> kSequenceBits != 0) {
    return std::nullopt;
  }
  return make_position(epoch, sequence);
}

}  // namespace mdpipe
