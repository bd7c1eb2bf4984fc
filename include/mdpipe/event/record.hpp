#pragma once
/// \file
/// Records: the entries of the journal, as they lie in memory and on disk. Little-endian.
///
///      0        4        8                16               24   26   28       32
///     +--------+--------+----------------+----------------+----+----+--------+------------------+-----+-------------+
///     | length | crc32c |    position    |  receive time  |kind|sub | payload|  payload bytes   | pad | trades, 64 B|
///     |  u32   |  u32   |      u64       |    ns i64      |u16 |u16 | len u32|                  | →64 |    each     |
///     +--------+--------+----------------+----------------+----+----+--------+------------------+-----+-------------+
///
/// `length` (the commit word) counts the whole record and is a multiple of 64; records start at multiples of 64, so
/// trades do too. The number of trades follows from length and payload length.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "mdpipe/event/trade.hpp"

namespace mdpipe {

static_assert(std::endian::native == std::endian::little, "records are read and written in place, little-endian");

inline constexpr std::size_t kRecordAlignment = 64;

[[nodiscard]] constexpr std::size_t align_record(std::size_t bytes) noexcept {
  return (bytes + kRecordAlignment - 1) & ~(kRecordAlignment - 1);
}

/// On disk: never renumber.
enum class RecordKind : std::uint16_t {
  frame = 1,    ///< a message as received, with its trades; `sub` = FrameKind
  symbol = 2,   ///< payload = SymbolPayload: gives an id its text, before its first use
  session = 3,  ///< payload = SessionPayload; `sub` = SessionKind
  roll = 4,     ///< the segment ends here; go on in the next one
};

enum class FrameKind : std::uint16_t {
  trades = 1,      ///< every element of it was a trade
  partly_bad = 2,  ///< good JSON, some elements no trades: the good ones are here, the frame is dead-lettered once
  ping = 3,
  error = 4,          ///< the venue's error message
  other = 5,          ///< good JSON of a type that we do not use (news, …)
  bad = 6,            ///< not JSON, not an object, or a trade with a key twice: no trades, dead-lettered whole
  bad_truncated = 7,  ///< too large (1009) or not UTF-8 (1007): payload = its beginning, dead-lettered flagged
};

/// Why a frame is bad or partly bad: first byte of FrameReason below; the words for headers and logs.
enum class FrameReason : std::uint8_t {
  none = 0,
  not_json,
  not_an_object,
  duplicate_key,
  element_not_a_trade,
  data_not_a_list,
  type_missing,
  number_out_of_range,
  too_large,
  not_utf8,
  too_many_symbols,
  binary,
  cut_off,  ///< the connection ended within the message
};
[[nodiscard]] std::string_view to_string(FrameReason reason) noexcept;
[[nodiscard]] std::string_view to_string(FrameKind kind) noexcept;

/// A frame's `sub` field: kind in the low byte, reason in the high one.
[[nodiscard]] constexpr std::uint16_t make_frame_sub(FrameKind kind, FrameReason reason = FrameReason::none) noexcept {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(kind) |
                                    static_cast<std::uint16_t>(static_cast<std::uint16_t>(reason) << 8U));
}

struct RecordHeader {
  std::uint32_t length;          // 0   commit word: stored last, with release
  std::uint32_t crc32c;          // 4   of bytes 8..length, seeded with its place (see the journal's FORMAT.md)
  Position position;             // 8
  std::int64_t receive_time_ns;  // 16
  std::uint16_t kind;            // 24  RecordKind
  std::uint16_t sub;             // 26
  std::uint32_t payload_length;  // 28
};
static_assert(sizeof(RecordHeader) == 32 && std::is_trivially_copyable_v<RecordHeader>);
static_assert(offsetof(RecordHeader, position) == 8 && offsetof(RecordHeader, payload_length) == 28);

enum class SessionKind : std::uint16_t {
  connected = 1,
  subscribed = 2,    ///< every symbol has been asked for on this connection
  gap = 3,           ///< trades may be missing between `from_ns` and `to_ns`
  stale = 4,         ///< connected, but no data for too long
  disconnected = 5,  ///< `code` = the close code, 1006 where there was none
};
[[nodiscard]] std::string_view to_string(SessionKind kind) noexcept;

/// Payload of a session record: this, then text (a reason, redacted).
struct SessionPayload {
  std::uint64_t connection;  // counts connections of this journal, from 1
  std::int64_t from_ns;      // gap: receive time of the last frame before it; else 0
  std::int64_t to_ns;        // gap: when the feed was subscribed again; else 0
  std::uint32_t code;        // disconnected: close code
  std::uint32_t reserved;
};
static_assert(sizeof(SessionPayload) == 32);

/// Payload of a symbol record: this, then the symbol's text.
struct SymbolPayload {
  SymbolId id;
  std::uint32_t reserved;
};
static_assert(sizeof(SymbolPayload) == 8);

/// Length of the record that defines a symbol: 64 for texts of up to 24 bytes.
[[nodiscard]] constexpr std::size_t symbol_record_length(std::size_t text_length) noexcept {
  return align_record(sizeof(RecordHeader) + sizeof(SymbolPayload) + text_length);
}

/// Where the trades of a record with this payload begin, from the record's start.
[[nodiscard]] constexpr std::size_t trades_offset(std::size_t payload_length) noexcept {
  return align_record(sizeof(RecordHeader) + payload_length);
}
[[nodiscard]] constexpr std::size_t record_length(std::size_t payload_length, std::size_t trade_count) noexcept {
  return trades_offset(payload_length) + trade_count * sizeof(Trade);
}

/// A committed record, read in place. Trivial to copy; valid as long as its memory is (a journal's reader says how
/// long). Precondition: the record's bounds were checked by whoever made the view (length, payload_length, text
/// slices).
class RecordView {
 public:
  explicit RecordView(const std::byte* record) noexcept : record_(record) {}

  [[nodiscard]] const RecordHeader& header() const noexcept { return *reinterpret_cast<const RecordHeader*>(record_); }
  [[nodiscard]] RecordKind kind() const noexcept { return static_cast<RecordKind>(header().kind); }
  [[nodiscard]] Position position() const noexcept { return header().position; }
  /// The position of its last trade; its own where it has none.
  [[nodiscard]] Position last_position() const noexcept { return position() + trades().size(); }
  [[nodiscard]] std::int64_t receive_time_ns() const noexcept { return header().receive_time_ns; }

  [[nodiscard]] FrameKind frame_kind() const noexcept { return static_cast<FrameKind>(header().sub & 0xFFU); }
  [[nodiscard]] FrameReason frame_reason() const noexcept { return static_cast<FrameReason>(header().sub >> 8U); }
  [[nodiscard]] SessionKind session_kind() const noexcept { return static_cast<SessionKind>(header().sub); }

  [[nodiscard]] std::string_view payload() const noexcept {
    return {reinterpret_cast<const char*>(record_) + sizeof(RecordHeader), header().payload_length};
  }
  [[nodiscard]] std::span<const Trade> trades() const noexcept {
    const std::size_t offset = trades_offset(header().payload_length);
    return {reinterpret_cast<const Trade*>(record_ + offset), (header().length - offset) / sizeof(Trade)};
  }
  /// The trade's JSON text, byte for byte as the venue sent it.
  [[nodiscard]] std::string_view text(const Trade& trade) const noexcept {
    return {reinterpret_cast<const char*>(record_) + trade.text_offset, trade.text_length};
  }
  [[nodiscard]] SessionPayload session() const noexcept {
    SessionPayload session;
    std::memcpy(&session, payload().data(), sizeof session);
    return session;
  }
  [[nodiscard]] std::string_view session_text() const noexcept { return payload().substr(sizeof(SessionPayload)); }
  [[nodiscard]] SymbolId symbol_id() const noexcept {
    SymbolPayload symbol;
    std::memcpy(&symbol, payload().data(), sizeof symbol);
    return symbol.id;
  }
  [[nodiscard]] std::string_view symbol_text() const noexcept { return payload().substr(sizeof(SymbolPayload)); }

  [[nodiscard]] const std::byte* data() const noexcept { return record_; }

 private:
  const std::byte* record_;
};

}  // namespace mdpipe
