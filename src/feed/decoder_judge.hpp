#pragma once
/// \file
/// The decoder's judge and slow path: simdjson's DOM says what JSON is; the numbers' and trades' own text comes from
/// walking the message, known to be good by then, in step with it.

#include "decoder_draft.hpp"
#include "mdpipe/feed/decoder.hpp"

namespace mdpipe::feed {

class Decoder::Judge {
 public:
  explicit Judge(std::size_t payload_max_bytes);
  ~Judge();
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  /// Parked symbols may lie in memory of the judge: valid until the next call.
  draft::Outcome decode(const draft::Input& input) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::feed
