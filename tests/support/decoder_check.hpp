#pragma once
/// \file
/// Holds the decoder against the reference, message by message.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/feed/decoder.hpp"
#include "support/reference_decoder.hpp"

namespace mdpipe::testing {

/// Room for one record in memory of its own, as a sink would give it.
class ClaimRoom {
 public:
  /// A claim of exactly the room that a payload of this length needs, with the payload in it; valid until the next
  /// call. What lies behind the payload is `filler` again and again, so that reading too far is seen to matter.
  FrameClaim with_payload(std::string_view payload, std::string_view filler);

 private:
  struct alignas(kRecordAlignment) Line {
    std::byte bytes[kRecordAlignment];
  };
  std::vector<Line> lines_;
};

class DecoderCheck {
 public:
  DecoderCheck();

  /// What differs, in words; empty where nothing does. `filler`: see ClaimRoom.
  [[nodiscard]] std::string difference(std::string_view message, std::string_view filler);

  /// The same where the table may hold kSymbolsFew only.
  [[nodiscard]] std::string difference_with_few_symbols(std::string_view message);
  static constexpr std::size_t kSymbolsFew = 2;

  [[nodiscard]] const feed::DecodeResult& last() const noexcept { return last_; }

 private:
  ClaimRoom room_;
  SymbolTable symbols_;
  feed::Decoder decoder_;
  feed::Decoder few_symbols_decoder_;
  feed::DecodeResult last_;
};

}  // namespace mdpipe::testing
