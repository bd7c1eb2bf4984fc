// Decimals against a slow model that keeps every digit.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "mdpipe/base/decimal.hpp"

namespace mdpipe {
namespace {

/// A number as its significant digits and the power of ten behind them, of any length: 0.[digits] × 10^point.
struct LongNumber {
  bool negative = false;
  std::string digits;  // no zero in front nor at the end; empty = 0
  long point = 0;
};

LongNumber long_number(std::string text) {
  LongNumber number;
  if (text.front() == '-') {
    number.negative = true;
    text.erase(0, 1);
  }
  const auto e = text.find_first_of("eE");
  number.point = e == std::string::npos ? 0 : std::stol(text.substr(e + 1));
  text = text.substr(0, e);
  const auto dot = text.find('.');
  number.point += static_cast<long>(dot == std::string::npos ? text.size() : dot);
  number.digits = dot == std::string::npos ? text : text.erase(dot, 1);
  while (!number.digits.empty() && number.digits.front() == '0') {
    number.digits.erase(0, 1);
    --number.point;
  }
  while (!number.digits.empty() && number.digits.back() == '0') {
    number.digits.pop_back();
  }
  return number;
}

/// Half-even to 18 digits, by hand. True if digits were lost.
bool round_to_18(LongNumber& number) {
  if (number.digits.size() <= 18) {
    return false;
  }
  const std::string rest = number.digits.substr(18);
  number.digits.resize(18);
  const std::string half = "5" + std::string(rest.size() - 1, '0');
  if (rest > half || (rest == half && (number.digits.back() - '0') % 2 == 1)) {
    std::size_t at = 18;
    while (at > 0 && number.digits[at - 1] == '9') {
      number.digits[--at] = '0';
    }
    if (at == 0) {
      number.digits.insert(0, "1");
      ++number.point;
    } else {
      ++number.digits[at - 1];
    }
  }
  while (!number.digits.empty() && number.digits.back() == '0') {
    number.digits.pop_back();
  }
  return true;
}

std::string plain(const LongNumber& number) {
  if (number.digits.empty()) {
    return "0";
  }
  const std::string sign = number.negative ? "-" : "";
  const auto count = static_cast<long>(number.digits.size());
  if (number.point <= 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-number.point), '0') + number.digits;
  }
  if (number.point >= count) {
    return sign + number.digits + std::string(static_cast<std::size_t>(number.point - count), '0');
  }
  return sign + number.digits.substr(0, static_cast<std::size_t>(number.point)) + "." +
         number.digits.substr(static_cast<std::size_t>(number.point));
}

std::string random_number(std::mt19937& random) {
  const auto digits = [&](unsigned most) {
    std::string text;
    // Runs of 0, 5 and 9 are where rounding goes wrong.
    const std::string_view pool = random() % 2 == 0 ? "0123456789" : "000599";
    for (auto left = random() % most; left != 0; --left) {
      text += pool[random() % pool.size()];
    }
    return text;
  };
  std::string text = random() % 3 == 0 ? "-" : "";
  std::string whole = digits(24);
  whole.erase(0, whole.find_first_not_of('0'));
  text += whole.empty() ? "0" : whole;
  if (random() % 2 == 0) {
    text += "." + digits(30) + std::to_string(random() % 10);
  }
  if (random() % 3 == 0) {
    text += random() % 2 == 0 ? "e" : "E";
    text += random() % 3 == 0 ? "+" : (random() % 2 == 0 ? "-" : "");
    text += std::to_string(random() % 130);
  }
  return text;
}

TEST(Decimal, IsWhatTheLongNumberIs) {
  constexpr unsigned kSeed = 1007;
  std::mt19937 random(kSeed);
  int inexact = 0;
  int out_of_range = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = random_number(random);
    LongNumber expected = long_number(text);
    const DecimalResult found = parse_decimal(text);
    // 0.d × 10^point: 1e19 has the point at 20.
    const bool too_large = !expected.digits.empty() && expected.point > 19;
    const bool rounded = round_to_18(expected);
    if (too_large || (!expected.digits.empty() && expected.point - 1 < -100)) {
      ASSERT_EQ(found.status, DecimalStatus::out_of_range) << text << ", seed " << kSeed;
      ++out_of_range;
      continue;
    }
    ASSERT_EQ(found.status, rounded ? DecimalStatus::inexact : DecimalStatus::exact) << text << ", seed " << kSeed;
    ASSERT_EQ(to_string(found.value), plain(expected)) << text << ", seed " << kSeed;
    ASSERT_LT(found.value.mantissa, 1'000'000'000'000'000'000);
    ASSERT_GT(found.value.mantissa, -1'000'000'000'000'000'000);
    inexact += rounded ? 1 : 0;
    // What is printed is read back as the same.
    ASSERT_EQ(compare(parse_decimal(to_string(found.value)).value, found.value), 0) << text;
  }
  EXPECT_GT(inexact, 10'000);
  EXPECT_GT(out_of_range, 1'000);
}

TEST(Decimal, EndsWhereATradesNumbersEnd) {
  EXPECT_EQ(parse_decimal("9999999999999999999").status, DecimalStatus::inexact);
  EXPECT_EQ(parse_decimal("9999999999999999999").value.mantissa, 100'000'000'000'000'000);
  EXPECT_EQ(parse_decimal("1e19").status, DecimalStatus::out_of_range);
  EXPECT_EQ(parse_decimal("1e-100").status, DecimalStatus::exact);
  EXPECT_EQ(parse_decimal("9.9e-101").status, DecimalStatus::out_of_range);
  EXPECT_EQ(parse_decimal("9.99999999999999999999e-101").status, DecimalStatus::inexact);  // rounded, it is 1e-100
  EXPECT_EQ(parse_decimal("0e99999999999999999999").status, DecimalStatus::exact);
  EXPECT_EQ(parse_decimal("1e99999999999999999999").status, DecimalStatus::out_of_range);
  EXPECT_EQ(parse_decimal("1e-99999999999999999999").status, DecimalStatus::out_of_range);
  EXPECT_EQ(parse_decimal("1" + std::string(300, '0') + "e-300").value.mantissa, 1);
}

TEST(Decimal, RoundsATieToTheEvenDigit) {
  EXPECT_EQ(parse_decimal("1234567890123456.785").value.mantissa, 123'456'789'012'345'678);
  EXPECT_EQ(parse_decimal("1234567890123456.775").value.mantissa, 123'456'789'012'345'678);
  EXPECT_EQ(parse_decimal("1234567890123456.78500000000000000001").value.mantissa, 123'456'789'012'345'679);
  EXPECT_EQ(to_string(parse_decimal("0.9999999999999999995").value), "1");
}

TEST(Decimal, MinusZeroIsZero) {
  for (const char* text : {"-0", "-0.000", "-0e5", "0", "0.0"}) {
    const DecimalResult zero = parse_decimal(text);
    EXPECT_EQ(zero.status, DecimalStatus::exact) << text;
    EXPECT_EQ(to_string(zero.value), "0") << text;
  }
}

TEST(Decimal, WhatJsonDoesNotCallANumberIsMalformed) {
  for (const char* text : {"",   "-",  "+1",  "01",  "-01",      ".5",  "1.",  "1.e5", "1e",    "1e+", "1e5.",
                           "1 ", " 1", "0x1", "NaN", "Infinity", "1,5", "1_0", "--1",  "1e1e1", "1\0"}) {
    EXPECT_EQ(parse_decimal(text).status,
              text[0] == '1' && text[1] == '\0' ? DecimalStatus::exact : DecimalStatus::malformed)
        << text;
  }
  EXPECT_EQ(parse_decimal(std::string_view("1\0", 2)).status, DecimalStatus::malformed);
}

/// -1, 0 or 1 by the texts: sign, then the place of the first digit, then the digits.
int compare_long(const LongNumber& a, const LongNumber& b) {
  const auto sign = [](const LongNumber& number) { return number.digits.empty() ? 0 : (number.negative ? -1 : 1); };
  if (sign(a) != sign(b) || sign(a) == 0) {
    return sign(a) < sign(b) ? -1 : (sign(a) > sign(b) ? 1 : 0);
  }
  const int larger = a.point != b.point ? (a.point > b.point ? 1 : -1) : a.digits.compare(b.digits);
  return larger == 0 ? 0 : ((larger > 0) == (sign(a) > 0) ? 1 : -1);
}

TEST(Decimal, ComparesByValueWhateverTheExponents) {
  std::mt19937 random(11);
  int equal = 0;
  for (int i = 0; i < 50'000; ++i) {
    // Of few digits, so that equal values in different clothes are met often.
    const auto draw = [&] {
      const auto mantissa = static_cast<std::int64_t>(random() % 41) - 20;
      const auto zeros = random() % 17;
      std::int64_t scaled = mantissa;
      for (auto left = zeros; left != 0; --left) {
        scaled *= 10;
      }
      return Decimal{scaled, static_cast<std::int8_t>(static_cast<int>(random() % 4) - static_cast<int>(zeros) - 2)};
    };
    const Decimal a = draw();
    const Decimal b = draw();
    const int expected = compare_long(long_number(to_string(a)), long_number(to_string(b)));
    ASSERT_EQ(compare(a, b), expected) << to_string(a) << " and " << to_string(b);
    ASSERT_EQ(compare(b, a), -expected);
    equal += expected == 0 ? 1 : 0;
  }
  EXPECT_GT(equal, 100);
  EXPECT_EQ(compare({1, 127}, {999'999'999'999'999'999, -128}), 1);
  EXPECT_EQ(compare({-1, 127}, {999'999'999'999'999'999, -128}), -1);
}

TEST(Decimal, PrintsTheLongestOnesWithinItsBound) {
  for (const std::int8_t exponent : {std::int8_t{-128}, std::int8_t{127}}) {
    const std::string text = to_string({-999'999'999'999'999'999, exponent});
    EXPECT_LE(text.size(), kDecimalTextMaxBytes);
    EXPECT_EQ(text, plain(long_number("-999999999999999999e" + std::to_string(exponent))));
  }
}

}  // namespace
}  // namespace mdpipe
