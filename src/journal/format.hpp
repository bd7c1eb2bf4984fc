#pragma once
// The layout of a segment file, and what may be believed of its bytes. FORMAT.md is the text to this.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/record.hpp"

namespace mdpipe::journal {

inline constexpr std::uint64_t kSegmentMagic = 0x4E52'554F'4A50'444D;  // "MDPJOURN" as bytes
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint32_t kByteOrderMark = 0x0102'0304;
inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kBootIdBytes = 40;
inline constexpr std::uint16_t kFirstEpoch = 1;
inline constexpr std::uint16_t kLastEpoch = 65'534;
inline constexpr std::size_t kRollBytes = kRecordAlignment;
inline constexpr std::size_t kSessionTextMaxBytes = 1024;

/// The first page of a segment; the rest of the page is zero. `magic` is stored last, with release: a segment that was
/// prepared but not begun has 0 there.
struct SegmentHeader {
  std::uint64_t magic;                // 0
  std::uint32_t version;              // 8
  std::uint32_t byte_order;           // 12
  std::uint32_t header_bytes;         // 16
  std::uint32_t record_header_bytes;  // 20
  std::uint32_t trade_bytes;          // 24
  std::uint32_t payload_max_bytes;    // 28
  std::uint64_t journal_id;           // 32  random, never 0
  std::uint64_t index;                // 40  of the segment: from 1, rising by one
  std::uint64_t segment_bytes;        // 48  size of the file
  std::uint64_t first_sequence;       // 56  of the first record with a position
  Position previous_position;         // 64  last_position() of the record before this segment; 0 = none
  std::int64_t previous_time_ns;      // 72  receive time of the record before this segment; 0 = none
  std::uint64_t connections;          // 80  largest connection number before this segment
  std::int64_t created_ns;            // 88  wall clock when it was begun
  std::uint16_t epoch;                // 96
  std::uint16_t reserved;             // 98
  std::uint32_t symbols;              // 100 how many symbol records restate the table at its head
  char boot_id[kBootIdBytes];         // 104 of the machine when it was begun, padded with zeros
  std::uint32_t crc32c;               // 144 of bytes 0..144 with `magic` as it is when begun
};
static_assert(std::is_trivially_copyable_v<SegmentHeader> && offsetof(SegmentHeader, crc32c) == 144);

/// "000000000001.segment"
[[nodiscard]] std::string segment_name(std::uint64_t index);
[[nodiscard]] std::optional<std::uint64_t> parse_segment_name(std::string_view name);

/// The indices of all segment files, ascending; begun or not.
[[nodiscard]] Result<std::vector<std::uint64_t>> list_segments(const std::filesystem::path& directory);

[[nodiscard]] std::uint32_t header_checksum(const SegmentHeader& header) noexcept;

/// What is wrong with the header of a begun segment, in words; nothing where all is well.
[[nodiscard]] std::optional<std::string> judge_header(const SegmentHeader& header, std::uint64_t file_bytes,
                                                      std::uint64_t index);

/// Whether it begins as a journal's segment does, but of another version or byte order.
[[nodiscard]] bool is_of_another_format(const SegmentHeader& header) noexcept;

/// Where the checksums of a segment's records start from: a record that got into another segment, or another journal,
/// does not pass.
[[nodiscard]] std::uint32_t segment_seed(std::uint64_t journal_id, std::uint64_t index) noexcept;

/// CRC-32C of bytes 8..length, started from the segment's seed with the length folded in.
[[nodiscard]] std::uint32_t record_checksum(const std::byte* record, std::uint32_t length, std::uint32_t seed) noexcept;

/// The commit word.
[[nodiscard]] inline std::uint32_t load_length(const std::byte* record) noexcept {
  // Acquire: with the length come all bytes that were written before it was released.
  return std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(record)))
      .load(std::memory_order_acquire);
}
inline void store_length(std::byte* record, std::uint32_t length) noexcept {
  // Release: everything of the record, and the zero behind it, is seen by whoever sees the length.
  std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(record)).store(length, std::memory_order_release);
}
/// What stands where the next record will: never an old claim's bytes. Ordered by the release of the record before it.
inline void clear_length(std::byte* record) noexcept {
  std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(record)).store(0, std::memory_order_relaxed);
}

/// What is wrong with a record whose commit word is `length`, `room` bytes before the segment's end: lengths, kinds,
/// payloads too short for their kind, texts of trades outside the payload. Null where all is in bounds.
[[nodiscard]] const char* judge_bounds(const std::byte* record, std::uint32_t length, std::uint64_t room) noexcept;

/// How many trades a record of these lengths has. Precondition: its bounds were judged.
[[nodiscard]] constexpr std::uint64_t trades_of(std::uint32_t length, std::uint32_t payload_length) noexcept {
  return (length - trades_offset(payload_length)) / sizeof(Trade);
}

/// What a symbol is called whose definition was lost, so that those behind it keep their ids. No venue's text is that:
/// it is not UTF-8. Trades of it are not handed out.
[[nodiscard]] std::string lost_symbol_text(SymbolId id);
[[nodiscard]] inline bool is_lost_symbol(std::string_view text) noexcept {
  return text.starts_with('\xFF');
}

/// The bounds, then the checksum.
[[nodiscard]] const char* judge_record(const std::byte* record, std::uint32_t length, std::uint64_t room,
                                       std::uint32_t seed) noexcept;

/// The name of a file system that journals do not work on (copy-on-write: preallocation promises nothing; network: a
/// mapping is not shared), by its magic from statfs(2); nothing for others.
[[nodiscard]] std::optional<std::string_view> unsuitable_filesystem(long magic) noexcept;

}  // namespace mdpipe::journal
