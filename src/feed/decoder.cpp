#include "mdpipe/feed/decoder.hpp"

#include "decoder_draft.hpp"
#include "decoder_judge.hpp"
#include "decoder_scanner.hpp"

namespace mdpipe::feed {
namespace {

/// Gives parked symbols their ids; takes out the trades whose symbol the table may not take any more.
[[gnu::noinline]] void settle_symbols(draft::Outcome& outcome, Trade* trades, SymbolTable& symbols,
                                      std::size_t symbols_max) noexcept {
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < outcome.trade_count; ++i) {
    Trade& trade = trades[i];
    if (trade.symbol_id == SymbolTable::kNone) {
      const std::string_view symbol = draft::parked_symbol(trade);
      trade.symbol_id = symbols.has_room_for(symbol, symbols_max) ? symbols.add(symbol) : symbols.find(symbol);
      trade.position = kBeforeEverything;
      trade.receive_time_ns = 0;
    }
    if (trade.symbol_id != SymbolTable::kNone) {
      trades[kept++] = trade;
    }
  }
  if (kept != outcome.trade_count) {
    outcome.trade_count = kept;
    outcome.kind = FrameKind::partly_bad;
    if (outcome.reason != FrameReason::duplicate_key) {
      outcome.reason = FrameReason::too_many_symbols;
    }
  }
}

}  // namespace

Decoder::Decoder(std::size_t payload_max_bytes, std::size_t symbols_max)
    : judge_(std::make_unique<Judge>(payload_max_bytes)), symbols_max_(symbols_max) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

DecodeResult Decoder::decode(const FrameClaim& claim, std::size_t payload_length, SymbolTable& symbols) noexcept {
  const draft::Input input{claim.record(), {claim.payload(), payload_length}, claim.trades(payload_length), symbols};
  const std::optional<draft::Outcome> quick = scan(input);
  draft::Outcome outcome = quick ? *quick : judge_->decode(input);
  if (outcome.unknown_symbols != 0) {
    settle_symbols(outcome, input.trades, symbols, symbols_max_);
  }
  return {outcome.kind, outcome.reason, outcome.trade_count, !quick};
}

}  // namespace mdpipe::feed
