#pragma once
/// \file
/// One print, in exactly one cache line.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/decimal.hpp"
#include "mdpipe/event/position.hpp"

namespace mdpipe {

using SymbolId = std::uint32_t;  ///< dense, from 0, per journal (or per source where there is no journal)

/// Bits of Trade::flags. On disk and in messages: never renumber.
enum TradeFlag : std::uint16_t {
  kTradeLastOfFrame = 1U << 0U,
  kTradeAfterGap = 1U << 1U,                ///< first of its symbol after the feed was away
  kTradeOutOfOrder = 1U << 2U,              ///< exchange time below an earlier trade's of its symbol
  kTradePriceUpdate = 1U << 3U,             ///< size 0: a price observation of a market that reports no trades
  kTradeInexact = 1U << 4U,                 ///< price or size had more digits than fit: rounded to 18
  kTradeReceivedBeforeExchange = 1U << 5U,  ///< our clock or the venue's is off
};

struct alignas(64) Trade {
  Position position;              // 0
  std::int64_t exchange_time_ns;  // 8   the venue's stamp (milliseconds on Finnhub)
  std::int64_t receive_time_ns;   // 16  wall clock when the read that completed its frame returned
  std::int64_t price_mantissa;    // 24
  std::int64_t size_mantissa;     // 32
  std::uint64_t conditions;       // 40  bit n = the venue's condition code n (0..63; others are in the text only)
  SymbolId symbol_id;             // 48
  std::uint32_t text_offset;      // 52  of the trade's JSON text, from the start of its record
  std::uint32_t text_length;      // 56
  std::int8_t price_exponent;     // 60
  std::int8_t size_exponent;      // 61
  std::uint16_t flags;            // 62  TradeFlag

  [[nodiscard]] Decimal price() const noexcept { return {price_mantissa, price_exponent}; }
  [[nodiscard]] Decimal size() const noexcept { return {size_mantissa, size_exponent}; }
  [[nodiscard]] std::int64_t exchange_time_ms() const noexcept { return floor_to_ms(exchange_time_ns); }
};

static_assert(sizeof(Trade) == 64, "a trade is one cache line");
static_assert(alignof(Trade) == 64, "a trade lies in one cache line");
static_assert(std::is_trivially_copyable_v<Trade> && std::is_standard_layout_v<Trade>);
static_assert(offsetof(Trade, conditions) == 40 && offsetof(Trade, text_length) == 56 && offsetof(Trade, flags) == 62);

}  // namespace mdpipe
