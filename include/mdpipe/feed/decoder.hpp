#pragma once
/// \file
/// From a venue's message, lying in its claim, to trades behind it. The message format is Finnhub's
/// (https://finnhub.io/docs/api/websocket-trades); nothing of the order of keys or of white space is relied on.
///
/// What becomes of a message:
///
/// | message                                                                   | kind, reason                         |
/// |---------------------------------------------------------------------------|--------------------------------------|
/// | type "trade", every element of `data` a trade (or none in it)             | trades                               |
/// | the same, some elements no trades: the others are kept                    | partly_bad, element_not_a_trade      |
/// | the same, a symbol more than the table may hold: its trades are not kept  | partly_bad, too_many_symbols         |
/// | the same, `data` or `type` twice in the message: the last one counts      | partly_bad, duplicate_key            |
/// | type "trade", `data` absent or no list                                    | bad, data_not_a_list                 |
/// | type "ping" / "error" / any other text                                    | ping / error / other                 |
/// | an object without a `type` that is a string                               | bad, type_missing                    |
/// | JSON, but no object                                                       | bad, not_an_object                   |
/// | any object in it, at any depth, has `s` or `p`, and a key twice           | bad, duplicate_key                   |
/// | not a trade message, and `data` or `type` twice                           | bad, duplicate_key                   |
/// | not JSON by simdjson's DOM (so also: nested 1024 deep, numbers beyond a   | bad, not_json                        |
/// | double or 64 bits, lone surrogates, bytes that are not UTF-8)             |                                      |
///
/// Where several reasons hold, the frame is named by the first of: not_json, not_an_object, duplicate_key within an
/// object with `s` or `p`, then the row of its type; of a partly bad one: duplicate_key, too_many_symbols,
/// element_not_a_trade.
///
/// A trade is an object with `s` a string, `p` and `v` numbers that are 0 or of magnitude 1e-100 to below 1e19, and `t`
/// an integer (milliseconds) within ±9223372036854. `c` may be anything: of a list, the strings "0" to "63" set their
/// bit. Other keys do not matter. Keys and symbols are compared and kept without their JSON escapes.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "mdpipe/event/frame_sink.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe::feed {

struct DecodeResult {
  FrameKind kind = FrameKind::bad;
  FrameReason reason = FrameReason::none;
  std::uint32_t trade_count = 0;
  bool fell_back = false;  ///< not of the shape that the quick scanner reads; simdjson has judged it
};

/// Thread safety: none; one for each thread.
class Decoder {
 public:
  /// Memory for messages of up to `payload_max_bytes` is allocated here (about 20 bytes for each, touched only when a
  /// message that long falls back). A longer message is decoded too, but makes it grow. `symbols_max`: records of 64
  /// bytes that the symbol table may need in a journal; a symbol of more than 24 bytes needs more than one.
  explicit Decoder(std::size_t payload_max_bytes, std::size_t symbols_max = 100'000);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Decodes the message in `claim` in place; writes its trades to claim.trades(payload_length), all members but
  /// position, receive_time_ns (both 0) and the flags that only the session knows: kTradePriceUpdate and kTradeInexact
  /// are set. The message itself is not changed. Precondition: kClaimPaddingBytes are readable behind it.
  /// Symbols that are new, and only those of trades that are kept, are added to `symbols`, in the order of the trades;
  /// nothing else allocates.
  DecodeResult decode(const FrameClaim& claim, std::size_t payload_length, SymbolTable& symbols) noexcept;

 private:
  class Judge;
  std::unique_ptr<Judge> judge_;
  std::size_t symbols_max_;
};

}  // namespace mdpipe::feed
