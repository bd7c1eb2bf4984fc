#include "replay/session/activity.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(Activity, FindsTheLongestGapsAndTheBiggestBurstsInTheirOrder) {
  Activity activity;
  activity.add(0, 1);
  activity.add(kMs, 2);        // still within a millisecond of the one before
  activity.add(3 * kMs, 10);   // 2 ms later: another burst
  activity.add(100 * kMs, 4);  // after the longest gap
  activity.finish();
  ASSERT_EQ(activity.biggest_bursts().size(), 3U);
  EXPECT_EQ(activity.biggest_bursts()[0].trades, 10U);
  EXPECT_EQ(activity.biggest_bursts()[1].begin_ns, 100 * kMs);
  EXPECT_EQ(activity.biggest_bursts()[2].trades, 3U);
  EXPECT_EQ(activity.biggest_bursts()[2].end_ns, kMs);
  ASSERT_EQ(activity.longest_gaps().size(), 2U);
  EXPECT_EQ(activity.longest_gaps()[0].begin_ns, 3 * kMs);
  EXPECT_EQ(activity.longest_gaps()[1].end_ns, 3 * kMs);
}

TEST(Activity, CountsSecondsThoseWithoutATradeToo) {
  Activity activity;
  activity.add(-1, 5);  // in the second before 1970
  activity.add(0, 7);
  activity.add(kNanosecondsPerSecond - 1, 1);
  activity.add(97 * kNanosecondsPerSecond + 5, 2);
  activity.finish();
  EXPECT_EQ(activity.busiest_second().trades, 8U);
  EXPECT_EQ(activity.busiest_second().begin_ns, 0);
  EXPECT_EQ(activity.percentile_per_s(50), 0U);
  EXPECT_EQ(activity.percentile_per_s(97), 2U);
  EXPECT_EQ(activity.percentile_per_s(100), 8U);
}

TEST(Activity, ItsColumnsHoldEveryTradeWhereverItLiesAndStayFew) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    Activity activity;
    std::vector<std::pair<std::int64_t, std::uint64_t>> all;
    std::int64_t time_ns = 0;
    for (int i = 0; i < 300; ++i) {
      time_ns += static_cast<std::int64_t>(random() >> (20 + random() % 44));
      all.emplace_back(time_ns, random() % 9 + 1);
      activity.add(time_ns, all.back().second);
    }
    activity.finish();
    ASSERT_LE(activity.columns().size(), Activity::kColumnsMax);
    std::vector<std::uint64_t> naive(activity.columns().size());
    for (const auto& [at_ns, trades] : all) {
      naive.at(static_cast<std::size_t>((at_ns - all.front().first) / activity.column_ns())) += trades;
    }
    EXPECT_EQ(activity.columns(), naive);
  }
}

TEST(Activity, BearsAnyTimesThatAVenueMayStamp) {
  Activity activity;
  activity.add(std::numeric_limits<std::int64_t>::min() + 1, 1);
  activity.add(std::numeric_limits<std::int64_t>::max(), 1);
  activity.finish();
  EXPECT_EQ(activity.trades(), 2U);
  EXPECT_GE(activity.mean_per_s(), 0);
  EXPECT_EQ(std::accumulate(activity.columns().begin(), activity.columns().end(), std::uint64_t{0}), 2U);
}

TEST(Activity, DrawsAColumnForEachNumberAndABlankForNone) {
  EXPECT_EQ(sparkline({0, 1, 4, 8}), " ▁▄█");
  EXPECT_EQ(sparkline({0, 1, 1'000'000}), " ▁█");
  EXPECT_EQ(sparkline({}), "");
}

}  // namespace
}  // namespace mdpipe::replay
