#include "url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mdpipe::feed {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Url, IsSchemeHostPortAndTarget) {
  const auto venue = parse_url("wss://ws.finnhub.io");
  ASSERT_TRUE(venue);
  EXPECT_TRUE(venue->tls);
  EXPECT_EQ(venue->host, "ws.finnhub.io");
  EXPECT_EQ(venue->port, "443");
  EXPECT_EQ(venue->target, "/");
  EXPECT_EQ(venue->authority(), "ws.finnhub.io");
  const auto local = parse_url("ws://127.0.0.1:8800/live?depth=1");
  ASSERT_TRUE(local);
  EXPECT_FALSE(local->tls);
  EXPECT_EQ(local->target, "/live?depth=1");
  EXPECT_EQ(local->authority(), "127.0.0.1:8800");
  EXPECT_EQ(parse_url("ws://host?a=b")->target, "/?a=b");
}

TEST(Url, KeepsTheBracketsOfAnAddressOutOfTheHostAndInTheAuthority) {
  const auto url = parse_url("ws://[::1]:80/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->authority(), "[::1]");
  EXPECT_EQ(parse_url("wss://[::1]:80/")->authority(), "[::1]:80");
}

TEST(Url, LeavesAPortOutOfTheAuthorityWhereItIsTheSchemesOwn) {
  EXPECT_EQ(parse_url("ws://h:80")->authority(), "h");
  EXPECT_EQ(parse_url("wss://h:443")->authority(), "h");
  EXPECT_EQ(parse_url("wss://h:80")->authority(), "h:80");
}

TEST(Url, IsShownWithoutItsQuery) {
  EXPECT_EQ(parse_url("wss://h/path?key=secret")->shown(), "wss://h/path?***");
  EXPECT_EQ(parse_url("ws://h:8")->shown(), "ws://h:8/");
}

TEST(Url, IsRefusedWhereItIsNone) {
  for (const char* const text : {"", "ws", "http://h", "WSS//h", "ws://", "ws:///path", "ws://:80", "ws://h:",
                                 "ws://h:0", "ws://h:65536", "ws://h:8x", "ws://h:-1", "ws://[::1", "ws://[::1]8",
                                 "ws://[]", "ws://user@h", "ws://user:word@h", "ws://h/a b", "ws://h/#x"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::usage) << text;
    EXPECT_THAT(url.error().message, HasSubstr("--feed")) << text;
  }
}

TEST(Url, HoldsNothingThatCouldEndALineOfTheRequest) {
  for (const char* const text : {"ws://h\r\nX: y/", "ws://h h/", "ws://h\x01/", "ws://h/\x7F", "ws://h/\x1B[2J",
                                 "ws://h/\xC3\xA9", "ws://h\xC3\xA9", "ws://h/\r\nX: y"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

TEST(Url, IsRefusedWithATokenInItWhichTheRefusalDoesNotRepeat) {
  for (const char* const text :
       {"wss://ws.finnhub.io?token=CANARY", "wss://ws.finnhub.io/?a=b&token=CANARY", "ws://h?TOKEN=CANARY",
        "ws.finnhub.io?token=CANARY", "ws:/h?token=CANARY", "https://h?token=CANARY", "ws://me:CANARY@h", "me:CANARY@h",
        "ws://h x?token=CANARY", "ws://?token=CANARY", "ws://h:port?token=CANARY"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().message, Not(HasSubstr("CANARY"))) << text;
  }
}

TEST(Url, KnowsTheAddressesThatDoNotLeaveThisMachine) {
  for (const char* const text : {"ws://127.0.0.1", "ws://127.9.9.9:1", "ws://localhost", "ws://[::1]:8"}) {
    EXPECT_TRUE(parse_url(text)->is_loopback()) << text;
  }
  for (const char* const text :
       {"ws://10.0.0.1", "ws://127.evil.example", "ws://localhost.example", "ws://[::2]", "ws://h"}) {
    EXPECT_FALSE(parse_url(text)->is_loopback()) << text;
  }
}

}  // namespace
}  // namespace mdpipe::feed
