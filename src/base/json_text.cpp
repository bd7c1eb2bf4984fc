#include "mdpipe/base/json_text.hpp"

#include <array>
#include <cstddef>

namespace mdpipe {
namespace {

constexpr auto kHex = std::to_array({'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'});

/// What a byte becomes: itself, two characters, or the six of \u00XX.
enum class Escape : unsigned char { none = 0, backslash = 1, code = 2 };

constexpr auto kEscapes = [] {
  std::array<Escape, 256> escapes{};
  for (std::size_t byte = 0; byte < 0x20; ++byte) {
    escapes[byte] = Escape::code;
  }
  escapes[0x7F] = Escape::code;
  escapes['"'] = escapes['\\'] = Escape::backslash;
  return escapes;
}();

}  // namespace

// A trade's text has a quote every few bytes: runs between them are too short to look for.
void append_json_string(std::string_view text, std::string& out) {
  constexpr std::size_t kStep = 128;
  std::array<char, 6 * kStep> step;
  out.push_back('"');
  while (!text.empty()) {
    const std::string_view part = text.substr(0, kStep);
    text.remove_prefix(part.size());
    char* at = step.data();
    for (const char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      const Escape escape = kEscapes[byte];
      if (escape != Escape::code) [[likely]] {
        *at = '\\';
        at += static_cast<std::size_t>(escape);
        *at++ = c;
        continue;
      }
      for (const char digit : {'\\', 'u', '0', '0', kHex[byte >> 4U], kHex[byte & 0xFU]}) {
        *at++ = digit;
      }
    }
    out.append(step.data(), at);
  }
  out.push_back('"');
}

std::string json_string(std::string_view text) {
  std::string json;
  append_json_string(text, json);
  return json;
}

}  // namespace mdpipe
