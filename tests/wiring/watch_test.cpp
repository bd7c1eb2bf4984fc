#include "watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mdpipe::wiring {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kNow = 1'000'000'000'000;

StageSight healthy() {
  return {"store", 100, 100, 100, kNow, kNow, "", ""};
}

Verdict judged(const StageSight& stage) {
  Verdict verdict;
  judge(stage, kNow, verdict);
  return verdict;
}

TEST(Watch, SaysNothingOfAStageThatMoves) {
  EXPECT_THAT(judged(healthy()).stuck, IsEmpty());
  EXPECT_THAT(judged(healthy()).reasons, IsEmpty());
}

TEST(Watch, NamesAStageWhoseThreadDoesNotComeBack) {
  StageSight stage = healthy();
  stage.alive_ns = kNow - kStuckAfterNs - 1;
  EXPECT_THAT(judged(stage).stuck, ElementsAre("store"));
  stage.alive_ns = kNow - kStuckAfterNs;
  EXPECT_THAT(judged(stage).stuck, IsEmpty());
}

TEST(Watch, NamesAStageThatHasWorkAndDoesNotMove) {
  StageSight stage = healthy();
  stage.moved_ns = kNow - kStuckAfterNs - 1;
  EXPECT_THAT(judged(stage).stuck, IsEmpty()) << "it has nothing to do";
  stage.written = 101;
  EXPECT_THAT(judged(stage).stuck, ElementsAre("store"));
}

TEST(Watch, CallsAStageThatWaitsForTheBrokerDegradedHoweverLong) {
  StageSight stage = healthy();
  stage.written = 101;
  stage.moved_ns = 0;
  stage.waiting_for = "broker away";
  EXPECT_THAT(judged(stage).stuck, IsEmpty());
  EXPECT_THAT(judged(stage).reasons, ElementsAre("store: broker away"));
  stage.alive_ns = 0;
  EXPECT_THAT(judged(stage).stuck, ElementsAre("store")) << "waiting is no excuse for a thread that does not come back";
}

TEST(Watch, GivesTheReasonOfAStageThatHasStopped) {
  StageSight stage = healthy();
  stage.failure = "the topic was re-created";
  stage.alive_ns = 0;
  EXPECT_THAT(judged(stage).stuck, IsEmpty());
  EXPECT_THAT(judged(stage).reasons, ElementsAre("store has stopped: the topic was re-created"));
}

}  // namespace
}  // namespace mdpipe::wiring
