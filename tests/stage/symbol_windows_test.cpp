#include "symbol_windows.hpp"

#include <cmath>
#include <cstdlib>
#include <deque>
#include <random>

#include <gtest/gtest.h>
#include <boost/multiprecision/cpp_int.hpp>

namespace mdpipe::stage {
namespace {

using Rational = boost::multiprecision::cpp_rational;
using Integer = boost::multiprecision::cpp_int;

Rational rational(Decimal value) {
  Rational result = value.mantissa;
  for (int i = 0; i < value.exponent; ++i) {
    result *= 10;
  }
  for (int i = value.exponent; i < 0; ++i) {
    result /= 10;
  }
  return result;
}

/// A double is mantissa × 2^exponent, exactly.
Rational rational(double value) {
  int exponent = 0;
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
  Rational result = mantissa;
  for (int i = exponent - 53; i > 0; --i) {
    result *= 2;
  }
  for (int i = exponent - 53; i < 0; ++i) {
    result /= 2;
  }
  return result;
}

/// By the definition: no double is nearer; of two as near, the one with an even mantissa.
void expect_nearest(const Rational& exact, double got) {
  const Rational distance = abs(exact - rational(got));
  for (const double other : {std::nextafter(got, -INFINITY), std::nextafter(got, INFINITY)}) {
    const Rational other_distance = abs(exact - rational(other));
    ASSERT_LE(distance, other_distance) << got;
    if (distance == other_distance) {
      int exponent = 0;
      ASSERT_EQ(static_cast<std::int64_t>(std::ldexp(std::frexp(got, &exponent), 53)) % 2, 0) << got;
    }
  }
}

/// What a window holds, kept the slow way.
struct Model {
  std::deque<std::pair<Rational, Rational>> trades;
  std::uint64_t count = 0;
};

class Windows : public testing::TestWithParam<int> {};

/// How far apart numbers lie: usual ones, some digits more, as wild as a trade may be.
Decimal random_decimal(std::mt19937_64& random, int wildness) {
  const auto digits = static_cast<int>(random() % (wildness == 0 ? 7 : 18)) + 1;
  std::int64_t limit = 1;
  for (int i = 0; i < digits; ++i) {
    limit *= 10;
  }
  auto mantissa = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit));
  mantissa = wildness == 2 && random() % 4 == 0 ? -mantissa : mantissa;
  const int exponent = wildness == 0   ? -static_cast<int>(random() % 3)
                       : wildness == 1 ? -static_cast<int>(random() % 12)
                                       : static_cast<int>(random() % 118) - 117;
  return {random() % 20 == 0 ? 0 : mantissa, static_cast<std::int8_t>(exponent)};
}

TEST_P(Windows, AreWhatExactArithmeticSaysWhateverTheNumbers) {
  const int wildness = GetParam();
  std::mt19937_64 random(7 + static_cast<unsigned>(wildness));
  for (const std::uint32_t window : {1U, 2U, 20U}) {
    SymbolWindows windows({.window = window, .every = 3, .precision = std::nullopt});
    windows.grow(3);
    std::array<Model, 3> models;
    for (int step = 0; step < (wildness == 2 ? 1500 : 6000); ++step) {
      const auto id = static_cast<SymbolId>(random() % 3);
      // Calm and wild stretches, so that symbols become wide and narrow again.
      const int now = wildness == 2 && step / 100 % 2 == 0 ? 0 : wildness;
      const Decimal price = random_decimal(random, now);
      const Decimal size = random_decimal(random, now);
      Model& model = models[id];
      ++model.count;
      ASSERT_EQ(windows.due_next(id), model.count % 3 == 0);
      windows.add(id, price, size);
      model.trades.emplace_back(rational(price), rational(size));
      if (model.trades.size() > window) {
        model.trades.pop_front();
      }
      if (random() % 3 != 0) {
        continue;
      }
      Rational prices = 0;
      Rational sizes = 0;
      Rational products = 0;
      for (const auto& [one_price, one_size] : model.trades) {
        prices += one_price;
        sizes += one_size;
        products += one_price * one_size;
      }
      const WindowRatios ratios = windows.ratios(id);
      ASSERT_EQ(windows.count(id), model.count);
      expect_nearest(prices / model.trades.size(), ratios.average_price);
      expect_nearest(sizes == 0 ? Rational(0) : Rational(products / sizes), ratios.volume_weighted_price);
      const Rational& first = model.trades.front().first;
      const Rational& last = model.trades.back().first;
      expect_nearest(first == 0 ? Rational(0) : Rational((last - first) / first * 100), ratios.price_change_percent);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FromUsualToWild, Windows, testing::Values(0, 1, 2));

std::string metric(const std::vector<std::pair<const char*, const char*>>& trades, WindowOptions options) {
  SymbolWindows windows(options);
  windows.grow(1);
  for (const auto& [price, size] : trades) {
    windows.add(0, parse_decimal(price).value, parse_decimal(size).value);
  }
  std::string text;
  windows.append_metric(0, R"("A\"B")", 1'381'132'800'464, text);
  return text;
}

TEST(Metric, IsOneLineOfJsonWithExactDecimalsAndShortestRatios) {
  EXPECT_EQ(metric({{"168.25", "100"}, {"168.3", "0.5"}, {"168", "2"}}, {.window = 20, .every = 1, .precision = {}}),
            R"({"symbol":"A\"B","trade_count":3,"window_size":3,"avg_price":168.18333333333334,"min_price":168,)"
            R"("max_price":168.3,"latest_price":168,"total_volume":102.5,"vwap":168.24536585365854,)"
            R"("price_change_pct":-0.1485884101040119,"timestamp":"2013-10-07T08:00:00.464Z"})");
}

TEST(Metric, RoundsRatiosHalfEvenToThePrecisionAskedFor) {
  const std::string text = metric({{"1.005", "1"}, {"1.025", "1"}}, {.window = 20, .every = 1, .precision = 2});
  EXPECT_NE(text.find(R"("avg_price":1.02,)"), std::string::npos) << text;  // 1.015
  const std::string even = metric({{"1.04", "1"}, {"1.05", "1"}}, {.window = 20, .every = 1, .precision = 2});
  EXPECT_NE(even.find(R"("avg_price":1.04,)"), std::string::npos) << even;  // 1.045
}

TEST(Metric, HasZerosWhereNoRatioCanBeFormed) {
  const std::string text = metric({{"0", "0"}, {"5", "0"}}, {.window = 20, .every = 1, .precision = {}});
  EXPECT_NE(text.find(R"("vwap":0,"price_change_pct":0,)"), std::string::npos) << text;
}

TEST(Metric, IsExactWhereNumbersAreTooFarApartForOneExponent) {
  const std::string text =
      metric({{"123456789012345678", "1e-60"}, {"1e-90", "9e18"}}, {.window = 20, .every = 1, .precision = {}});
  EXPECT_NE(text.find(R"("min_price":0.)" + std::string(89, '0') + R"(1,"max_price":123456789012345678,)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("total_volume":9000000000000000000.)" + std::string(59, '0') + "1,"), std::string::npos)
      << text;
}

TEST(RestoredWindows, GoOnFromASnapshotAsIfNothingHadHappened) {
  std::mt19937_64 random(3);
  const WindowOptions options{.window = 5, .every = 2, .precision = {}};
  SymbolWindows one(options);
  one.grow(1);
  for (int step = 0; step < 300; ++step) {
    one.add(0, random_decimal(random, step % 40 < 3 ? 2 : 1), random_decimal(random, 1));
    SymbolWindows other(options);
    other.grow(1);
    std::vector<PriceSize> trades;
    one.for_each(0, [&](const PriceSize& trade) { trades.push_back(trade); });
    other.restore(0, one.count(0), trades);
    ASSERT_EQ(other.due_next(0), one.due_next(0));
    std::string a;
    std::string b;
    one.append_metric(0, "1", 0, a);
    other.append_metric(0, "1", 0, b);
    ASSERT_EQ(a, b);
  }
}

}  // namespace
}  // namespace mdpipe::stage
