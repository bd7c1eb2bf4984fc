#include "message_record.hpp"

#include <algorithm>
#include <cstring>

namespace mdpipe::wiring {
namespace {

// The decoder reads a venue's frames: a message's value becomes the one trade of one.
constexpr std::string_view kBefore = R"({"type":"trade","data":[)";
constexpr std::string_view kBehind = "]}";
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kUsualValueBytes = 64U << 10U;

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::uint16_t trade_flags(std::uint8_t header_flags) {
  const auto flag = [&](kafka::HeaderFlag of_header, TradeFlag of_trade) {
    return (header_flags & of_header) != 0 ? static_cast<unsigned>(of_trade) : 0U;
  };
  return static_cast<std::uint16_t>(flag(kafka::kHeaderAfterGap, kTradeAfterGap) |
                                    flag(kafka::kHeaderOutOfOrder, kTradeOutOfOrder) | kTradeLastOfFrame);
}

}  // namespace

MessageRecord::MessageRecord(std::size_t symbols_max) : decoder_(kUsualValueBytes, symbols_max) {}

std::byte* MessageRecord::reserve(std::size_t bytes) {
  const std::size_t blocks = bytes / sizeof(Block) + 1;
  if (blocks > blocks_.size()) {
    blocks_.resize(blocks * 2);
  }
  return blocks_.front().bytes;
}

MessageRecord::Outcome MessageRecord::trade(std::string_view value, std::int64_t offset, std::int64_t time_ns,
                                            const kafka::MessageHeader& header, SymbolTable& symbols) {
  const std::string_view bare = without_blanks(value);
  if (bare.empty() || bare.front() != '{') {
    return {std::nullopt, "not a JSON object"};
  }
  const std::size_t length = kBefore.size() + value.size() + kBehind.size();
  // As many trades as the decoder may find in so many bytes, whatever they hold.
  std::byte* const record =
      reserve(record_length(length, length / kTradeTextMinBytes + 1) + kClaimPaddingBytes + kRecordAlignment);
  const FrameClaim claim(record, length);
  char* const payload = claim.payload();
  std::memcpy(payload, kBefore.data(), kBefore.size());
  std::memcpy(payload + kBefore.size(), value.data(), value.size());
  std::memcpy(payload + kBefore.size() + value.size(), kBehind.data(), kBehind.size());
  const feed::DecodeResult decoded = decoder_.decode(claim, length, symbols);
  if (decoded.reason != FrameReason::none) {
    return {std::nullopt, to_string(decoded.reason)};
  }
  Trade& trade = *claim.trades(length);
  // Not {…},{…}, nor anything that closes our list and goes on behind it.
  if (decoded.kind != FrameKind::trades || decoded.trade_count != 1 ||
      std::string_view(reinterpret_cast<const char*>(record) + trade.text_offset, trade.text_length) != bare) {
    return {std::nullopt, "more than one trade"};
  }
  trade.position = header.position;
  trade.receive_time_ns = time_ns;
  trade.flags = static_cast<std::uint16_t>(trade.flags | trade_flags(header.flags));
  trade.text_offset = static_cast<std::uint32_t>(sizeof(RecordHeader) + kBefore.size());
  trade.text_length = static_cast<std::uint32_t>(value.size());
  const RecordHeader written{static_cast<std::uint32_t>(record_length(length, 1)),
                             0,
                             position_behind(offset) + 1,
                             time_ns,
                             static_cast<std::uint16_t>(RecordKind::frame),
                             make_frame_sub(FrameKind::trades),
                             static_cast<std::uint32_t>(length)};
  std::memcpy(record, &written, sizeof written);
  return {RecordView(record), {}};
}

RecordView MessageRecord::nothing(std::int64_t next_offset) {
  const RecordHeader written{static_cast<std::uint32_t>(record_length(0, 0)),
                             0,
                             position_behind(next_offset),
                             0,
                             static_cast<std::uint16_t>(RecordKind::frame),
                             make_frame_sub(FrameKind::other),
                             0};
  std::memcpy(empty_[0].bytes, &written, sizeof written);
  return RecordView(empty_[0].bytes);
}

}  // namespace mdpipe::wiring
