#pragma once
/// \file
/// Text read eight bytes at a time in plain 64-bit arithmetic. All of these load whole words: the caller sees to it
/// that what lies behind the text may be read. Little-endian (asserted in event/record.hpp).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "mdpipe/base/decimal.hpp"

namespace mdpipe::feed::swar {

inline constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U;
inline constexpr std::uint64_t kHighBits = 0x80 * kOnes;
inline constexpr unsigned kWordBytes = 8;

[[nodiscard]] inline std::uint64_t load(const char* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

[[nodiscard]] constexpr std::uint64_t low_bytes(unsigned count) noexcept {
  return count >= kWordBytes ? ~std::uint64_t{0} : (std::uint64_t{1} << (count * 8)) - 1;
}

/// Whether the text at `at` begins with a literal of up to eight bytes.
template <std::size_t kSize>
[[nodiscard]] inline bool begins_with(const char* at, const char (&literal)[kSize]) noexcept {
  constexpr unsigned kLength = kSize - 1;
  static_assert(kLength <= kWordBytes);
  std::uint64_t expected = 0;
  std::memcpy(&expected, literal, kLength);
  return ((load(at) ^ expected) & low_bytes(kLength)) == 0;
}

/// The high bit of the first byte that is not '\0'..'\t' set, of a word whose digits were made 0..9. Exact up to that
/// byte, and up to the second such byte where the first was a point.
[[nodiscard]] constexpr std::uint64_t not_digits(std::uint64_t word) noexcept {
  return ((word + 0x76 * kOnes) | word) & kHighBits;
}

[[nodiscard]] constexpr unsigned first_byte(std::uint64_t high_bits) noexcept {
  return static_cast<unsigned>(std::countr_zero(high_bits)) / 8;
}

/// Eight digits 0..9, the first in the lowest byte, to their value: pairs, fours, then all.
[[nodiscard]] constexpr std::uint64_t eight_digits(std::uint64_t digits) noexcept {
  constexpr std::uint64_t kPairs = 0x0000'00FF'0000'00FFU;
  digits = digits * 10 + (digits >> 8U);
  return (((digits & kPairs) * (100 + (std::uint64_t{1'000'000} << 32U)) +
           ((digits >> 16U) & kPairs) * (1 + (std::uint64_t{10'000} << 32U))) >>
          32U) &
         0xFFFF'FFFFU;
}

/// Of the bytes of a text: one that ends a string or may not be read as it stands (`"`, `\`, control, not ASCII). High
/// bits; exact up to the first.
[[nodiscard]] constexpr std::uint64_t string_stops(std::uint64_t word) noexcept {
  const std::uint64_t quote = word ^ ('"' * kOnes);
  const std::uint64_t backslash = word ^ ('\\' * kOnes);
  return (((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) | ((word - ' ' * kOnes) & ~word) | word) &
         kHighBits;
}

/// High bits of the bytes that are no white space of JSON; exact for each byte, as nothing carries.
[[nodiscard]] constexpr std::uint64_t not_blanks(std::uint64_t word) noexcept {
  const auto differs = [word](char blank) {
    const std::uint64_t difference = word ^ (static_cast<std::uint64_t>(blank) * kOnes);
    return ((difference & ~kHighBits) + ~kHighBits) | difference;
  };
  return differs(' ') & differs('\n') & differs('\r') & differs('\t') & kHighBits;
}

/// What read_decimal() found; `end` is null where the text is not of the simple kind that it reads.
struct QuickDecimal {
  Decimal value;
  const char* end;
};

inline constexpr int kQuickDigitsMax = 18;  // as many always fit the mantissa, zeros in front included

/// A number digit by digit: what does not end within a word.
[[nodiscard]] inline QuickDecimal read_long_decimal(const char* at) noexcept {
  std::uint64_t all = 0;
  std::uint64_t kept = 0;  // without the zeros at the end
  int digits = 0;
  int kept_digits = 0;
  int point = -1;
  const char* const begin = at;
  for (;; ++at) {
    const auto digit = static_cast<unsigned>(*at) - '0';
    if (digit <= 9) {
      if (++digits > kQuickDigitsMax) {
        return {{}, nullptr};
      }
      all = all * 10 + digit;
      if (digit != 0) {
        kept = all;
        kept_digits = digits;
      }
    } else if (*at == '.' && point < 0 && digits != 0) {
      point = digits;
    } else {
      break;
    }
  }
  const int fraction = point < 0 ? 0 : digits - point;
  if (digits == 0 || point == digits || (*begin == '0' && digits > 1 && point != 1)) {
    return {{}, nullptr};
  }
  return {{static_cast<std::int64_t>(kept), static_cast<std::int8_t>(kept == 0 ? 0 : digits - kept_digits - fraction)},
          at};
}

/// A number without sign and exponent: the same members as parse_decimal() gives. Reads at most 28 bytes from `at`.
[[nodiscard]] inline QuickDecimal read_decimal(const char* at) noexcept {
  const std::uint64_t word = load(at) ^ ('0' * kOnes);
  const std::uint64_t stops = not_digits(word);
  if (stops == 0) {
    return read_long_decimal(at);
  }
  const unsigned first = first_byte(stops);
  unsigned digits = first;
  unsigned fraction = 0;
  unsigned length = first;
  std::uint64_t taken = word & low_bytes(first);
  if (at[first] == '.') {
    const std::uint64_t more_stops = stops & (stops - 1);
    if (more_stops == 0) {
      return read_long_decimal(at);
    }
    length = first_byte(more_stops);
    digits = length - 1;
    fraction = digits - first;
    // The point is taken out: what is behind it moves down a byte.
    taken = (taken | ((word >> 8U) & ~low_bytes(first))) & low_bytes(digits);
    if (fraction == 0) {
      return {{}, nullptr};
    }
  }
  if (first == 0 || ((word & 0xFFU) == 0 && first > 1)) {
    return {{}, nullptr};
  }
  if (taken == 0) {
    return {{}, at + length};
  }
  // The last digit that is not 0 goes to the top byte: zeros at the end do not count.
  const auto shift = static_cast<unsigned>(std::countl_zero(taken)) & 56U;
  const auto exponent = static_cast<int>(digits + shift / 8) - static_cast<int>(kWordBytes + fraction);
  return {{static_cast<std::int64_t>(eight_digits(taken << shift)), static_cast<std::int8_t>(exponent)}, at + length};
}

struct QuickInteger {
  std::int64_t value;
  const char* end;  // null where it is not of 8 to 15 digits
};

/// Milliseconds since 1970 as they are written in our time: 13 digits. Reads 16 bytes.
[[nodiscard]] inline QuickInteger read_time(const char* at) noexcept {
  const std::uint64_t high = load(at) ^ ('0' * kOnes);
  const std::uint64_t low = load(at + kWordBytes) ^ ('0' * kOnes);
  const std::uint64_t stops = not_digits(low);
  if (not_digits(high) != 0 || stops == 0 || (high & 0xFFU) == 0) {
    return {0, nullptr};
  }
  constexpr std::uint64_t kPowers[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000};
  const unsigned rest = first_byte(stops);
  const std::uint64_t rest_value = rest == 0 ? 0 : eight_digits(low << (64 - 8 * rest));
  return {static_cast<std::int64_t>(eight_digits(high) * kPowers[rest] + rest_value), at + kWordBytes + rest};
}

}  // namespace mdpipe::feed::swar
