#include "support/decoder_check.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

namespace mdpipe::testing {
namespace {

constexpr std::size_t kPayloadMaxBytes = 4096;
constexpr std::size_t kSymbolsKept = 10'000;

std::string difference_of(const Trade& trade, std::string_view symbol, std::string_view text,
                          const ReferenceTrade& expected) {
  std::string words;
  const auto compare = [&](std::string_view what, const auto& is, const auto& should) {
    if (is != should) {
      words += fmt::format("{} is {}, should be {}; ", what, is, should);
    }
  };
  compare("symbol", symbol, std::string_view(expected.symbol));
  compare("text", text, expected.text);
  compare("exchange time", trade.exchange_time_ns, expected.exchange_time_ns);
  compare("price mantissa", trade.price_mantissa, expected.price_mantissa);
  compare("price exponent", int{trade.price_exponent}, expected.price_exponent);
  compare("size mantissa", trade.size_mantissa, expected.size_mantissa);
  compare("size exponent", int{trade.size_exponent}, expected.size_exponent);
  compare("conditions", trade.conditions, expected.conditions);
  compare("flags", trade.flags, expected.flags);
  compare("position", trade.position, Position{0});
  compare("receive time", trade.receive_time_ns, std::int64_t{0});
  return words;
}

}  // namespace

FrameClaim ClaimRoom::with_payload(std::string_view payload, std::string_view filler) {
  const std::size_t bytes = std::max(record_length(payload.size(), payload.size() / kTradeTextMinBytes),
                                     sizeof(RecordHeader) + payload.size() + kClaimPaddingBytes);
  // Freed and made anew, so that an address sanitizer sees the first byte that is written too far.
  std::vector<Line>().swap(lines_);
  lines_.resize(align_record(bytes) / kRecordAlignment);
  auto* const record = reinterpret_cast<std::byte*>(lines_.data());
  auto* at = reinterpret_cast<char*>(record) + sizeof(RecordHeader);
  at = std::copy(payload.begin(), payload.end(), at);
  const char* const end = reinterpret_cast<char*>(record) + lines_.size() * kRecordAlignment;
  for (std::size_t i = 0; at != end && !filler.empty(); ++at, ++i) {
    *at = filler[i % filler.size()];
  }
  return {record, payload.size()};
}

DecoderCheck::DecoderCheck() : decoder_(kPayloadMaxBytes), few_symbols_decoder_(kPayloadMaxBytes, kSymbolsFew) {}

std::string DecoderCheck::difference(std::string_view message, std::string_view filler) {
  if (symbols_.size() > kSymbolsKept) {
    symbols_ = SymbolTable();
  }
  const ReferenceFrame expected = reference_decode(message);
  const FrameClaim claim = room_.with_payload(message, filler);
  last_ = decoder_.decode(claim, message.size(), symbols_);
  if (last_.kind != expected.kind || last_.reason != expected.reason || last_.trade_count != expected.trades.size()) {
    return fmt::format("is {} ({}) with {} trades, should be {} ({}) with {}", to_string(last_.kind),
                       to_string(last_.reason), last_.trade_count, to_string(expected.kind), to_string(expected.reason),
                       expected.trades.size());
  }
  if (std::memcmp(claim.payload(), message.data(), message.size()) != 0) {
    return "the message was changed";
  }
  const Trade* const trades = claim.trades(message.size());
  for (std::size_t i = 0; i < expected.trades.size(); ++i) {
    const Trade& trade = trades[i];
    if (trade.symbol_id >= symbols_.size()) {
      return fmt::format("trade {}: symbol id {} of {}", i, trade.symbol_id, symbols_.size());
    }
    if (trade.text_offset < sizeof(RecordHeader) ||
        trade.text_offset + std::size_t{trade.text_length} > sizeof(RecordHeader) + message.size()) {
      return fmt::format("trade {}: text of {} bytes at {} leaves the message", i, trade.text_length,
                         trade.text_offset);
    }
    const std::string_view text = message.substr(trade.text_offset - sizeof(RecordHeader), trade.text_length);
    if (text.data() != expected.trades[i].text.data()) {
      return fmt::format("trade {}: text at {}", i, trade.text_offset);
    }
    const std::string words = difference_of(trade, symbols_.text(trade.symbol_id), text, expected.trades[i]);
    if (!words.empty()) {
      return fmt::format("trade {}: {}", i, words);
    }
  }
  return {};
}

std::string DecoderCheck::difference_with_few_symbols(std::string_view message) {
  ReferenceFrame expected = reference_decode(message);
  std::vector<std::string> known;
  std::size_t known_bytes = 0;
  const std::size_t all = expected.trades.size();
  std::erase_if(expected.trades, [&](const ReferenceTrade& trade) {
    const bool is_known = std::find(known.begin(), known.end(), trade.symbol) != known.end();
    if (!is_known && known_bytes + symbol_record_length(trade.symbol.size()) <= kSymbolsFew * kRecordAlignment) {
      known.push_back(trade.symbol);
      known_bytes += symbol_record_length(trade.symbol.size());
      return false;
    }
    return !is_known;
  });
  if (expected.trades.size() != all) {
    expected.kind = FrameKind::partly_bad;
    expected.reason = expected.reason == FrameReason::duplicate_key ? expected.reason : FrameReason::too_many_symbols;
  }

  SymbolTable symbols;
  const FrameClaim claim = room_.with_payload(message, message);
  last_ = few_symbols_decoder_.decode(claim, message.size(), symbols);
  if (last_.kind != expected.kind || last_.reason != expected.reason || last_.trade_count != expected.trades.size() ||
      symbols.size() != known.size()) {
    return fmt::format("with few symbols: is {} ({}) with {} trades, {} symbols", to_string(last_.kind),
                       to_string(last_.reason), last_.trade_count, symbols.size());
  }
  for (std::size_t i = 0; i < expected.trades.size(); ++i) {
    const Trade& trade = claim.trades(message.size())[i];
    const std::string_view text = message.substr(trade.text_offset - sizeof(RecordHeader), trade.text_length);
    const std::string words = difference_of(trade, symbols.text(trade.symbol_id), text, expected.trades[i]);
    if (!words.empty()) {
      return fmt::format("with few symbols: trade {}: {}", i, words);
    }
  }
  return {};
}

}  // namespace mdpipe::testing
