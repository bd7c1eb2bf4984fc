#pragma once
/// \file
/// The quick way: reads messages of the schema that the venue is known to send, in any order of keys and with any white
/// space, as strictly as a full parser would. Whatever else comes (escapes, text that is not ASCII, unknown or double
/// keys, signs, exponents, elements that are no trades, broken JSON) it does not judge: nothing is the answer, and the
/// caller asks the judge.

#include <optional>

#include "decoder_draft.hpp"

namespace mdpipe::feed {

[[nodiscard]] std::optional<draft::Outcome> scan(const draft::Input& input) noexcept;

}  // namespace mdpipe::feed
