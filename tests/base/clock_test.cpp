// The text forms of time against the C library's calendar.

#include <gtest/gtest.h>

#include <ctime>
#include <limits>
#include <random>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe {
namespace {

TEST(IsoTime, IsWhatTheCalendarSays) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    // From the year 0 to 9999.
    const auto time_ms = static_cast<std::int64_t>(random() % 315'569'520'000'000) - 62'167'219'200'000;
    const std::time_t seconds = (time_ms - ((time_ms % 1000) + 1000) % 1000) / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    const std::string date = fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
    ASSERT_EQ(utc_date(time_ms), date);
    ASSERT_EQ(iso_time_ms(time_ms), fmt::format("{}T{:02}:{:02}:{:02}.{:03}Z", date, parts.tm_hour, parts.tm_min,
                                                parts.tm_sec, time_ms - seconds * 1000));
  }
}

TEST(IsoTime, StaysWithinItsBoundForEveryTime) {
  for (const std::int64_t time_ms :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_LE(iso_time_ms(time_ms).size(), kIsoTimeMaxBytes);
  }
  EXPECT_EQ(iso_time_ms(std::numeric_limits<std::int64_t>::max()), "292278994-08-17T07:12:55.807Z");
  EXPECT_EQ(utc_date(253'402'300'800'000), "10000-01-01");
  EXPECT_EQ(utc_date(-62'167'219'200'001), "-0001-12-31");
}

TEST(IsoTime, RoundsNanosecondsDownAlsoBefore1970) {
  EXPECT_EQ(floor_to_ms(1'999'999), 1);
  EXPECT_EQ(floor_to_ms(0), 0);
  EXPECT_EQ(floor_to_ms(-1), -1);
  EXPECT_EQ(floor_to_ms(-1'000'000), -1);
  EXPECT_EQ(floor_to_ms(-1'000'001), -2);
}

TEST(TimeOption, IsReadInEveryFormThatIsPromised) {
  const struct {
    const char* text;
    std::int64_t time_ns;
  } cases[] = {
      {"2013-10-07T14:30:00Z", 1'381'156'200'000'000'000},
      {"2013-10-07T10:30:00.25-04:00", 1'381'156'200'250'000'000},
      {"2013-10-07t20:00:00+05:30", 1'381'156'200'000'000'000},
      {"2013-10-07 14:30:00.1234567899z", 1'381'156'200'123'456'789},
      {"2013-10-07", 1'381'104'000'000'000'000},
      {"2012-02-29T00:00:00Z", 1'330'473'600'000'000'000},
      {"1969-12-31T23:59:59.5Z", -500'000'000},
      {"1381156200", 1'381'156'200'000'000'000},
      {"1381156200.5", 1'381'156'200'500'000'000},
      {"-1.5", -1'500'000'000},
      {"1381156200250", 1'381'156'200'250'000'000},
      {"1381156200250125", 1'381'156'200'250'125'000},
      {"1381156200250125001", 1'381'156'200'250'125'001},
      {"0", 0},
  };
  for (const auto& one : cases) {
    const auto found = parse_time_ns(one.text);
    ASSERT_TRUE(found) << one.text;
    EXPECT_EQ(*found, one.time_ns) << one.text;
  }
}

TEST(TimeOption, ThatIsNoTimeIsAUsageError) {
  for (const char* text : {"",
                           "now",
                           "2013-02-29",
                           "2013-13-01",
                           "2013-00-10",
                           "2013-10-32",
                           "2013-10-07T24:00:00Z",
                           "2013-10-07T14:60:00Z",
                           "2013-10-07T14:30:00",
                           "2013-10-07T14:30:00.Z",
                           "2013-10-07T14:30Z",
                           "2013-10-07T14:30:00+0400",
                           "2013-10-07T14:30:00Zx",
                           "1677-01-01",
                           "2262-01-01",
                           "12.",
                           "1e9",
                           "99999999999999999999",
                           "9999999999999999999",
                           "1381156200250.5",
                           "-",
                           "0x10"}) {
    const auto found = parse_time_ns(text);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code, ErrorCode::usage) << text;
  }
}

}  // namespace
}  // namespace mdpipe
