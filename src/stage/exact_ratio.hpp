#pragma once
// Ratios of exact integers, rounded once, and their texts.

#include <array>
#include <cstdint>
#include <string>

#include <boost/multiprecision/cpp_int.hpp>

#include "mdpipe/base/wide.hpp"

namespace mdpipe::stage {

/// Large enough for any sum, product and quotient that a window of the largest size can ask for: prices and sizes reach
/// from 1e-117 to 1e19 (base/decimal.hpp), so a sum of products has at most 2 × 136 + 4 digits, which is 917 bits;
/// scaling by 10^117 and 10^15 and the quotient's own 66 bits come on top. On the stack: allocates nothing.
using WideInteger = boost::multiprecision::number<boost::multiprecision::cpp_int_backend<
    2048, 2048, boost::multiprecision::signed_magnitude, boost::multiprecision::unchecked, void>>;

[[nodiscard]] WideInteger widen(Int128 value);
[[nodiscard]] inline const WideInteger& widen(const WideInteger& value) {
  return value;
}

/// numerator / denominator × 10^exponent as the double nearest to it, ties to even. Precondition: denominator != 0.
[[nodiscard]] inline double nearest_double(std::int64_t numerator, std::int64_t denominator, int exponent) noexcept;
[[nodiscard]] double nearest_double(Int128 numerator, Int128 denominator, int exponent) noexcept;
[[nodiscard]] double nearest_double(WideInteger numerator, WideInteger denominator, int exponent) noexcept;

/// The same, rounded half-even to so many decimals, in plain notation.
void append_rounded(WideInteger numerator, WideInteger denominator, int exponent, std::uint32_t decimals,
                    std::string& out);

/// The shortest text that reads back as this double.
void append_double(double value, std::string& out);

/// value × 10^exponent in plain notation, without zeros at the end of the fraction.
void append_decimal(Int128 value, int exponent, std::string& out);
void append_decimal(WideInteger value, int exponent, std::string& out);

inline double nearest_double(std::int64_t numerator, std::int64_t denominator, int exponent) noexcept {
  // Two integers that doubles hold exactly: the machine's one division rounds their ratio correctly.
  constexpr std::int64_t kLimit = std::int64_t{1} << 53;
  constexpr std::array<std::int64_t, 16> kPowers = {1,
                                                    10,
                                                    100,
                                                    1'000,
                                                    10'000,
                                                    100'000,
                                                    1'000'000,
                                                    10'000'000,
                                                    100'000'000,
                                                    1'000'000'000,
                                                    10'000'000'000,
                                                    100'000'000'000,
                                                    1'000'000'000'000,
                                                    10'000'000'000'000,
                                                    100'000'000'000'000,
                                                    1'000'000'000'000'000};
  const auto power = static_cast<std::size_t>(-exponent);  // a positive exponent becomes a large one
  if (power < kPowers.size() && numerator < kLimit && numerator > -kLimit) [[likely]] {
    std::int64_t below = 0;
    if (!__builtin_mul_overflow(denominator, kPowers[power], &below) && below < kLimit && below > -kLimit) [[likely]] {
      return numerator == 0 ? 0 : static_cast<double>(numerator) / static_cast<double>(below);  // never -0
    }
  }
  return nearest_double(static_cast<Int128>(numerator), static_cast<Int128>(denominator), exponent);
}

}  // namespace mdpipe::stage
