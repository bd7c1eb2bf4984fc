#pragma once
/// \file
/// Who else can read a trade message: each peer finds the same members of every trade, looks the symbol up in the same
/// table and keeps the raw slice of each trade's text. Prices are doubles where the peer has nothing better; the
/// "exact" one takes the number's own text to mdpipe's decimals.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "mdpipe/base/decimal.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe::bench {

struct PeerTrade {
  double price;
  double size;
  Decimal exact_price;  // where the peer reads decimals; else 0
  Decimal exact_size;
  std::int64_t time_ms;
  std::uint64_t conditions;
  SymbolId symbol_id;
  std::string_view text;  // empty where the peer keeps none
};

class Peer {
 public:
  virtual ~Peer() = default;
  /// The trades of one message, kClaimPaddingBytes readable (and one byte writable) behind it. The message may be
  /// changed. Valid until the next call.
  virtual const std::vector<PeerTrade>& read(char* message, std::size_t length, const SymbolTable& symbols) = 0;
};

std::unique_ptr<Peer> make_simdjson_ondemand();        ///< with raw slices
std::unique_ptr<Peer> make_simdjson_ondemand_exact();  ///< the same, numbers as exact decimals
std::unique_ptr<Peer> make_simdjson_dom();             ///< it has no slices
std::unique_ptr<Peer> make_rapidjson_in_situ();        ///< it has no slices: it overwrites closing quotes

}  // namespace mdpipe::bench
