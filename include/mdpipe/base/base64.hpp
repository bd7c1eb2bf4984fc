#pragma once
/// \file
/// Base64 with the standard alphabet and padding (RFC 4648, section 4).

#include <optional>
#include <string>
#include <string_view>

namespace mdpipe {

[[nodiscard]] std::string base64_encode(std::string_view bytes);

/// Nothing where the text is not base64: a strange character, a length that is no multiple of 4, misplaced padding,
/// bits set that the padding stands for.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace mdpipe
