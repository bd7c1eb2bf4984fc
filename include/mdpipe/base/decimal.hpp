#pragma once
/// \file
/// Exact decimals: what a price or a size is from the wire to the last stage. Never a binary float on the way.

#include <cstdint>
#include <string>
#include <string_view>

namespace mdpipe {

/// value = mantissa × 10^exponent; |mantissa| < 10^18. Not normalised: 1.50 and 1.5 differ in members, not in value
/// (compare() says so). Zero has mantissa 0 whatever its exponent.
struct Decimal {
  std::int64_t mantissa = 0;
  std::int8_t exponent = 0;
};

inline constexpr int kDecimalMaxDigits = 18;

enum class DecimalStatus : std::uint8_t {
  exact,         ///< the text's value, exactly
  inexact,       ///< more than 18 significant digits: rounded half-even to 18
  out_of_range,  ///< |x| >= 1e19, or 0 < |x| < 1e-100: not a number that a trade may hold
  malformed,     ///< not a number by the JSON grammar
};

struct DecimalResult {
  Decimal value;
  DecimalStatus status = DecimalStatus::malformed;
};

/// Reads a whole text that must be one number by the grammar of JSON (RFC 8259, section 6). -0 is 0. Trailing zeros of
/// the fraction do not count as significant digits. Allocates nothing.
[[nodiscard]] DecimalResult parse_decimal(std::string_view text) noexcept;

/// -1, 0, 1 as a < b, a = b, a > b; exact for every pair.
[[nodiscard]] int compare(Decimal a, Decimal b) noexcept;

/// Plain notation without an exponent, shortest ("0.0072", "1200", "-3.5"); at most kDecimalTextMaxBytes.
inline constexpr std::size_t kDecimalTextMaxBytes = 160;
[[nodiscard]] std::size_t format_decimal(Decimal value, char* out) noexcept;
[[nodiscard]] std::string to_string(Decimal value);

}  // namespace mdpipe
