#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/wiring/pipeline.hpp"

namespace mdpipe::wiring {
namespace {

using testing::HasSubstr;
using testing::Not;

RunSummary whole() {
  RunSummary summary;
  summary.frames = {.received = 1010, .trades = 1000, .pings = 4, .errors = 3, .other = 2, .bad = 1, .partly_bad = 5};
  summary.trades = 388'417;
  summary.publishes = summary.stores = summary.aggregates = true;
  summary.published = summary.stored = 388'417;
  summary.metrics = 38'841;
  return summary;
}

TEST(Summary, AddsUpWhereEveryTradeWentEverywhere) {
  EXPECT_TRUE(whole().adds_up());
  EXPECT_THAT(whole().text(), HasSubstr("published          388,417  = trades"));
  EXPECT_THAT(whole().text(), Not(HasSubstr("NOT EQUAL")));
}

TEST(Summary, NamesEachDifference) {
  RunSummary summary = whole();
  summary.published -= 17;
  EXPECT_FALSE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("17 fewer than trades"));
  summary = whole();
  summary.stored += 1;
  EXPECT_FALSE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("1 more than trades"));
  summary = whole();
  summary.frames.pings -= 1;
  EXPECT_FALSE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("NOT EQUAL: the kinds add up to 1,009"));
}

TEST(Summary, CountsWhatEarlierRunsHadLeftAndWhatTheTopicHeldAlready) {
  RunSummary summary = whole();
  summary.earlier_to_publish = summary.earlier_to_store = 100;
  summary.stored += 100;
  summary.published += 60;
  summary.already_published = 40;
  EXPECT_TRUE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("= trades + 100 of earlier runs that were still to do"));
  EXPECT_THAT(summary.text(), HasSubstr("of them 40 were in the topic already"));
}

TEST(Summary, SaysHowOftenTheVenueMayHaveSentMoreThanWasHeard) {
  RunSummary summary = whole();
  summary.connections = 1;
  EXPECT_THAT(summary.text(), HasSubstr("388,417  on 1 connection\n"));
  summary.connections = 3;
  summary.gaps = 2;
  EXPECT_THAT(summary.text(), HasSubstr("on 3 connections, 2 gaps in which the venue may have sent more\n"));
}

}  // namespace
}  // namespace mdpipe::wiring
