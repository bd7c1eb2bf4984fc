#include "mdpipe/base/decimal.hpp"

#include <algorithm>
#include <array>

#include "mdpipe/base/wide.hpp"

namespace mdpipe {
namespace {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr int kExponentBound = 100'000'000;  // far beyond what any decimal can hold; keeps the sums below in range

/// The significant digits of a number as they go by: up to 18 are kept, of the rest only what rounding needs.
struct Digits {
  std::uint64_t kept = 0;
  int kept_count = 0;
  int pending_zeros = 0;  // zeros that count only if a non-zero digit follows
  int dropped = 0;        // digits behind the 18th
  int first_dropped = 0;
  bool more_dropped = false;  // a non-zero digit behind the first dropped one

  void append(int digit) noexcept {
    if (kept_count < kDecimalMaxDigits) {
      kept = kept * 10 + static_cast<std::uint64_t>(digit);
      ++kept_count;
      return;
    }
    if (dropped == 0) {
      first_dropped = digit;
    } else {
      more_dropped = more_dropped || digit != 0;
    }
    dropped = std::min(dropped + 1, kExponentBound);
  }

  void take(int digit) noexcept {
    if (digit == 0) {
      if (kept_count != 0) {
        pending_zeros = std::min(pending_zeros + 1, kExponentBound);
      }
      return;
    }
    for (; pending_zeros > 0; --pending_zeros) {
      append(0);
    }
    append(digit);
  }
};

constexpr std::array<std::int64_t, 19> kPowersOfTen = [] {
  std::array<std::int64_t, 19> powers{};
  std::int64_t power = 1;
  for (std::size_t i = 0; i < powers.size(); ++i) {
    powers[i] = power;
    power = i + 1 < powers.size() ? power * 10 : power;
  }
  return powers;
}();

int digit_count(std::uint64_t value) noexcept {
  int count = 1;
  for (; value >= 10; value /= 10) {
    ++count;
  }
  return count;
}

}  // namespace

DecimalResult parse_decimal(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto malformed = DecimalResult{};

  const bool negative = at != end && *at == '-';
  at += negative ? 1 : 0;
  if (at == end || !is_digit(*at)) {
    return malformed;
  }
  if (*at == '0' && at + 1 != end && is_digit(at[1])) {
    return malformed;  // no leading zeros in JSON
  }
  Digits digits;
  // Where the point stands, counted in digits behind the last one kept in `digits`.
  int exponent = 0;
  for (; at != end && is_digit(*at); ++at) {
    digits.take(*at - '0');
  }
  int fraction_digits = 0;
  if (at != end && *at == '.') {
    ++at;
    const char* const first = at;
    for (; at != end && is_digit(*at); ++at) {
      digits.take(*at - '0');
      fraction_digits = std::min(fraction_digits + 1, kExponentBound);
    }
    if (at == first) {
      return malformed;
    }
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    const bool below = at != end && *at == '-';
    at += at != end && (*at == '-' || *at == '+') ? 1 : 0;
    const char* const first = at;
    for (; at != end && is_digit(*at); ++at) {
      exponent = std::min(exponent * 10 + (*at - '0'), kExponentBound);
    }
    if (at == first) {
      return malformed;
    }
    exponent = below ? -exponent : exponent;
  }
  if (at != end) {
    return malformed;
  }
  if (digits.kept == 0) {
    return {Decimal{0, 0}, DecimalStatus::exact};
  }

  exponent += digits.pending_zeros + digits.dropped - fraction_digits;
  // The exact value lies in [10^(magnitude - 1), 10^magnitude).
  const int magnitude = digit_count(digits.kept) + exponent;
  if (magnitude > 19) {
    return {Decimal{}, DecimalStatus::out_of_range};
  }
  const bool inexact = digits.dropped != 0;
  if (inexact) {
    const bool up =
        digits.first_dropped > 5 || (digits.first_dropped == 5 && (digits.more_dropped || (digits.kept & 1U) != 0));
    digits.kept += up ? 1 : 0;
    if (digits.kept == 1'000'000'000'000'000'000U) {
      digits.kept /= 10;
      ++exponent;
    }
  }
  // Rounded first: what becomes 1e-100 by rounding is one.
  if (digit_count(digits.kept) + exponent <= -100) {
    return {Decimal{}, DecimalStatus::out_of_range};
  }
  auto mantissa = static_cast<std::int64_t>(digits.kept);
  for (; exponent > 127; --exponent) {
    mantissa *= 10;  // not reached: magnitude <= 19 keeps the exponent below 19
  }
  return {Decimal{negative ? -mantissa : mantissa, static_cast<std::int8_t>(exponent)},
          inexact ? DecimalStatus::inexact : DecimalStatus::exact};
}

int compare(Decimal a, Decimal b) noexcept {
  const auto sign = [](std::int64_t value) { return value > 0 ? 1 : (value < 0 ? -1 : 0); };
  if (a.exponent == b.exponent || a.mantissa == 0 || b.mantissa == 0 || sign(a.mantissa) != sign(b.mantissa)) {
    return a.mantissa < b.mantissa ? -1 : (a.mantissa > b.mantissa ? 1 : 0);
  }
  // Same sign, neither 0: by magnitude (the place of the first digit), then digit by digit on a common exponent.
  const auto absolute = [](std::int64_t value) { return static_cast<std::uint64_t>(value < 0 ? -value : value); };
  const int place_a = digit_count(absolute(a.mantissa)) + a.exponent;
  const int place_b = digit_count(absolute(b.mantissa)) + b.exponent;
  if (place_a != place_b) {
    return (place_a < place_b) == (a.mantissa > 0) ? -1 : 1;
  }
  // Same place, so the exponents differ by at most 17 and the products fit 128 bits.
  const int difference = a.exponent - b.exponent;
  const Int128 left =
      static_cast<Int128>(a.mantissa) * (difference > 0 ? kPowersOfTen[static_cast<std::size_t>(difference)] : 1);
  const Int128 right =
      static_cast<Int128>(b.mantissa) * (difference < 0 ? kPowersOfTen[static_cast<std::size_t>(-difference)] : 1);
  return left < right ? -1 : (left > right ? 1 : 0);
}

std::size_t format_decimal(Decimal value, char* out) noexcept {
  char* const begin = out;
  auto mantissa = static_cast<std::uint64_t>(value.mantissa);
  int exponent = value.exponent;
  if (mantissa == 0) {
    *out = '0';
    return 1;
  }
  if (value.mantissa < 0) {
    *out++ = '-';
    mantissa = ~mantissa + 1;
  }
  for (; exponent < 0 && mantissa % 10 == 0; ++exponent) {
    mantissa /= 10;
  }
  char digits[20];
  int count = 0;
  for (; mantissa != 0; mantissa /= 10) {
    digits[count++] = static_cast<char>('0' + mantissa % 10);  // last digit first
  }
  const int before_point = count + exponent;
  if (before_point <= 0) {
    *out++ = '0';
    *out++ = '.';
    out = std::fill_n(out, -before_point, '0');
  }
  for (int i = count - 1; i >= 0; --i) {
    *out++ = digits[i];
    if (i + exponent == 0 && i != 0) {
      *out++ = '.';
    }
  }
  out = std::fill_n(out, std::max(exponent, 0), '0');
  return static_cast<std::size_t>(out - begin);
}

std::string to_string(Decimal value) {
  char text[kDecimalTextMaxBytes];
  return {text, format_decimal(value, text)};
}

}  // namespace mdpipe
