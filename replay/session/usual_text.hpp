#pragma once
/// \file
/// Trades and frames as venues write them: without blanks and escapes.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mdpipe::replay {

/// Over what a venue usually writes, in one pass. Where a function here is false, it may still be good JSON.
class UsualText {
 public:
  explicit UsualText(std::string_view text) noexcept : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  [[nodiscard]] std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  bool take(char expected) noexcept {
    const bool there = at_ != end_ && *at_ == expected;
    at_ += there ? 1 : 0;
    return there;
  }
  bool take(std::string_view expected) noexcept {
    const bool there = std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected);
    at_ += there ? expected.size() : 0;
    return there;
  }
  /// A key of one character and its colon; '\0' where there is none.
  char key() noexcept {
    if (end_ - at_ < 4 || at_[0] != '"' || at_[2] != '"' || at_[3] != ':') {
      return '\0';
    }
    at_ += 4;
    return at_[-3];
  }
  /// Without escapes.
  bool string(std::string_view& out) noexcept {
    if (!take('"')) {
      return false;
    }
    const char* const begin = at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) {
      ++at_;
    }
    out = {begin, static_cast<std::size_t>(at_ - begin)};
    return take('"');
  }
  /// null, or a list of strings.
  bool conditions() noexcept {
    if (take("null")) {
      return true;
    }
    if (!take('[')) {
      return false;
    }
    std::string_view ignored;
    do {
      if (!string(ignored)) {
        return false;
      }
    } while (take(','));
    return take(']');
  }
  /// Without a sign and an exponent, of at most 18 characters: such a one leaves no range. `whole`: the digits before
  /// the point.
  bool number(std::int64_t& whole, bool& zero, bool& integer) noexcept {
    const char* const begin = at_;
    whole = 0;
    unsigned digits = 0;  // all of them or-ed: 0 where each is 0
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      if (at_ - begin >= 18) {
        return false;
      }
      whole = whole * 10 + (*at_ - '0');
      digits |= digit_bits(*at_);
    }
    if (at_ == begin || (*begin == '0' && at_ - begin > 1)) {
      return false;
    }
    integer = !take('.');
    if (!integer) {
      const char* const fraction = at_;
      for (; at_ != end_ && is_digit(*at_); ++at_) {
        digits |= digit_bits(*at_);
      }
      if (at_ == fraction) {
        return false;
      }
    }
    zero = digits == 0;
    return at_ - begin <= 18 && at_ != end_ && (*at_ == ',' || *at_ == '}');
  }

 private:
  static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static unsigned digit_bits(char c) noexcept { return static_cast<unsigned>(c - '0'); }

  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace mdpipe::replay
