#include "format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/crc32c.hpp"
#include "mdpipe/base/file.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::string_view kSuffix = ".segment";
constexpr std::size_t kNameDigits = 12;

}  // namespace

std::string segment_name(std::uint64_t index) {
  return fmt::format("{:0{}}{}", index, kNameDigits, kSuffix);
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() < kNameDigits + kSuffix.size() || !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  name.remove_suffix(kSuffix.size());
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc{} || end != name.data() + name.size() || index == 0) {
    return std::nullopt;
  }
  return index;
}

Result<std::vector<std::uint64_t>> list_segments(const std::filesystem::path& directory) {
  const auto names = list_directory(directory);
  if (!names) {
    return fail(names.error().code, "the journal " + names.error().message);
  }
  std::vector<std::uint64_t> indices;
  for (const std::string& name : *names) {
    if (const auto index = parse_segment_name(name)) {
      indices.push_back(*index);
    }
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::uint32_t header_checksum(const SegmentHeader& header) noexcept {
  SegmentHeader begun = header;
  begun.magic = kSegmentMagic;
  return crc32c(std::as_bytes(std::span(&begun, 1)).first(offsetof(SegmentHeader, crc32c)));
}

std::optional<std::string> judge_header(const SegmentHeader& header, std::uint64_t file_bytes, std::uint64_t index) {
  if (header.magic != kSegmentMagic) {
    return "it does not begin as a journal's segment does";
  }
  if (header.byte_order != kByteOrderMark) {
    return "it was written on a machine of another byte order";
  }
  if (header.version != kFormatVersion) {
    return fmt::format("it is of format version {}; this program reads version {}", header.version, kFormatVersion);
  }
  if (header.crc32c != header_checksum(header)) {
    return "the checksum of its header does not fit";
  }
  if (header.header_bytes != kHeaderBytes || header.record_header_bytes != sizeof(RecordHeader) ||
      header.trade_bytes != sizeof(Trade)) {
    return fmt::format("its header says records of {} + {} bytes behind {}; this program reads {} + {} behind {}",
                       header.record_header_bytes, header.trade_bytes, header.header_bytes, sizeof(RecordHeader),
                       sizeof(Trade), kHeaderBytes);
  }
  if (header.segment_bytes != file_bytes || file_bytes % kHeaderBytes != 0) {
    return fmt::format("its header says {} bytes, the file has {}", header.segment_bytes, file_bytes);
  }
  if (file_bytes < kHeaderBytes + kRollBytes) {
    return "it has no room for a record";
  }
  if (header.index != index) {
    return fmt::format("its header says segment {}: it was renamed or swapped", header.index);
  }
  if (header.journal_id == 0 || header.epoch == 0 || header.first_sequence == 0) {
    return "its header holds a zero where none can be";
  }
  return std::nullopt;
}

bool is_of_another_format(const SegmentHeader& header) noexcept {
  return header.magic == kSegmentMagic && (header.byte_order != kByteOrderMark || header.version != kFormatVersion);
}

std::uint32_t segment_seed(std::uint64_t journal_id, std::uint64_t index) noexcept {
  const std::array<std::uint64_t, 2> identity{journal_id, index};
  return crc32c(std::as_bytes(std::span(identity)));
}

std::uint32_t record_checksum(const std::byte* record, std::uint32_t length, std::uint32_t seed) noexcept {
  constexpr std::size_t kFrom = offsetof(RecordHeader, position);
  return crc32c({record + kFrom, length - kFrom}, seed ^ length);
}

const char* judge_bounds(const std::byte* record, std::uint32_t length, std::uint64_t room) noexcept {
  if (length < kRecordAlignment || length % kRecordAlignment != 0 || length > room) {
    return "its length cannot be";
  }
  const auto& header = *reinterpret_cast<const RecordHeader*>(record);
  const std::uint64_t payload_end = sizeof(RecordHeader) + std::uint64_t{header.payload_length};
  if (payload_end > length) {
    return "its payload is longer than itself";
  }
  const bool may_have_trades = header.kind == static_cast<std::uint16_t>(RecordKind::frame);
  if (!may_have_trades && align_record(payload_end) != length) {
    return "it is longer than its payload";
  }
  switch (static_cast<RecordKind>(header.kind)) {
    case RecordKind::frame:
      break;
    case RecordKind::symbol:
      return header.payload_length >= sizeof(SymbolPayload) ? nullptr : "a symbol without an id";
    case RecordKind::session:
      return header.payload_length >= sizeof(SessionPayload) ? nullptr : "a session event cut short";
    case RecordKind::roll:
      return header.payload_length == 0 ? nullptr : "a roll record with a payload";
    default:
      return "its kind is unknown";
  }
  // Not by RecordView::trades(): that reads the length again, which the writer of a live journal could have changed.
  const std::uint64_t first = align_record(payload_end);
  for (std::uint64_t at = first; at < length; at += sizeof(Trade)) {
    const auto& trade = *reinterpret_cast<const Trade*>(record + at);
    if (trade.text_offset < sizeof(RecordHeader) ||
        std::uint64_t{trade.text_offset} + trade.text_length > payload_end) {
      return "the text of a trade lies outside its frame";
    }
  }
  return nullptr;
}

std::string lost_symbol_text(SymbolId id) {
  return fmt::format("\xFF{}", id);
}

const char* judge_record(const std::byte* record, std::uint32_t length, std::uint64_t room,
                         std::uint32_t seed) noexcept {
  if (const char* const wrong = judge_bounds(record, length, room)) {
    return wrong;
  }
  const auto& header = *reinterpret_cast<const RecordHeader*>(record);
  return header.crc32c == record_checksum(record, length, seed) ? nullptr : "its checksum does not fit";
}

std::optional<std::string_view> unsuitable_filesystem(long magic) noexcept {
  constexpr std::array<std::pair<long, std::string_view>, 10> kUnsuitable{{
      {0x9123'683E, "btrfs (copy-on-write)"},
      {0x2FC1'2FC1, "zfs (copy-on-write)"},
      {0xCA45'1A4E, "bcachefs (copy-on-write)"},
      {0x6969, "nfs (network)"},
      {0x517B, "smb (network)"},
      {0xFF53'4D42, "cifs (network)"},
      {0xFE53'4D42, "smb2 (network)"},
      {0x00C3'6400, "ceph (network)"},
      {0x5346'414F, "afs (network)"},
      {0x0102'1997, "9p (network)"},
  }};
  for (const auto& [number, name] : kUnsuitable) {
    if (number == magic) {
      return name;
    }
  }
  return std::nullopt;
}

}  // namespace mdpipe::journal
