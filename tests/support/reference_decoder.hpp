#pragma once
/// \file
/// The decoder again, slow and plain: it builds a tree of the whole message and asks it. Shares no code with the
/// decoder, with simdjson or with base's decimals; tests and the fuzzer hold the decoder against it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/event/record.hpp"

namespace mdpipe::testing {

struct ReferenceTrade {
  std::string symbol;
  std::int64_t exchange_time_ns = 0;
  std::int64_t price_mantissa = 0;
  int price_exponent = 0;
  std::int64_t size_mantissa = 0;
  int size_exponent = 0;
  std::uint64_t conditions = 0;
  std::string_view text;  // in the message
  std::uint16_t flags = 0;
};

struct ReferenceFrame {
  FrameKind kind = FrameKind::bad;
  FrameReason reason = FrameReason::none;
  std::vector<ReferenceTrade> trades;
};

/// Symbols without limit: too_many_symbols is the one reason that it never gives.
[[nodiscard]] ReferenceFrame reference_decode(std::string_view message);

}  // namespace mdpipe::testing
