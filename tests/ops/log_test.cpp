#include "mdpipe/ops/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/secret.hpp"

namespace mdpipe::ops {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kTime = 1'763'971'200'464'000'000;  // 2025-11-24T08:00:00.464Z

std::string text(std::initializer_list<LogField> fields, std::string_view event = "subscribed") {
  return format_log_line(LogFormat::text, kTime, LogLevel::info, "feed", event, fields);
}
std::string json(std::initializer_list<LogField> fields, std::string_view event = "subscribed") {
  return format_log_line(LogFormat::json, kTime, LogLevel::warning, "feed", event, fields);
}

TEST(Log, WritesKeysAndValuesOnOneLine) {
  EXPECT_EQ(text({{"symbols", "4"}, {"url", "wss://ws.finnhub.io/"}}),
            "2025-11-24T08:00:00.464Z info feed subscribed symbols=4 url=wss://ws.finnhub.io/");
  EXPECT_EQ(text({}), "2025-11-24T08:00:00.464Z info feed subscribed");
}

TEST(Log, QuotesAValueThatCouldBeMisread) {
  EXPECT_THAT(text({{"why", "all is well"}}), HasSubstr(R"( why="all is well")"));
  EXPECT_THAT(text({{"why", ""}}), HasSubstr(R"( why="")"));
  EXPECT_THAT(text({{"why", "a=b"}}), HasSubstr(R"( why="a=b")"));
  EXPECT_THAT(text({{"why", R"(say "no")"}}), HasSubstr(R"( why="say \"no\"")"));
  EXPECT_THAT(text({{"why", R"(a\b)"}}), HasSubstr(R"( why="a\\b")"));
}

TEST(Log, KeepsAnEventOnItsLineWhateverIsInIt) {
  const std::string forged = "x\n2025-11-24T08:00:00.464Z error feed forged\r\x1B[2J\x7F";
  for (const std::string& line :
       {text({{"why", forged}}), json({{"why", forged}}), text({}, forged), json({}, forged)}) {
    EXPECT_THAT(line, Not(HasSubstr("\n"))) << line;
    EXPECT_THAT(line, Not(HasSubstr("\r"))) << line;
    EXPECT_THAT(line, Not(HasSubstr("\x1B"))) << line;
    EXPECT_THAT(line, Not(HasSubstr("\x7F"))) << line;
  }
}

TEST(Log, WritesJsonWhoseValuesAreTexts) {
  EXPECT_EQ(json({{"symbols", "4"}, {"why", "a \"b\"\n\\"}}),
            R"({"time":"2025-11-24T08:00:00.464Z","level":"warning","component":"feed","event":"subscribed",)"
            R"("symbols":"4","why":"a \"b\"\u000a\\"})");
}

TEST(Log, HidesSecretsAndQueriesInBothFormatsAndInTheEventToo) {
  remember_secret(Secret("canary-of-the-log"));
  for (const std::string& line :
       {text({{"why", "no canary-of-the-log, wss://h/p?token=abc"}}),
        json({{"why", "canary-of-the-log wss://h/p?token=abc"}}), text({}, "canary-of-the-log wss://h/p?token=abc"),
        json({}, "canary-of-the-log wss://h/p?token=abc")}) {
    EXPECT_THAT(line, Not(HasSubstr("canary"))) << line;
    EXPECT_THAT(line, Not(HasSubstr("abc"))) << line;
    EXPECT_THAT(line, HasSubstr("wss://h/p?***")) << line;
  }
}

TEST(Log, SaysNothingBelowItsLevelAndEverythingElseOnStandardError) {
  configure_log(LogFormat::json, LogLevel::warning);
  testing::internal::CaptureStderr();
  log(LogLevel::info, "feed", "unheard");
  log(LogLevel::error, "feed", "heard", {{"why", "x"}});
  print_line("a live line");
  const std::string said = testing::internal::GetCapturedStderr();
  configure_log(LogFormat::text, LogLevel::info);
  EXPECT_THAT(said, testing::MatchesRegex(
                        "\\{\"time\":\"20[^\"]*Z\",\"level\":\"error\",\"component\":\"feed\",\"event\":\"heard\","
                        "\"why\":\"x\"\\}\na live line\n"));
}

TEST(Log, KnowsItsLevelsAndFormatsByName) {
  EXPECT_EQ(*parse_log_level("debug"), LogLevel::debug);
  EXPECT_EQ(*parse_log_level("error"), LogLevel::error);
  EXPECT_EQ(*parse_log_format("json"), LogFormat::json);
  EXPECT_EQ(*parse_log_format("text"), LogFormat::text);
  EXPECT_EQ(parse_log_level("loud").error().code, ErrorCode::usage);
  EXPECT_EQ(parse_log_format("xml").error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace mdpipe::ops
