#include "mdpipe/ops/health.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/secret.hpp"

namespace mdpipe::ops {
namespace {

TEST(Health, IsOkWhereNothingIsWrong) {
  const HttpAnswer answer = render_health({});
  EXPECT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body, "{\"status\":\"ok\"}\n");
}

TEST(Health, IsDegradedAndSaysWhyBut200WhereItWillGoOnByItself) {
  const HttpAnswer answer = render_health({{}, {"publish: broker away", "a \"b\"\n"}, {}});
  EXPECT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.body, "{\"status\":\"degraded\",\"reasons\":[\"publish: broker away\",\"a \\\"b\\\"\\u000a\"]}\n");
}

TEST(Health, Is503AndNamesTheStageWhereOneIsStuck) {
  const HttpAnswer answer = render_health({{"store"}, {"publish: broker away"}, {}});
  EXPECT_EQ(answer.status, 503U);
  EXPECT_EQ(answer.body, "{\"status\":\"stuck\",\"stages\":[\"store\"],\"reasons\":[\"publish: broker away\"]}\n");
}

TEST(Health, IsReadyWhereNothingIsMissingWhateverIsDegraded) {
  EXPECT_EQ(render_readiness({{}, {"journal: a sync failed"}, {}}).body, "{\"ready\":true}\n");
  const HttpAnswer answer = render_readiness({{}, {}, {"feed: connecting", "kafka: no producer yet"}});
  EXPECT_EQ(answer.status, 503U);
  EXPECT_EQ(answer.body, "{\"ready\":false,\"missing\":[\"feed: connecting\",\"kafka: no producer yet\"]}\n");
}

TEST(Health, RepeatsNoSecret) {
  remember_secret(Secret("canary-of-health"));
  const HealthReport report{{"canary-of-health"}, {"canary-of-health"}, {"canary-of-health"}};
  EXPECT_EQ(render_health(report).body.find("canary"), std::string::npos);
  EXPECT_EQ(render_readiness(report).body.find("canary"), std::string::npos);
}

}  // namespace
}  // namespace mdpipe::ops
