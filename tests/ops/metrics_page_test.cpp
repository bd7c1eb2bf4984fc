#include "mdpipe/ops/metrics_page.hpp"

#include <cmath>
#include <limits>
#include <regex>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mdpipe::ops {
namespace {

using testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& page) {
  std::vector<std::string> lines;
  std::istringstream stream(page);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

/// https://prometheus.io/docs/instrumenting/exposition_formats: every line is a comment or a sample; the samples of a
/// family stand together behind its TYPE.
void expect_valid(const std::string& page) {
  const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .*)");
  const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
  const std::regex sample(
      R"raw(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)+\})? ([+-]?(Inf|[0-9.e+-]+)))raw");
  ASSERT_TRUE(page.ends_with('\n'));
  std::set<std::string> families;
  std::string family;
  for (const std::string& line : lines_of(page)) {
    std::smatch match;
    if (std::regex_match(line, match, type)) {
      family = match[1];
      EXPECT_TRUE(families.insert(family).second) << family << " comes twice";
    } else if (!std::regex_match(line, match, help)) {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      const std::string name = match[1];
      EXPECT_TRUE(name == family || name == family + "_bucket" || name == family + "_sum" || name == family + "_count")
          << line;
    }
  }
}

TEST(MetricsPage, IsPrometheusTextAndReadsEachFigureWhenItIsAsked) {
  MetricsPage page;
  double value = 1;
  page.add_counter("mdpipe_things_total", "Things", {}, [&] { return value; });
  page.add_gauge("mdpipe_state", "1 for the state", {{"state", "on"}}, [] { return 1.0; });
  page.add_counter("mdpipe_else_total", "Else", {}, [] { return 0.0; });
  page.add_gauge("mdpipe_state", "1 for the state", {{"state", "off"}}, [] { return 0.0; });
  expect_valid(page.render());
  EXPECT_THAT(
      page.render(),
      HasSubstr("# HELP mdpipe_things_total Things\n# TYPE mdpipe_things_total counter\nmdpipe_things_total 1\n"));
  EXPECT_THAT(page.render(), HasSubstr("mdpipe_state{state=\"on\"} 1\nmdpipe_state{state=\"off\"} 0\n"));
  value = 2;
  EXPECT_THAT(page.render(), HasSubstr("mdpipe_things_total 2\n"));
}

TEST(MetricsPage, StaysValidWithAnyLabelAndAnyNumber) {
  MetricsPage page;
  page.add_gauge("a", "A", {{"topic", "q\"uo\\te\nline"}}, [] { return std::numeric_limits<double>::infinity(); });
  page.add_gauge("c", "C", {}, [] { return -std::numeric_limits<double>::infinity(); });
  page.add_counter("d_total", "D", {}, [] { return 9007199254740991.0; });
  page.add_gauge("e", "E", {}, [] { return 1e-9; });
  const std::string text = page.render();
  expect_valid(text);
  EXPECT_THAT(text, HasSubstr(R"(a{topic="q\"uo\\te\nline"} +Inf)"));
  EXPECT_THAT(text, HasSubstr("c -Inf\n"));
  EXPECT_THAT(text, HasSubstr("d_total 9007199254740991\n")) << "no count is rounded";
}

TEST(MetricsPage, ShowsAHistogramWhoseBucketsRiseToItsCount) {
  LatencyHistogram histogram;
  const std::int64_t durations_ns[] = {-5, 0, 500, 1000, 1001, 2'000'000, 3'000'000'000, INT64_MAX / 4};
  for (const std::int64_t duration_ns : durations_ns) {
    histogram.record_ns(duration_ns);
  }
  MetricsPage page;
  page.add_histogram("wait_seconds", "Waits", {}, histogram);
  const std::string text = page.render();
  expect_valid(text);
  double before = -1;
  double bound_before = -1;
  std::size_t buckets = 0;
  for (const std::string& line : lines_of(text)) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex(R"re(wait_seconds_bucket\{le="([^"]+)"\} (\d+))re"))) {
      const double bound = match[1] == "+Inf" ? std::numeric_limits<double>::infinity() : std::stod(match[1]);
      EXPECT_GT(bound, bound_before);
      EXPECT_GE(std::stod(match[2]), before);
      const auto inside = std::count_if(std::begin(durations_ns), std::end(durations_ns), [&](std::int64_t ns) {
        return static_cast<double>(ns) <= bound * 1e9 * (1 + 1e-12);
      });
      EXPECT_EQ(std::stod(match[2]), static_cast<double>(inside)) << line;
      bound_before = bound;
      before = std::stod(match[2]);
      ++buckets;
    }
  }
  EXPECT_EQ(buckets, LatencyHistogram::kBuckets);
  EXPECT_EQ(bound_before, std::numeric_limits<double>::infinity());
  EXPECT_THAT(text, HasSubstr("wait_seconds_count 8\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE wait_seconds histogram\n"));
}

}  // namespace
}  // namespace mdpipe::ops
