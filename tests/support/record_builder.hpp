#pragma once
// Records in memory, as a journal's reader would hand them out: for tests of what consumes them.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/decimal.hpp"
#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe::testing {

struct TestTrade {
  std::string symbol;
  std::string price;
  std::string size;
  std::int64_t time_ms = 0;
  std::string text;  // empty: made from the above
  std::uint16_t flags = 0;
};

/// Keeps every record that it made. Positions rise by one from 1.
class RecordBuilder {
 public:
  /// `kind`: trades or partly_bad. `refuse`: what else is in its payload.
  RecordView frame(const std::vector<TestTrade>& trades, FrameKind kind = FrameKind::trades,
                   std::string_view refuse = {}) {
    std::string payload(refuse);
    std::vector<std::pair<std::size_t, std::size_t>> texts;
    for (const TestTrade& trade : trades) {
      const std::string text = trade.text.empty() ? text_of(trade) : trade.text;
      texts.emplace_back(payload.size(), text.size());
      payload += text;
    }
    const RecordView view = record(
        RecordKind::frame,
        kind == FrameKind::trades ? make_frame_sub(kind) : make_frame_sub(kind, FrameReason::element_not_a_trade),
        payload, trades.size());
    for (std::size_t i = 0; i < trades.size(); ++i) {
      Trade trade{};
      trade.position = view.position() + 1 + i;
      trade.exchange_time_ns = trades[i].time_ms * kNanosecondsPerMillisecond;
      trade.receive_time_ns = view.receive_time_ns();
      const Decimal price = parse_decimal(trades[i].price).value;
      const Decimal size = parse_decimal(trades[i].size).value;
      trade.price_mantissa = price.mantissa;
      trade.price_exponent = price.exponent;
      trade.size_mantissa = size.mantissa;
      trade.size_exponent = size.exponent;
      trade.flags = trades[i].flags;
      trade.symbol_id = symbols_.add(trades[i].symbol);
      trade.text_offset = static_cast<std::uint32_t>(sizeof(RecordHeader) + texts[i].first);
      trade.text_length = static_cast<std::uint32_t>(texts[i].second);
      const_cast<Trade&>(view.trades()[i]) = trade;
    }
    last_position_ = view.last_position();
    return view;
  }

  RecordView bad_frame(std::string_view payload, FrameKind kind = FrameKind::bad,
                       FrameReason reason = FrameReason::not_json) {
    return record(RecordKind::frame, make_frame_sub(kind, reason), payload, 0);
  }

  RecordView session(SessionKind kind) {
    const SessionPayload payload{1, 0, 0, 0, 0};
    return record(RecordKind::session, static_cast<std::uint16_t>(kind),
                  {reinterpret_cast<const char*>(&payload), sizeof payload}, 0);
  }

  [[nodiscard]] const SymbolTable& symbols() const { return symbols_; }
  [[nodiscard]] Position last_position() const { return last_position_; }

  [[nodiscard]] static std::string text_of(const TestTrade& trade) {
    return R"({"p":)" + trade.price + R"(,"s":")" + trade.symbol + R"(","t":)" + std::to_string(trade.time_ms) +
           R"(,"v":)" + trade.size + "}";
  }

 private:
  struct Block {
    alignas(64) std::byte bytes[64];
  };

  RecordView record(RecordKind kind, std::uint16_t sub, std::string_view payload, std::size_t trades) {
    const std::size_t length = record_length(payload.size(), trades);
    auto& blocks = records_.emplace_back(std::make_unique<Block[]>(length / sizeof(Block)));
    auto* const bytes = reinterpret_cast<std::byte*>(blocks.get());
    const RecordHeader header{static_cast<std::uint32_t>(length),
                              0,
                              last_position_ + 1,
                              1'000'000'000,
                              static_cast<std::uint16_t>(kind),
                              sub,
                              static_cast<std::uint32_t>(payload.size())};
    std::memcpy(bytes, &header, sizeof header);
    std::memcpy(bytes + sizeof header, payload.data(), payload.size());
    const RecordView view(bytes);
    last_position_ = view.last_position();
    return view;
  }

  SymbolTable symbols_;
  Position last_position_ = kBeforeEverything;
  std::vector<std::unique_ptr<Block[]>> records_;
};

}  // namespace mdpipe::testing
