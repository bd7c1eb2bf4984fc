#include "replay/session/json_scanner.hpp"

#include <gtest/gtest.h>

namespace mdpipe::replay {
namespace {

bool is_json(std::string_view text) {
  JsonScanner scanner(text);
  return scanner.skip_value() && scanner.at_end();
}

TEST(JsonScanner, TakesWhatRfc8259Takes) {
  for (const char* good : {"0", "-0", "-1.5e+10", "1E5", "\"\"", R"("\"\\\/\b\f\n\r\t\u00aF")", "[]", "[ 1 , [ ] ]",
                           "{}", R"({ "a" : { "b" : null } , "a" : true })", " false ", "\t\r\n1"}) {
    EXPECT_TRUE(is_json(good)) << good;
  }
}

TEST(JsonScanner, RefusesWhatRfc8259Refuses) {
  for (const char* bad :
       {"",           " ",     "01",       "-",    "+1",          ".5",  "1.",      "1e",          "1e+",
        "0x1",        "NaN",   "Infinity", "tru",  "nulll",       "\"",  "\"\\x\"", "\"\\u12g4\"", "\"\\u12",
        "\"\n\"",     "[1,]",  "[1 2]",    "[,1]", "[",           "]",   "{,}",     "{\"a\"}",     "{\"a\":}",
        "{\"a\":1,}", "{a:1}", "{1:1}",    "1 2",  "\"a\" \"b\"", "[1}", "'a'"}) {
    EXPECT_FALSE(is_json(bad)) << bad;
  }
  EXPECT_FALSE(is_json(std::string_view("1\0", 2)));
  EXPECT_FALSE(is_json(std::string_view("\"\\\0\"", 4)));
}

TEST(JsonScanner, GoesAsDeepAsItsLimitAndNoDeeper) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(is_json(nested(JsonScanner::kMaxDepth)));
  EXPECT_FALSE(is_json(nested(JsonScanner::kMaxDepth + 1)));
  EXPECT_FALSE(is_json(std::string(1'000'000, '[')));
}

TEST(JsonScanner, NotesWhatNoDecoderTakes) {
  const auto unusable = [](std::string_view text) {
    JsonScanner scanner(text);
    EXPECT_TRUE(scanner.skip_value());
    return scanner.met_unusable();
  };
  for (const char* fine : {"18446744073709551615", "-9223372036854775808", "1e308", "1e-999",
                           "0.12345678901234567890123", R"("\ud83d\ude00")"}) {
    EXPECT_FALSE(unusable(fine)) << fine;
  }
  for (const char* beyond : {"18446744073709551616", "-9223372036854775809", "1e309", "-1e999", "[0,{\"a\":1e400}]",
                             R"(["\ud83d"])", R"("\ud83dx")", R"("\ude00")", R"("\ud83d\u0041")", R"({"\udfff":1})"}) {
    EXPECT_TRUE(unusable(beyond)) << beyond;
  }
}

TEST(Unescape, GivesTheTextAndRefusesLoneSurrogates) {
  std::string out;
  EXPECT_TRUE(unescape(R"(a\n\/\"\u0041\u00e4\u20AC\ud83d\uDE00z)", out));
  EXPECT_EQ(out, "a\n/\"A\u00e4\u20AC\U0001F600z");
  for (const char* bad : {R"(\ud83d)", R"(\ud83dx)", R"(\ude00)", R"(\ud83d\u0041)"}) {
    EXPECT_FALSE(unescape(bad, out)) << bad;
  }
}

TEST(Quote, IsUndoneByUnescape) {
  const std::string text = std::string("a\"\\\n\0\x1f\u00e4", 8);
  const std::string quoted = quote(text);
  EXPECT_TRUE(is_json(quoted));
  std::string back;
  EXPECT_TRUE(unescape(std::string_view(quoted).substr(1, quoted.size() - 2), back));
  EXPECT_EQ(back, text);
}

TEST(Utf8, IsJudgedAsRfc3629HasIt) {
  const std::string padding(13, 'x');
  for (const char* good :
       {"", "a", "\u00e4", "\u20ac", "\U0001F600", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "\xE0\xA0\x80"}) {
    EXPECT_TRUE(is_utf8(padding + good + padding));
  }
  for (const char* bad : {"\x80", "\xC1\x81", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_FALSE(is_utf8(padding + bad + padding));
    EXPECT_FALSE(is_utf8(padding + bad));
  }
}

}  // namespace
}  // namespace mdpipe::replay
