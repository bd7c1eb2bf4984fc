#include "request.hpp"

#include <gtest/gtest.h>

namespace mdpipe::feed {
namespace {

TEST(Request, SubscribesToASymbolOfWhateverCharacters) {
  EXPECT_EQ(subscribe_message("IC MARKETS:1"), R"({"type":"subscribe","symbol":"IC MARKETS:1"})");
  EXPECT_EQ(subscribe_message("a\"b\\c\x01"), R"({"type":"subscribe","symbol":"a\"b\\c\u0001"})");
}

TEST(Request, EncodesWhatAQueryMayNotHoldAsItIs) {
  EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encoded("a b&c=d/\xFF"), "a%20b%26c%3Dd%2F%FF");
}

TEST(Request, ReadsRetryAfterAsSecondsOrAsADateButNeverMoreThanADay) {
  constexpr std::int64_t kNow = 1'700'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT
  EXPECT_EQ(parse_retry_after_s("120", kNow), 120);
  EXPECT_EQ(parse_retry_after_s("0", kNow), 0);
  EXPECT_EQ(parse_retry_after_s("Tue, 14 Nov 2023 22:15:20 GMT", kNow), 120);
  EXPECT_EQ(parse_retry_after_s("Tue, 14 Nov 2023 22:13:19 GMT", kNow), 0);
  EXPECT_EQ(parse_retry_after_s("Fri, 14 Nov 2025 22:13:20 GMT", kNow), kRetryAfterMaxS);
  EXPECT_EQ(parse_retry_after_s("86401", kNow), kRetryAfterMaxS);
  EXPECT_EQ(parse_retry_after_s("9223372036854775807", kNow), kRetryAfterMaxS);
  EXPECT_EQ(parse_retry_after_s("99999999999999999999999", kNow), kRetryAfterMaxS);
  for (const char* const text : {"", "-5", "soon", "1.5", "5 s", "+5"}) {
    EXPECT_EQ(parse_retry_after_s(text, kNow), 0) << text;
  }
}

TEST(Request, MakesWhatAStrangerWroteFitForALogLine) {
  EXPECT_EQ(printable("Too Many Requests"), "Too Many Requests");
  EXPECT_EQ(printable("a\nb\x1B[2J\xFF"), "a?b?[2J?");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 203U);
}

}  // namespace
}  // namespace mdpipe::feed
