#pragma once
/// \file
/// A strict walk over one JSON text (RFC 8259) that leaves every value where it lies: what is replayed must be the
/// recorded bytes, so nothing is decoded that need not be.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mdpipe::replay {

/// Thread safety: none. Every function that returns false has met malformed text; the scanner is of no use after that.
class JsonScanner {
 public:
  struct String {
    std::string_view raw;  ///< between the quotes, escapes as they stand
    bool escaped = false;
  };
  struct Number {
    std::string_view text;
    bool integer = false;  ///< no fraction, no exponent
  };

  static constexpr int kMaxDepth = 1024;

  explicit JsonScanner(std::string_view text) noexcept
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  void skip_blanks() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) {
      ++at_;
    }
  }
  /// The next character that is no blank; '\0' at the end.
  [[nodiscard]] char peek() noexcept {
    skip_blanks();
    return at_ != end_ ? *at_ : '\0';
  }
  /// Blanks, then `expected`.
  [[nodiscard]] bool take(char expected) noexcept {
    if (peek() != expected || at_ == end_) {
      return false;
    }
    ++at_;
    return true;
  }
  [[nodiscard]] bool string(String& out) noexcept;
  [[nodiscard]] bool number(Number& out) noexcept;
  /// Any one value, whole.
  [[nodiscard]] bool skip_value() noexcept { return skip_value(kMaxDepth); }

  /// What is not read yet; and past the first so many bytes of it.
  [[nodiscard]] std::string_view rest() const noexcept { return {at_, static_cast<std::size_t>(end_ - at_)}; }
  void skip(std::size_t bytes) noexcept { at_ += bytes; }

  [[nodiscard]] std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  [[nodiscard]] std::string_view since(std::size_t offset) const noexcept {
    return {begin_ + offset, this->offset() - offset};
  }
  [[nodiscard]] bool at_end() noexcept { return peek() == '\0' && at_ == end_; }
  /// Something so far was good grammar that no decoder takes: a number beyond 64 bits or a double, half a surrogate
  /// pair.
  [[nodiscard]] bool met_unusable() const noexcept { return unusable_; }

 private:
  bool skip_value(int depth) noexcept;
  bool skip_list(int depth) noexcept;
  bool skip_object(int depth) noexcept;
  bool word(std::string_view expected) noexcept;
  bool escape() noexcept;
  bool hex_unit(std::uint32_t& unit) noexcept;

  const char* begin_;
  const char* at_;
  const char* end_;
  bool unusable_ = false;
};

/// A string's value from its raw text. Precondition: JsonScanner::string() gave it. False for a lone surrogate.
[[nodiscard]] bool unescape(std::string_view raw, std::string& out);

/// `text` as a JSON string, with its quotes.
[[nodiscard]] std::string quote(std::string_view text);

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace mdpipe::replay
