#pragma once
// What the session knows of a trade that the decoder cannot: when it came, and how it stands to those before it.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "mdpipe/event/trade.hpp"
#include "mdpipe/feed/session.hpp"

namespace mdpipe::feed {

class TradeMarker {
 public:
  /// `after_gap`: an earlier run was heard before, so the first trade of each symbol may follow others unheard.
  explicit TradeMarker(bool after_gap) : gap_(after_gap ? 1 : 0) {}

  /// Trades may be missing from here on: the next trade of each symbol says so.
  void mark_gap() noexcept { ++gap_; }

  /// Allocates only where a symbol is new.
  void mark(std::span<Trade> trades, std::int64_t receive_time_ns, SessionFigures& figures) {
    for (Trade& trade : trades) {
      if (trade.symbol_id >= symbols_.size()) [[unlikely]] {
        symbols_.resize(std::max<std::size_t>(std::size_t{trade.symbol_id} + 1, symbols_.size() * 2));
      }
      Seen& seen = symbols_[trade.symbol_id];
      std::uint32_t flags = trade.flags;
      if (seen.gap != gap_) {
        seen.gap = gap_;
        flags |= kTradeAfterGap;
      }
      if (trade.exchange_time_ns < seen.latest_ns) {
        flags |= kTradeOutOfOrder;
        figures.out_of_order_trades.add();
      } else {
        seen.latest_ns = trade.exchange_time_ns;
      }
      if (receive_time_ns < trade.exchange_time_ns) {
        flags |= kTradeReceivedBeforeExchange;
        figures.early_trades.add();
      }
      figures.price_updates.add((flags & kTradePriceUpdate) != 0 ? 1 : 0);
      figures.inexact_trades.add((flags & kTradeInexact) != 0 ? 1 : 0);
      trade.receive_time_ns = receive_time_ns;
      trade.flags = static_cast<std::uint16_t>(flags);
    }
    if (!trades.empty()) {
      trades.back().flags = static_cast<std::uint16_t>(trades.back().flags | kTradeLastOfFrame);
    }
  }

 private:
  struct Seen {
    std::uint64_t gap = 0;  // the gap that its last trade came after
    std::int64_t latest_ns = std::numeric_limits<std::int64_t>::min();
  };
  std::uint64_t gap_;
  std::vector<Seen> symbols_;
};

}  // namespace mdpipe::feed
