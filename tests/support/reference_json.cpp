#include "support/reference_json.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <set>

namespace mdpipe::testing {
namespace {

struct NotJson {};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Length of the UTF-8 sequence that begins here, 0 where there is no good one (RFC 3629, section 4).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;   // shorter forms exist
    const unsigned high = first == 0xED ? 0x9F : 0xBF;  // surrogates
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;  // beyond U+10FFFF
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, unsigned code) {
  const auto push = [&](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0U | code >> 6U);
    push(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    push(0xE0U | code >> 12U);
    push(0x80U | (code >> 6U & 0x3FU));
    push(0x80U | (code & 0x3FU));
  } else {
    push(0xF0U | code >> 18U);
    push(0x80U | (code >> 12U & 0x3FU));
    push(0x80U | (code >> 6U & 0x3FU));
    push(0x80U | (code & 0x3FU));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  JsonValue document() {
    blanks();
    JsonValue value = this->value(0);
    blanks();
    require(at_ == text_.size());
    return value;
  }

 private:
  static constexpr int kDepthEnd = 1024;

  static void require(bool good) {
    if (!good) {
      throw NotJson{};
    }
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool accept(char c) {
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there ? 1 : 0;
    return there;
  }
  void blanks() {
    while (accept(' ') || accept('\t') || accept('\n') || accept('\r')) {
    }
  }
  void word(std::string_view expected) {
    require(text_.substr(at_, expected.size()) == expected);
    at_ += expected.size();
  }

  JsonValue value(int depth) {
    const std::size_t begin = at_;
    JsonValue value;
    switch (peek()) {
      case '{':
        object(value, depth);
        break;
      case '[':
        list(value, depth);
        break;
      case '"':
        value.type = JsonValue::Type::string;
        value.string = string();
        break;
      case 't':
        value.type = JsonValue::Type::boolean;
        word("true");
        break;
      case 'f':
        value.type = JsonValue::Type::boolean;
        word("false");
        break;
      case 'n':
        word("null");
        break;
      default:
        number(value);
    }
    value.text = text_.substr(begin, at_ - begin);
    return value;
  }

  void object(JsonValue& value, int depth) {
    value.type = JsonValue::Type::object;
    require(accept('{'));
    blanks();
    if (accept('}')) {
      return;
    }
    require(depth + 1 < kDepthEnd);
    do {
      blanks();
      value.keys.push_back(string());
      blanks();
      require(accept(':'));
      blanks();
      value.elements.push_back(this->value(depth + 1));
      blanks();
    } while (accept(','));
    require(accept('}'));
  }

  void list(JsonValue& value, int depth) {
    value.type = JsonValue::Type::list;
    require(accept('['));
    blanks();
    if (accept(']')) {
      return;
    }
    require(depth + 1 < kDepthEnd);
    do {
      blanks();
      value.elements.push_back(this->value(depth + 1));
      blanks();
    } while (accept(','));
    require(accept(']'));
  }

  std::string string() {
    require(accept('"'));
    std::string out;
    while (!accept('"')) {
      require(at_ < text_.size() && static_cast<unsigned char>(text_[at_]) >= 0x20);
      if (accept('\\')) {
        escape(out);
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      require(length != 0);
      out += text_.substr(at_, length);
      at_ += length;
    }
    return out;
  }

  unsigned four_hex_digits() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = peek();
      require(is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
      const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      code = code * 16 + static_cast<unsigned>(digit);
      ++at_;
    }
    return code;
  }

  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = peek();
    ++at_;
    if (letter != 'u') {
      const std::size_t index = letter == '\0' ? std::string_view::npos : kLetters.find(letter);
      require(index != std::string_view::npos);
      out.push_back(kMeanings[index]);
      return;
    }
    unsigned code = four_hex_digits();
    require(code < 0xDC00 || code > 0xDFFF);
    if (code >= 0xD800 && code <= 0xDBFF) {
      word("\\u");
      const unsigned low = four_hex_digits();
      require(low >= 0xDC00 && low <= 0xDFFF);
      code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
    }
    append_utf8(out, code);
  }

  void digits() {
    require(is_digit(peek()));
    while (is_digit(peek())) {
      ++at_;
    }
  }

  void number(JsonValue& value) {
    const std::size_t begin = at_;
    accept('-');
    if (!accept('0')) {
      digits();
    }
    value.type = JsonValue::Type::integer;
    if (accept('.')) {
      value.type = JsonValue::Type::real;
      digits();
    }
    if (accept('e') || accept('E')) {
      value.type = JsonValue::Type::real;
      if (!accept('-')) {
        accept('+');
      }
      digits();
    }
    const std::string text(text_.substr(begin, at_ - begin));
    if (value.type == JsonValue::Type::real) {
      require(std::isfinite(std::strtod(text.c_str(), nullptr)));
    } else {
      require(within_64_bits(text));
    }
  }

  static bool within_64_bits(std::string_view text) {
    const bool negative = text[0] == '-';
    const std::string_view digits = text.substr(negative ? 1 : 0);
    const std::string_view largest = negative ? "9223372036854775808" : "18446744073709551615";
    return digits.size() < largest.size() || (digits.size() == largest.size() && digits <= largest);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  const JsonValue* found = nullptr;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    found = keys[i] == key ? &elements[i] : found;
  }
  return found;
}

bool JsonValue::has_key_twice() const {
  return std::set<std::string_view>(keys.begin(), keys.end()).size() != keys.size();
}

std::optional<JsonValue> parse_json(std::string_view text) {
  try {
    return Parser(text).document();
  } catch (const NotJson&) {
    return std::nullopt;
  }
}

}  // namespace mdpipe::testing
