#include "replay/session/json_scanner.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>
#include <simdjson.h>

namespace mdpipe::replay {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool fits_64_bits(std::string_view integer) noexcept {
  const char* const end = integer.data() + integer.size();
  if (integer.front() == '-') {
    std::int64_t value = 0;
    return std::from_chars(integer.data(), end, value).ec == std::errc();
  }
  std::uint64_t value = 0;
  return std::from_chars(integer.data(), end, value).ec == std::errc();
}

bool fits_double(std::string_view number) {
  return std::isfinite(std::strtod(std::string(number).c_str(), nullptr));
}

int hex_value(char c) noexcept {
  if (is_digit(c)) {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::uint32_t unit_of(std::string_view digits) noexcept {
  std::uint32_t unit = 0;
  for (const char c : digits.substr(0, 4)) {
    unit = unit * 16 + static_cast<std::uint32_t>(hex_value(c));
  }
  return unit;
}

void append_utf8(std::uint32_t point, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0U | point >> 6U);
    put(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    put(0xE0U | point >> 12U);
    put(0x80U | (point >> 6U & 0x3FU));
    put(0x80U | (point & 0x3FU));
  } else {
    put(0xF0U | point >> 18U);
    put(0x80U | (point >> 12U & 0x3FU));
    put(0x80U | (point >> 6U & 0x3FU));
    put(0x80U | (point & 0x3FU));
  }
}

char simple_escape(char c) noexcept {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;  // quote, backslash, slash
  }
}

}  // namespace

bool JsonScanner::string(String& out) noexcept {
  if (!take('"')) {
    return false;
  }
  const char* const start = at_;
  bool escaped = false;
  while (at_ != end_) {
    const char c = *at_++;
    if (c == '"') {
      out = {{start, static_cast<std::size_t>(at_ - 1 - start)}, escaped};
      return true;
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      return false;
    }
    if (c == '\\') {
      escaped = true;
      if (!escape()) {
        return false;
      }
    }
  }
  return false;
}

bool JsonScanner::escape() noexcept {
  if (at_ == end_) {
    return false;
  }
  const char c = *at_++;
  if (c != 'u') {
    return std::strchr("\"\\/bfnrt", c) != nullptr && c != '\0';
  }
  std::uint32_t unit = 0;
  if (!hex_unit(unit)) {
    return false;
  }
  if (unit >= 0xDC00 && unit <= 0xDFFF) {
    unusable_ = true;
  } else if (unit >= 0xD800 && unit <= 0xDBFF) {
    if (!word("\\u")) {
      unusable_ = true;
      return true;
    }
    if (!hex_unit(unit)) {
      return false;
    }
    unusable_ = unusable_ || unit < 0xDC00 || unit > 0xDFFF;
  }
  return true;
}

/// The four digits of an escape.
bool JsonScanner::hex_unit(std::uint32_t& unit) noexcept {
  unit = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == end_ || hex_value(*at_) < 0) {
      return false;
    }
    unit = unit * 16 + static_cast<std::uint32_t>(hex_value(*at_));
  }
  return true;
}

bool JsonScanner::number(Number& out) noexcept {
  skip_blanks();
  const char* const start = at_;
  const auto digits = [this] {
    const char* const first = at_;
    while (at_ != end_ && is_digit(*at_)) {
      ++at_;
    }
    return at_ != first;
  };
  if (at_ != end_ && *at_ == '-') {
    ++at_;
  }
  const char* const whole = at_;
  if (!digits() || (*whole == '0' && at_ - whole > 1)) {
    return false;
  }
  bool integer = true;
  bool exponent = false;
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    integer = false;
    if (!digits()) {
      return false;
    }
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    integer = false;
    exponent = true;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) {
      ++at_;
    }
    if (!digits()) {
      return false;
    }
  }
  out = {{start, static_cast<std::size_t>(at_ - start)}, integer};
  // Eighteen characters cannot leave either range unless there is an exponent.
  if (out.text.size() > 18 || exponent) {
    unusable_ = unusable_ || (integer ? !fits_64_bits(out.text) : !fits_double(out.text));
  }
  return true;
}

bool JsonScanner::word(std::string_view expected) noexcept {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) {
    return false;
  }
  at_ += expected.size();
  return true;
}

bool JsonScanner::skip_value(int depth) noexcept {
  String text;
  Number value;
  switch (peek()) {
    case '"':
      return string(text);
    case '{':
      return depth > 0 && skip_object(depth - 1);
    case '[':
      return depth > 0 && skip_list(depth - 1);
    case 't':
      return word("true");
    case 'f':
      return word("false");
    case 'n':
      return word("null");
    default:
      return number(value);
  }
}

bool JsonScanner::skip_list(int depth) noexcept {
  ++at_;
  if (take(']')) {
    return true;
  }
  do {
    if (!skip_value(depth)) {
      return false;
    }
  } while (take(','));
  return take(']');
}

bool JsonScanner::skip_object(int depth) noexcept {
  ++at_;
  if (take('}')) {
    return true;
  }
  do {
    String key;
    if (!string(key) || !take(':') || !skip_value(depth)) {
      return false;
    }
  } while (take(','));
  return take('}');
}

bool unescape(std::string_view raw, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out.push_back(raw[i]);
      continue;
    }
    ++i;
    if (raw[i] != 'u') {
      out.push_back(simple_escape(raw[i]));
      continue;
    }
    std::uint32_t point = unit_of(raw.substr(i + 1));
    i += 4;
    if (point >= 0xDC00 && point <= 0xDFFF) {
      return false;
    }
    if (point >= 0xD800 && point <= 0xDBFF) {
      if (!raw.substr(i + 1).starts_with("\\u")) {
        return false;
      }
      const std::uint32_t low = unit_of(raw.substr(i + 3));
      if (low < 0xDC00 || low > 0xDFFF) {
        return false;
      }
      point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
      i += 6;
    }
    append_utf8(point, out);
  }
  return true;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

bool is_utf8(std::string_view text) noexcept {
  return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace mdpipe::replay
