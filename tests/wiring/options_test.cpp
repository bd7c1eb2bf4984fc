#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/wiring/placement.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kThreads = {"feed", "publish", "aggregate", "store"};

TEST(Placement, BacksOffUnpinnedWhereHotThreadsMustShareCores) {
  const auto plans = plan_threads(kThreads, "", "", {0, 1, 2, 3});
  ASSERT_TRUE(plans);
  for (const auto& [name, plan] : *plans) {
    EXPECT_EQ(plan.core, -1) << name;
    EXPECT_EQ(plan.idle, IdleKind::backoff) << name;
  }
}

TEST(Placement, SpinsPinnedWhereEveryHotThreadGetsACoreAndOneIsLeft) {
  const auto plans = plan_threads(kThreads, "", "", {2, 3, 4, 5, 9});
  ASSERT_TRUE(plans);
  EXPECT_EQ(plans->at("feed").core, 3);
  EXPECT_EQ(plans->at("store").core, 9);
  EXPECT_EQ(plans->at("store").idle, IdleKind::spin);
}

TEST(Placement, PutsThreadsWhereTheUserSays) {
  const auto plans = plan_threads(kThreads, "feed=1,publish=0", "park,feed=spin", {0, 1});
  ASSERT_TRUE(plans);
  EXPECT_EQ(plans->at("feed").core, 1);
  EXPECT_EQ(plans->at("publish").core, 0);
  EXPECT_EQ(plans->at("store").core, -1);
  EXPECT_EQ(plans->at("feed").idle, IdleKind::spin);
  EXPECT_EQ(plans->at("store").idle, IdleKind::park);
}

TEST(Placement, NamesWhatItCannotDo) {
  EXPECT_THAT(plan_threads(kThreads, "sore=1", "", {0, 1}).error().message, HasSubstr("no thread \"sore\""));
  EXPECT_THAT(plan_threads(kThreads, "store=7", "", {0, 1}).error().message, HasSubstr("those are 0, 1"));
  EXPECT_THAT(plan_threads(kThreads, "store", "", {0, 1}).error().message, HasSubstr("no core"));
  EXPECT_THAT(plan_threads(kThreads, "", "store=nap", {0, 1}).error().message, HasSubstr("spin, backoff or park"));
  EXPECT_EQ(plan_threads(kThreads, "", "nap", {0, 1}).error().code, ErrorCode::usage);
}

TEST(Symbols, ComeFromAListOnceEachInOrder) {
  EXPECT_THAT(*parse_symbols("MSFT,AAPL,,MSFT, IC MARKETS:1 "), ElementsAre("MSFT", "AAPL", "IC MARKETS:1"));
  EXPECT_EQ(parse_symbols(" , ").error().code, ErrorCode::usage);
}

TEST(Symbols, ComeFromAFileOneALine) {
  const std::string path = testing::TempDir() + "mdpipe-symbols.txt";
  std::ofstream(path) << "# ours\nAAPL\r\n\n  BINANCE:BTCUSDT \nA#B\nAAPL\n";
  EXPECT_THAT(*parse_symbols("@" + path), ElementsAre("AAPL", "BINANCE:BTCUSDT", "A#B"));
  std::remove(path.c_str());
  EXPECT_EQ(parse_symbols("@" + path).error().code, ErrorCode::environment);
}

TEST(Keep, TakesASizeAnAgeOrBoth) {
  const Keep otherwise{1, 2};
  EXPECT_EQ(parse_keep("--journal-keep", "10GiB", otherwise)->bytes, 10ULL << 30U);
  EXPECT_EQ(parse_keep("--journal-keep", "10GiB", otherwise)->age_s, 2);
  EXPECT_EQ(parse_keep("--journal-keep", "7d", otherwise)->age_s, 7 * 86'400);
  EXPECT_EQ(parse_keep("--journal-keep", "512MiB,90m", otherwise)->age_s, 5400);
  for (const char* const text : {"10", "GiB", "-1d", "0d", "7days", "99999999999TiB"}) {
    EXPECT_FALSE(parse_keep("--journal-keep", text, otherwise)) << text;
  }
}

TEST(Keep, IsRefusedByTheNameOfItsOption) {
  EXPECT_THAT(parse_keep("--keep", "much", {1, 2}).error().message, testing::HasSubstr("--keep much: give a size"));
}

TEST(Numbers, AreGroupedInThrees) {
  EXPECT_EQ(grouped_text(0), "0");
  EXPECT_EQ(grouped_text(999), "999");
  EXPECT_EQ(grouped_text(1000), "1,000");
  EXPECT_EQ(grouped_text(18'446'744'073'709'551'615U), "18,446,744,073,709,551,615");
}

TEST(Sizes, AreSaidInTheLargestUnitThatFits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1024), "1.0 KiB");
  EXPECT_EQ(size_text(128U << 20U), "128.0 MiB");
  EXPECT_EQ(size_text((5ULL << 40U) + (1ULL << 39U)), "5.5 TiB");
}

TEST(Endpoint, IsAnAddressAndAPort) {
  EXPECT_EQ(parse_endpoint("--listen", "127.0.0.1:8000")->port, 8000);
  EXPECT_EQ(parse_endpoint("--listen", ":1")->address, "127.0.0.1");
  EXPECT_EQ(parse_endpoint("--listen", "[::1]:80")->address, "::1");
  EXPECT_EQ(parse_endpoint("--listen", "localhost:80")->address, "127.0.0.1");
  EXPECT_EQ(parse_endpoint("--listen", "0.0.0.0:0")->address, "0.0.0.0");
  for (const char* const text : {"8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:80x", "somewhere:80",
                                 "127.1:80", "[::1:80", "127.0.0.1:-1"}) {
    EXPECT_FALSE(parse_endpoint("--listen", text)) << text;
  }
}

}  // namespace
}  // namespace mdpipe::wiring
