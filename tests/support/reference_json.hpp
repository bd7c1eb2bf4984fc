#pragma once
/// \file
/// JSON by RFC 8259 in the plainest way, with the limits that mdpipe's decoder has by its choice of judge: containers
/// nested less than 1024 deep (empty ones not counted), integers within 64 bits, other numbers within a double, text
/// that is UTF-8, no lone surrogates, no byte order mark.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mdpipe::testing {

struct JsonValue {
  enum class Type { null, boolean, integer, real, string, list, object };
  Type type = Type::null;
  std::string_view text;            // as it stands in the message
  std::string string;               // of a string: without escapes
  std::vector<JsonValue> elements;  // of a list; of an object its members' values, in order, doubles and all
  std::vector<std::string> keys;    // of an object, one for each of `elements`

  /// The last member of that name.
  [[nodiscard]] const JsonValue* find(std::string_view key) const;
  [[nodiscard]] bool has_key_twice() const;
};

/// Nothing where the text is not JSON.
[[nodiscard]] std::optional<JsonValue> parse_json(std::string_view text);

}  // namespace mdpipe::testing
