#pragma once
/// \file
/// Texts for JSON.

#include <charconv>
#include <concepts>
#include <limits>
#include <string>
#include <string_view>

namespace mdpipe {

/// `text` as a JSON string, with its quotes (RFC 8259, section 7). Bytes that are not ASCII stay as they are.
[[nodiscard]] std::string json_string(std::string_view text);
void append_json_string(std::string_view text, std::string& out);

template <std::integral Integer>
void append_number(Integer value, std::string& out) {
  char text[std::numeric_limits<Integer>::digits10 + 3];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace mdpipe
