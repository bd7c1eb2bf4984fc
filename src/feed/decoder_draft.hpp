#pragma once
/// \file
/// What the decoder's two ways of reading a message, the quick scanner and simdjson's judgement, hand on: trades
/// complete but for symbols that the table does not hold yet. Those wait until the whole message has been found good,
/// so that a bad one never adds a symbol.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe::feed::draft {

/// The frame as it lies in its record.
struct Input {
  const std::byte* record;
  std::string_view payload;
  Trade* trades;
  const SymbolTable& symbols;
};

struct Outcome {
  FrameKind kind = FrameKind::bad;
  FrameReason reason = FrameReason::none;
  std::uint32_t trade_count = 0;
  std::uint32_t unknown_symbols = 0;  ///< trades whose symbol waits (see below)
};

inline constexpr std::int64_t kTimeMaxMs = 9'223'372'036'854;  // beyond it nanoseconds leave int64
inline constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;
inline constexpr unsigned kConditionsMax = 64;

/// A trade whose symbol waits keeps its text in the two members that the session fills later.
inline void park_symbol(Trade& trade, std::string_view symbol) noexcept {
  trade.symbol_id = SymbolTable::kNone;
  trade.position = reinterpret_cast<std::uintptr_t>(symbol.data());
  trade.receive_time_ns = static_cast<std::int64_t>(symbol.size());
}
[[nodiscard]] inline std::string_view parked_symbol(const Trade& trade) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the pointer that park_symbol() put there
  return {reinterpret_cast<const char*>(trade.position), static_cast<std::size_t>(trade.receive_time_ns)};
}

}  // namespace mdpipe::feed::draft
