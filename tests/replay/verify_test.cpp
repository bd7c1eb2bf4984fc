// A session against what took it in: what is missing, extra, other or out of order, and where first.

#include "replay/verify/verify.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "replay/verify/comparison.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;  // key and text, in order

class ListedEntries final : public EntryStream {
 public:
  explicit ListedEntries(const Pairs& pairs) : pairs_(pairs) {}
  Result<bool> next(Entry& out) override {
    if (at_ == pairs_.size()) {
      return false;
    }
    out = {pairs_[at_].first, pairs_[at_].second};
    ++at_;
    return true;
  }

 private:
  const Pairs& pairs_;
  std::size_t at_ = 0;
};

OpenEntries list(const Pairs& pairs) {
  return [&pairs]() -> Result<std::unique_ptr<EntryStream>> { return std::make_unique<ListedEntries>(pairs); };
}

Comparison compare_lists(const Pairs& wanted, const Pairs& found, std::uint64_t entries_together = 1U << 20U) {
  SymbolTable keys;
  const auto tallied = tally(list(wanted), keys);
  const auto compared = compare(list(wanted), *tallied, list(found), keys, {entries_together});
  EXPECT_TRUE(compared);
  return *compared;
}

Pairs random_pairs(std::mt19937& random, std::size_t count, std::size_t keys, std::size_t texts) {
  Pairs pairs;
  for (std::size_t i = 0; i < count; ++i) {
    pairs.emplace_back("K" + std::to_string(random() % keys), "t" + std::to_string(random() % texts));
  }
  return pairs;
}

std::map<std::string, std::vector<std::string>> by_key(const Pairs& pairs) {
  std::map<std::string, std::vector<std::string>> result;
  for (const auto& [key, text] : pairs) {
    result[key].push_back(text);
  }
  return result;
}

TEST(Comparison, FindsNothingWhereOnlyKeysAreInterleavedInAnotherWay) {
  std::mt19937 random(1);
  const Pairs wanted = random_pairs(random, 5'000, 20, 100);
  Pairs found = wanted;
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  ASSERT_NE(found, wanted);
  const Comparison compared = compare_lists(wanted, found);
  EXPECT_TRUE(compared.equal());
  EXPECT_EQ(compared.found, 5'000U);
}

TEST(Comparison, AgreesWithASlowModelWhateverWasDoneToTheTarget) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    const Pairs wanted = random_pairs(random, 1 + random() % 200, 1 + random() % 8, 1 + random() % 60);
    Pairs found = wanted;
    for (std::size_t change = random() % 5; change != 0 && !found.empty(); --change) {
      const std::size_t at = random() % found.size();
      switch (random() % 4) {
        case 0:
          found.erase(found.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        case 1:
          found.insert(found.begin() + static_cast<std::ptrdiff_t>(at), {"K" + std::to_string(random() % 9), "new"});
          break;
        case 2:
          found[at].second += "x";
          break;
        default:
          std::swap(found[at], found[random() % found.size()]);
      }
    }
    const Comparison compared = compare_lists(wanted, found, round % 2 == 0 ? 1U << 20U : 400);
    const auto want = by_key(wanted);
    const auto have = by_key(found);
    EXPECT_EQ(compared.equal(), want == have);
    std::uint64_t missing = 0;
    std::uint64_t extra = 0;
    std::uint64_t differing = 0;
    std::map<std::string, std::size_t> first;  // by key the first place that differs, from 0
    auto keys = want;
    keys.insert(have.begin(), have.end());
    for (const auto& [key, unused] : keys) {
      const auto w = want.contains(key) ? want.at(key) : std::vector<std::string>();
      const auto h = have.contains(key) ? have.at(key) : std::vector<std::string>();
      std::multiset<std::string> lacking(w.begin(), w.end());
      std::uint64_t more = 0;
      for (const auto& text : h) {
        if (const auto at = lacking.find(text); at != lacking.end()) {
          lacking.erase(at);
        } else {
          ++more;
        }
      }
      const std::uint64_t pairs = std::min<std::uint64_t>(more, lacking.size());
      missing += lacking.size() - pairs;
      extra += more - pairs;
      differing += pairs;
      if (w != h) {
        const auto [a, b] = std::mismatch(w.begin(), w.end(), h.begin(), h.end());
        first[key] = static_cast<std::size_t>(a - w.begin());
      }
    }
    EXPECT_EQ(compared.missing, missing);
    EXPECT_EQ(compared.extra, extra);
    EXPECT_EQ(compared.differing, differing);
    EXPECT_EQ(compared.absent.size(), missing + differing);
    EXPECT_EQ(compared.keys_differing, first.size());
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::string& key = wanted[i].first;
      if (first.contains(key) && seen[key] == first[key]) {
        ASSERT_TRUE(compared.first);
        EXPECT_EQ(compared.first->ordinal, i + 1);
        EXPECT_EQ(compared.first->key, key);
        EXPECT_EQ(compared.first->place, first[key] + 1);
        EXPECT_EQ(compared.first->wanted, wanted[i].second);
        break;
      }
      ++seen[key];
    }
  }
}

TEST(Comparison, NamesTwoSwappedTradesOfALongSymbolThoughLittleMayBeHeld) {
  for (const std::size_t place : {0UL, 1'023UL, 1'024UL, 70'000UL, 199'998UL}) {
    Pairs wanted;
    for (std::size_t i = 0; i < 200'000; ++i) {
      wanted.emplace_back("SPY", std::to_string(i));
    }
    Pairs found = wanted;
    std::swap(found[place], found[place + 1]);
    const Comparison compared = compare_lists(wanted, found, 50'000);
    ASSERT_TRUE(compared.first) << place;
    EXPECT_EQ(compared.first->place, place + 1);
    EXPECT_EQ(compared.first->wanted, std::to_string(place));
    EXPECT_EQ(compared.first->found, std::to_string(place + 1));
    EXPECT_EQ(compared.out_of_order, 1U);
    EXPECT_EQ(compared.missing + compared.extra + compared.differing, 0U);
  }
}

TEST(Comparison, SaysWhereOneSideEndsBeforeTheOther) {
  const Pairs wanted = {{"A", "1"}, {"B", "1"}, {"A", "2"}};
  const Comparison less = compare_lists(wanted, {{"A", "1"}, {"B", "1"}});
  EXPECT_EQ(less.first->ordinal, 3U);
  EXPECT_EQ(less.first->found, std::nullopt);
  EXPECT_EQ(less.absent, std::vector<std::uint64_t>{3});
  const Comparison more = compare_lists({{"A", "1"}}, wanted);
  EXPECT_EQ(more.extra, 2U);
  EXPECT_EQ(more.first->ordinal, 0U);
  EXPECT_EQ(more.first->wanted, std::nullopt);
}

class VerifyFiles : public ::testing::Test {
 protected:
  VerifyFiles() {
    const std::vector<std::string> trades = {trade_text("A", 1'000), trade_text("B", 2'000),
                                             trade_text("A", 86'400'000), trade_text("A", 3'000)};
    std::string text;
    for (const auto& trade : trades) {
      text += trade + "\n";
    }
    options_.session.paths = {folder_.write("session.jsonl", text)};
    std::filesystem::create_directory(folder_ / "trades");
    options_.store = (folder_ / "trades").string();
    first_day_ = trades[0] + "\n" + trades[1] + "\n" + trades[3] + "\n";
    second_day_ = trades[2] + "\n";
  }
  VerifyReport verify(const std::string& first_day, const std::string& second_day) const {
    folder_.write("trades/trades_1970-01-01.jsonl", first_day);
    folder_.write("trades/trades_1970-01-02.jsonl", second_day);
    const auto report = verify_session(options_);
    EXPECT_TRUE(report);
    return *report;
  }

  const ScratchFolder folder_;
  VerifyOptions options_;
  std::string first_day_;
  std::string second_day_;
};

TEST_F(VerifyFiles, OrderCountsWithinADateForThatIsHowTheFilesAreApart) {
  const VerifyReport report = verify(first_day_, second_day_);
  EXPECT_TRUE(report.is_right()) << to_text(report);
  EXPECT_EQ(report.trades, 4U);
}

TEST_F(VerifyFiles, ATornLineIsAFaultThoughEveryTradeIsThere) {
  const VerifyReport report = verify(first_day_, second_day_ + "{\"s\":\"A\",");
  EXPECT_TRUE(report.targets[0].comparison.equal());
  EXPECT_FALSE(report.is_right());
  EXPECT_NE(first_fault(report).find("trades_1970-01-02.jsonl:2"), std::string::npos) << first_fault(report);
}

TEST_F(VerifyFiles, ATradeInTheFileOfAnotherDateIsAFault) {
  const VerifyReport report = verify(first_day_ + second_day_, "");
  EXPECT_TRUE(report.targets[0].comparison.equal());
  EXPECT_NE(first_fault(report).find("another date"), std::string::npos) << first_fault(report);
}

TEST_F(VerifyFiles, TheLedgerSaysWhereATradeIsAndWhereItIsNot) {
  std::string log;
  for (const char* trade : {"A", "B"}) {
    log += R"({"time_ns":1,"connection":1,"event":"frame","frame":)" +
           frame_text({trade_text(trade, *trade == 'A' ? 1'000 : 2'000)}) + "}\n";
  }
  options_.sent = folder_.write("sent.jsonl", log).string();
  const VerifyReport report = verify(first_day_.substr(0, first_day_.find('\n') + 1), second_day_);
  EXPECT_EQ(report.targets[0].comparison.missing, 2U);
  EXPECT_EQ(report.targets[1].comparison.missing, 2U);
  const std::string text = to_text(report);
  EXPECT_NE(text.find("1  sent, stored\n"), std::string::npos) << text;
  EXPECT_NE(text.find("1  sent; not stored\n"), std::string::npos) << text;
  EXPECT_NE(text.find("1  stored; not sent\n"), std::string::npos) << text;
  EXPECT_NE(text.find("1  nowhere; not sent, stored\n"), std::string::npos) << text;
}

TEST_F(VerifyFiles, ASessionWithoutTradesProvesNothing) {
  options_.session.paths = {folder_.write("empty.jsonl", "{\"type\":\"ping\"}\n")};
  EXPECT_FALSE(verify("", "").is_right());
}

TEST_F(VerifyFiles, MetricsAreFormedAnewAndComparedByteForByte) {
  std::string session;
  for (int i = 0; i < 20; ++i) {
    session += trade_text("A", i, std::to_string(i + 1)) + "\n";
  }
  options_.session.paths = {folder_.write("session.jsonl", session)};
  options_.store.clear();
  const std::string ten =
      R"({"symbol":"A","trade_count":10,"window_size":10,"avg_price":5.5,"min_price":1,"max_price":10,"latest_price":10,"total_volume":100,"vwap":5.5,"price_change_pct":900,"timestamp":"1970-01-01T00:00:00.009Z"})";
  const std::string twenty =
      R"({"symbol":"A","trade_count":20,"window_size":20,"avg_price":10.5,"min_price":1,"max_price":20,"latest_price":20,"total_volume":200,"vwap":10.5,"price_change_pct":1900,"timestamp":"1970-01-01T00:00:00.019Z"})";
  options_.metrics_file = folder_.write("metrics.jsonl", ten + "\n" + twenty + "\n").string();
  const auto right = verify_session(options_);
  EXPECT_TRUE(right->is_right()) << to_text(*right);
  folder_.write("metrics.jsonl", twenty + "\n" + ten + "\n");
  const auto wrong = verify_session(options_);
  EXPECT_EQ(wrong->targets[0].comparison.out_of_order, 1U);
  EXPECT_NE(first_fault(*wrong).find("A differs first at its metric 1"), std::string::npos) << first_fault(*wrong);
}

}  // namespace
}  // namespace mdpipe::replay
