// Sessions that are like a market.

#include <algorithm>
#include <map>
#include <set>

#include "replay/generate/generator.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

GenerateOptions options_of(Profile profile, std::uint64_t symbols = 200, std::uint64_t trades = 40'000) {
  GenerateOptions options;
  options.profile = profile;
  options.symbols = symbols;
  options.trades = trades;
  return options;
}

std::string generate(const GenerateOptions& options) {
  Generator generator(options);
  std::string text;
  while (generator.next(text)) {
  }
  return text;
}

class Profiles : public ::testing::TestWithParam<Profile> {
 protected:
  SessionSummary summary_of(const GenerateOptions& options) const {
    SessionOptions session;
    session.paths = {folder_.write("session", generate(options))};
    auto summary = summarize(session);
    EXPECT_TRUE(summary) << summary.error().message;
    return std::move(*summary);
  }
  const ScratchFolder folder_;
};

TEST_P(Profiles, GiveExactlySoManyGoodTradesAndTheSameBytesForTheSameSeed) {
  GenerateOptions options = options_of(GetParam());
  const SessionSummary summary = summary_of(options);
  EXPECT_EQ(summary.trades, 40'000U);
  EXPECT_EQ(summary.bad + summary.bad_elements, 0U);
  EXPECT_EQ(generate(options), generate(options));
  options.seed = 9;
  EXPECT_NE(summary_of(options).digest, summary.digest);
}

TEST_P(Profiles, TradeTheNthSymbolAnNthAsOftenAsTheFirst) {
  const GenerateOptions options = options_of(GetParam());
  const SessionSummary summary = summary_of(options);
  const auto symbols = generated_symbols(options.symbols, options.profile);
  const auto count = [&](std::size_t rank) {
    return static_cast<double>(summary.trades_by_symbol.at(symbols[rank - 1]));
  };
  EXPECT_NEAR(count(1) / count(2), 2, 0.3);
  EXPECT_NEAR(count(1) / count(10), 10, 2.5);
  EXPECT_EQ(summary.trades_by_symbol.size(), 200U);
}

TEST_P(Profiles, ComeInBurstsOfWhichTheBiggestAreManyTimesTheUsual) {
  const SessionSummary summary = summary_of(options_of(GetParam()));
  ASSERT_FALSE(summary.activity.biggest_bursts().empty());
  EXPECT_GT(summary.activity.biggest_bursts().front().trades, 500U);
  EXPECT_GT(summary.activity.longest_gaps().front().end_ns - summary.activity.longest_gaps().front().begin_ns,
            100'000'000);
}

TEST_P(Profiles, HaveFramesOfOneToTenTradesAndLatePrints) {
  const std::string text = generate(options_of(GetParam(), 20, 5'000));
  std::set<std::size_t> sizes;
  SessionOptions session;
  session.paths = {folder_.write("session", text)};
  SymbolTable symbols;
  auto source = open_sessions(session, symbols);
  SessionFrame frame;
  std::map<SymbolId, std::int64_t> latest_ms;
  int late = 0;
  while (*(*source)->next(frame)) {
    sizes.insert(frame.shape.elements.size());
    for (const FrameElement& element : frame.shape.elements) {
      std::int64_t& latest = latest_ms.try_emplace(element.symbol, element.exchange_time_ms).first->second;
      late += element.exchange_time_ms < latest ? 1 : 0;
      latest = std::max(latest, element.exchange_time_ms);
    }
  }
  EXPECT_GE(*sizes.begin(), GetParam() == Profile::storm ? 0U : 1U);  // of a storm: also pings
  EXPECT_EQ(*sizes.rbegin(), 10U);
  EXPECT_GT(late, 50);
}

INSTANTIATE_TEST_SUITE_P(All, Profiles, ::testing::Values(Profile::stocks, Profile::crypto, Profile::storm));

TEST(Profile, StocksHaveOddLotsAndConditionsCryptoHasNeither) {
  const std::string stocks = generate(options_of(Profile::stocks));
  EXPECT_NE(stocks.find(R"("c":["1","12"])"), std::string::npos);
  EXPECT_EQ(stocks.find("BINANCE"), std::string::npos);
  const std::string crypto = generate(options_of(Profile::crypto));
  EXPECT_NE(crypto.find(R"("s":"BINANCE:BTCUSDT")"), std::string::npos);
  EXPECT_EQ(crypto.find(R"("c":[)"), std::string::npos);
  for (const std::string* text : {&stocks, &crypto}) {
    EXPECT_EQ(text->find("ping"), std::string::npos);
    EXPECT_EQ(text->find(R"("x":)"), std::string::npos);
  }
  const std::string storm = generate(options_of(Profile::storm));
  for (const char* part : {"ping", R"("x":)", R"(\u00c4)", "BINANCE", R"("v":0)", R"({"type":"trade",)"}) {
    EXPECT_NE(storm.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace mdpipe::replay
