#include "backoff.hpp"

#include <set>

#include <gtest/gtest.h>

namespace mdpipe::feed {
namespace {

constexpr std::int64_t kMin = 200;
constexpr std::int64_t kMax = 30'000;

TEST(Backoff, DrawsFromTheLeastUpToTwiceAsMuchAfterEachFailureAndNeverBeyondTheMost) {
  std::int64_t ceiling = kMin;
  std::int64_t largest = 0;
  std::vector<std::int64_t> largest_of(60, 0);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Backoff backoff(kMin, kMax, seed);
    ceiling = kMin;
    for (std::size_t failure = 0; failure < largest_of.size(); ++failure) {
      const std::int64_t wait = backoff.next_ns();
      ASSERT_GE(wait, kMin);
      ASSERT_LE(wait, ceiling);
      largest_of[failure] = std::max(largest_of[failure], wait);
      largest = std::max(largest, wait);
      ceiling = std::min(ceiling * 2, kMax);
    }
  }
  // It does go up there: more than half of each ceiling is drawn now and then.
  ceiling = kMin;
  for (const std::int64_t drawn : largest_of) {
    EXPECT_GE(drawn, ceiling / 2);
    ceiling = std::min(ceiling * 2, kMax);
  }
  EXPECT_GT(largest, kMax * 9 / 10);
}

TEST(Backoff, StartsAnewOnceAConnectionHasProvedGood) {
  Backoff backoff(kMin, kMax, 7);
  for (int i = 0; i < 20; ++i) {
    (void)backoff.next_ns();
  }
  backoff.reset();
  EXPECT_EQ(backoff.next_ns(), kMin);
  EXPECT_LE(backoff.next_ns(), 2 * kMin);
}

TEST(Backoff, IsAnotherForAnotherSeedSoThatManyClientsDoNotComeBackAtOnce) {
  std::set<std::int64_t> waits;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Backoff backoff(kMin, kMax, seed);
    for (int i = 0; i < 7; ++i) {
      (void)backoff.next_ns();
    }
    waits.insert(backoff.next_ns());
  }
  EXPECT_GT(waits.size(), 90U);
}

TEST(Backoff, TakesALeastThatIsMoreThanTheMost) {
  Backoff backoff(50, 10, 1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(backoff.next_ns(), 50);
  }
}

TEST(Backoff, DoesNotOverflowWithTheLongestWaits) {
  constexpr std::int64_t kLong = std::int64_t{1} << 62U;
  Backoff backoff(kLong, INT64_MAX, 1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(backoff.next_ns(), kLong);
  }
}

}  // namespace
}  // namespace mdpipe::feed
