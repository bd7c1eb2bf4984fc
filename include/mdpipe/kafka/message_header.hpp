#pragma once
/// \file
/// The header `mdp` on every message: whose it is and where it stands, so that a reader can drop what comes twice and
/// notice what is missing.
///
///      0        1       2                10               18                26
///     +--------+-------+----------------+----------------+-----------------+
///     | version| flags | source u64     | position u64   | previous u64    |   little-endian
///     +--------+-------+----------------+----------------+-----------------+
///
/// source: the journal's id. position: of the trade (or record) that caused the message; the positions of one source
/// rise in each partition. previous: the position that this source put into this partition before; 0 for its first.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace mdpipe::kafka {

inline constexpr std::string_view kHeaderName = "mdp";
inline constexpr std::size_t kHeaderBytes = 26;
inline constexpr std::uint8_t kHeaderVersion = 1;

/// In messages: never renumber.
enum HeaderFlag : std::uint8_t {
  kHeaderAfterGap = 1U << 0U,     ///< a gap of the feed precedes this trade of its symbol
  kHeaderPriceUpdate = 1U << 1U,  ///< size 0
  kHeaderOutOfOrder = 1U << 2U,
  kHeaderInexact = 1U << 3U,
  kHeaderTruncated = 1U << 4U,  ///< a dead letter that is the beginning of what came
};

struct MessageHeader {
  std::uint8_t flags = 0;
  std::uint64_t source = 0;
  std::uint64_t position = 0;
  std::uint64_t previous = 0;
};

[[nodiscard]] inline std::array<char, kHeaderBytes> encode(const MessageHeader& header) noexcept {
  std::array<char, kHeaderBytes> bytes;
  bytes[0] = static_cast<char>(kHeaderVersion);
  bytes[1] = static_cast<char>(header.flags);
  std::memcpy(bytes.data() + 2, &header.source, 8);
  std::memcpy(bytes.data() + 10, &header.position, 8);
  std::memcpy(bytes.data() + 18, &header.previous, 8);
  return bytes;
}

/// Nothing where it is of another length or version.
[[nodiscard]] inline std::optional<MessageHeader> decode(std::string_view bytes) noexcept {
  if (bytes.size() != kHeaderBytes || static_cast<std::uint8_t>(bytes[0]) != kHeaderVersion) {
    return std::nullopt;
  }
  MessageHeader header;
  header.flags = static_cast<std::uint8_t>(bytes[1]);
  std::memcpy(&header.source, bytes.data() + 2, 8);
  std::memcpy(&header.position, bytes.data() + 10, 8);
  std::memcpy(&header.previous, bytes.data() + 18, 8);
  return header;
}

}  // namespace mdpipe::kafka
