// Frames in memory that is used again: seeded operations against a copy of each frame that is held.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <string>

#include "replay/kafka/record_ring.hpp"
#include "replay/pace/lateness.hpp"

namespace mdpipe::replay {
namespace {

struct Held {
  RecordView record;
  std::string payload;
  Position first;
  std::uint32_t trades;

  [[nodiscard]] bool unharmed() const {
    const auto all = record.trades();
    return record.payload() == payload && all.size() == trades && record.last_position() == first + trades - 1 &&
           std::all_of(all.begin(), all.end(), [&](const Trade& trade) {
             return trade.position == first + static_cast<Position>(&trade - all.data());
           });
  }
};

TEST(RecordRing, HoldsEachFrameUnharmedUntilItIsReleasedAndMakesRoomForAllThatFits) {
  int refused = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    constexpr std::size_t kRingBytes = 16U << 10U;
    RecordRing ring(kRingBytes);
    std::deque<Held> held;
    Position next = 1;
    for (int operation = 0; operation < 5000; ++operation) {
      if (random() % 3 == 0 && !held.empty()) {
        const std::size_t count = std::min<std::size_t>(held.size(), 1 + random() % 4);
        Position settled = 0;
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_TRUE(held.front().unharmed());
          settled = held.front().record.last_position();
          held.pop_front();
        }
        ring.release(settled);
        continue;
      }
      const std::uint32_t trades = 1 + static_cast<std::uint32_t>(random() % 5);
      const std::size_t length = trades * kTradeTextMinBytes + random() % 300;
      const FrameClaim claim = ring.claim(length);
      if (!claim) {
        ++refused;
        ASSERT_FALSE(held.empty()) << "an empty ring has room for everything";
        continue;
      }
      const std::string payload(length, static_cast<char>('a' + random() % 26));
      std::memcpy(claim.payload(), payload.data(), length);
      std::memset(claim.payload() + length, 'z', kClaimPaddingBytes);
      for (std::uint32_t i = 0; i < trades; ++i) {
        claim.trades(length)[i] = Trade{};
        claim.trades(length)[i].position = next + i;
      }
      held.push_back({ring.commit(claim, length, trades, next, 7), payload, next, trades});
      next += trades;
    }
    for (const Held& one : held) {
      ASSERT_TRUE(one.unharmed());
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(RecordRing, TakesAFrameLargerThanItselfOnceItIsEmpty) {
  RecordRing ring(1024);
  const FrameClaim small = ring.claim(100);
  ring.commit(small, 100, 0, 2, 0);
  EXPECT_FALSE(ring.claim(10'000));
  ring.release(1);
  const FrameClaim large = ring.claim(10'000);
  ASSERT_TRUE(large);
  std::memset(large.payload(), 'x', 10'000 + kClaimPaddingBytes);
  EXPECT_EQ(ring.commit(large, 10'000, 0, 3, 0).payload(), std::string(10'000, 'x'));
}

TEST(Lateness, SaysQuantilesToWithinAPartInSixtyFour) {
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> all;
  Lateness lateness;
  EXPECT_EQ(lateness.quantile_ns(0.5), 0U);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t value = random() >> (random() % 40 + 20);
    all.push_back(value);
    lateness.record(static_cast<std::int64_t>(value));
  }
  EXPECT_EQ(lateness.last_ns(), all.back());
  std::sort(all.begin(), all.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const std::uint64_t exact = all[static_cast<std::size_t>(share * 20'000 + 0.5) - 1];
    EXPECT_GE(lateness.quantile_ns(share), exact);
    EXPECT_LE(lateness.quantile_ns(share), exact + exact / 64);
  }
  EXPECT_EQ(lateness.max_ns(), all.back());
  EXPECT_EQ(lateness.quantile_ns(1), all.back());
  lateness.record(-5);  // early is not late
  EXPECT_EQ(lateness.last_ns(), 0U);
}

}  // namespace
}  // namespace mdpipe::replay
