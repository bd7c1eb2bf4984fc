#include "exact_ratio.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

namespace mdpipe::stage {
namespace {

constexpr int kDoubleDigits = 53;
constexpr int kPowersOfTen = 39;  // those that an Uint128 holds

constexpr std::array<Uint128, kPowersOfTen> kPowers = [] {
  std::array<Uint128, kPowersOfTen> powers{};
  Uint128 power = 1;
  for (Uint128& one : powers) {
    one = power;
    power *= 10;
  }
  return powers;
}();

int bit_width(Uint128 value) noexcept {
  const auto high = static_cast<std::uint64_t>(value >> 64U);
  return static_cast<int>(high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<std::uint64_t>(value)));
}

Uint128 magnitude(Int128 value) noexcept {
  return value < 0 ? ~static_cast<Uint128>(value) + 1 : static_cast<Uint128>(value);
}

/// value × 10^exponent; false where it does not fit.
bool scale(Uint128& value, int exponent) noexcept {
  if (exponent >= kPowersOfTen || bit_width(value) + bit_width(kPowers[static_cast<std::size_t>(exponent)]) > 127) {
    return false;
  }
  value *= kPowers[static_cast<std::size_t>(exponent)];
  return true;
}

WideInteger power_of_ten(int exponent) {
  WideInteger power = 1;
  for (int i = 0; i < exponent; ++i) {
    power *= 10;
  }
  return power;
}

/// quotient × 2^-shift, where `inexact` says that there was a remainder. The quotient has at least 55 bits, so its 64
/// topmost, the last of them set where anything was lost below, round as the whole number would.
double round_quotient(Uint128 quotient, bool inexact, int shift) noexcept {
  const int surplus = std::max(0, bit_width(quotient) - 64);
  const Uint128 top = quotient >> static_cast<unsigned>(surplus);
  inexact = inexact || (top << static_cast<unsigned>(surplus)) != quotient;
  const std::uint64_t bits = static_cast<std::uint64_t>(top) | (inexact ? 1U : 0U);
  return std::ldexp(static_cast<double>(bits), surplus - shift);
}

/// Long division in 128 bits; false where they do not suffice.
bool divide(Uint128 numerator, Uint128 denominator, double& result) noexcept {
  const int room = 127 - bit_width(numerator);
  if (127 - bit_width(denominator) < kDoubleDigits + 2) {
    return false;
  }
  const Uint128 shifted = numerator << static_cast<unsigned>(room);
  const Uint128 quotient = shifted / denominator;
  result = round_quotient(quotient, quotient * denominator != shifted, room);
  return true;
}

}  // namespace

WideInteger widen(Int128 value) {
  const Uint128 absolute = magnitude(value);
  WideInteger wide = static_cast<std::uint64_t>(absolute >> 64U);
  wide <<= 64;
  wide += static_cast<std::uint64_t>(absolute);
  return value < 0 ? WideInteger(-wide) : wide;
}

double nearest_double(Int128 numerator, Int128 denominator, int exponent) noexcept {
  if (numerator == 0) {
    return 0;
  }
  Uint128 above = magnitude(numerator);
  Uint128 below = magnitude(denominator);
  const bool negative = (numerator < 0) != (denominator < 0);
  if (scale(exponent < 0 ? below : above, std::abs(exponent))) {
    // Two integers that doubles hold exactly: the machine's one division rounds their ratio correctly.
    if (bit_width(above) <= kDoubleDigits && bit_width(below) <= kDoubleDigits) [[likely]] {
      const double ratio = static_cast<double>(static_cast<std::uint64_t>(above)) /
                           static_cast<double>(static_cast<std::uint64_t>(below));
      return negative ? -ratio : ratio;
    }
    if (double ratio = 0; divide(above, below, ratio)) {
      return negative ? -ratio : ratio;
    }
  }
  return nearest_double(widen(numerator), widen(denominator), exponent);
}

double nearest_double(WideInteger numerator, WideInteger denominator, int exponent) noexcept {
  if (numerator == 0) {
    return 0;
  }
  const bool negative = (numerator < 0) != (denominator < 0);
  numerator = abs(numerator);
  denominator = abs(denominator);
  (exponent < 0 ? denominator : numerator) *= power_of_ten(std::abs(exponent));
  // A quotient of 65 or 66 bits.
  const int shift = 65 - (static_cast<int>(msb(numerator)) - static_cast<int>(msb(denominator)));
  if (shift > 0) {
    numerator <<= shift;
  } else {
    denominator <<= -shift;
  }
  WideInteger quotient;
  WideInteger remainder;
  divide_qr(numerator, denominator, quotient, remainder);
  const auto low = static_cast<std::uint64_t>(quotient & ~std::uint64_t{0});
  const auto high = static_cast<std::uint64_t>(quotient >> 64);
  const double ratio = round_quotient((static_cast<Uint128>(high) << 64U) | low, remainder != 0, shift);
  return negative ? -ratio : ratio;
}

void append_rounded(WideInteger numerator, WideInteger denominator, int exponent, std::uint32_t decimals,
                    std::string& out) {
  const bool negative = (numerator < 0) != (denominator < 0);
  numerator = abs(numerator);
  denominator = abs(denominator);
  const int power = exponent + static_cast<int>(decimals);
  (power < 0 ? denominator : numerator) *= power_of_ten(std::abs(power));
  WideInteger quotient;
  WideInteger remainder;
  divide_qr(numerator, denominator, quotient, remainder);
  remainder <<= 1;
  if (remainder > denominator || (remainder == denominator && (quotient & 1U) != 0)) {
    ++quotient;
  }
  append_decimal(negative ? WideInteger(-quotient) : quotient, -static_cast<int>(decimals), out);
}

void append_double(double value, std::string& out) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

namespace {

/// `digits`: of the magnitude, the last one first, without zeros at the end of the fraction.
void append_digits(bool negative, const char* digits, int count, int exponent, std::string& out) {
  if (negative) {
    out.push_back('-');
  }
  const int before_point = count + exponent;
  if (before_point <= 0) {
    out.append("0.");
    out.append(static_cast<std::size_t>(-before_point), '0');
  }
  for (int i = count - 1; i >= 0; --i) {
    out.push_back(digits[i]);
    if (i + exponent == 0 && i != 0) {
      out.push_back('.');
    }
  }
  out.append(static_cast<std::size_t>(std::max(exponent, 0)), '0');
}

}  // namespace

void append_decimal(Int128 value, int exponent, std::string& out) {
  if (value == 0) {
    out.push_back('0');
    return;
  }
  Uint128 rest = magnitude(value);
  for (; exponent < 0 && rest % 10 == 0; ++exponent) {
    rest /= 10;
  }
  char digits[40];
  int count = 0;
  while ((rest >> 64U) != 0) {
    digits[count++] = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  }
  for (auto low = static_cast<std::uint64_t>(rest); low != 0; low /= 10) {
    digits[count++] = static_cast<char>('0' + low % 10);
  }
  append_digits(value < 0, digits, count, exponent, out);
}

void append_decimal(WideInteger value, int exponent, std::string& out) {
  if (value == 0) {
    out.push_back('0');
    return;
  }
  const bool negative = value < 0;
  value = abs(value);
  char digits[700];  // 2048 bits are 617 digits
  int count = 0;
  for (; value != 0; value /= 10) {
    const auto digit = static_cast<int>(static_cast<std::uint64_t>(value % 10));
    if (digit == 0 && count == 0 && exponent < 0) {
      ++exponent;
      continue;
    }
    digits[count++] = static_cast<char>('0' + digit);
  }
  append_digits(negative, digits, count, exponent, out);
}

}  // namespace mdpipe::stage
