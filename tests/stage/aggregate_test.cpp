#include "mdpipe/stage/aggregate.hpp"

#include <filesystem>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/record_builder.hpp"

namespace mdpipe::stage {
namespace {

using mdpipe::testing::RecordBuilder;
using mdpipe::testing::TestTrade;
using ::testing::HasSubstr;

class AggregateTest : public ::testing::Test {
 protected:
  AggregateTest() {
    std::string name = ::testing::TempDir() + "mdpipe-aggregate-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~AggregateTest() override { std::filesystem::remove_all(directory_); }

  AggregateOptions options() const {
    AggregateOptions options;
    options.window = 4;
    options.every = 3;
    options.source = 9;
    options.state_directory = directory_;
    options.cluster_id = [] { return std::optional<std::string>("cluster/1"); };
    options.save_interval_ns = 0;
    return options;
  }

  std::vector<RecordView> records(int frames) {
    std::mt19937 random(2);
    std::vector<RecordView> all;
    const std::vector<std::string> symbols = {"SPY", "AIG", "BAC", "IBM", "Q\"X"};
    for (int i = 0; i < frames; ++i) {
      std::vector<TestTrade> trades(1 + random() % 6);
      for (TestTrade& trade : trades) {
        trade = {symbols[random() % symbols.size()],
                 std::to_string(100 + random() % 50) + "." + std::to_string(random() % 100),
                 std::to_string(random() % 1000),
                 1000 * i,
                 {}};
      }
      all.push_back(i % 7 == 6 ? records_.session(SessionKind::connected) : records_.frame(trades));
    }
    return all;
  }

  std::filesystem::path directory_;
  RecordBuilder records_;
};

/// What one life without an end sends, by position.
std::map<Position, std::string> whole_life(const AggregateOptions& with_state, const std::vector<RecordView>& all,
                                           const SymbolTable& symbols) {
  const auto outbox = Outbox::make();
  AggregateOptions options = with_state;
  options.state_directory.clear();
  const auto aggregate = Aggregate::make(options, outbox->port(1U << 14U));
  (void)aggregate->resume_after();
  for (const RecordView& record : all) {
    EXPECT_EQ(aggregate->on_record(record, symbols), Uptake::taken);
  }
  std::map<Position, std::string> sent;
  while (const OutboxMessage* const message = outbox->take()) {
    EXPECT_EQ(message->source, 9U);
    EXPECT_EQ(message->destination, Destination::metrics);
    sent[message->position] = message->key + " " + message->value;
  }
  return sent;
}

TEST_F(AggregateTest, SendsOneMetricAfterEveryThirdTradeOfASymbol) {
  const auto all = records(300);
  std::map<std::string, std::uint64_t> counts;
  std::size_t want = 0;
  for (const RecordView& record : all) {
    for (const Trade& trade : record.trades()) {
      want += ++counts[std::string(records_.symbols().text(trade.symbol_id))] % 3 == 0 ? 1U : 0U;
    }
  }
  const auto sent = whole_life(options(), all, records_.symbols());
  EXPECT_EQ(sent.size(), want);
  EXPECT_THAT(sent.begin()->second, HasSubstr(R"("trade_count":3,)"));
}

TEST_F(AggregateTest, GoesOnAtTheVeryTradeWhereTheOutboxWasFull) {
  const auto all = records(300);
  const auto want = whole_life(options(), all, records_.symbols());
  const auto outbox = Outbox::make();
  auto stateless = options();
  stateless.state_directory.clear();
  const auto aggregate = Aggregate::make(stateless, outbox->port(1));
  (void)aggregate->resume_after();
  std::map<Position, std::string> sent;
  int busy = 0;
  for (const RecordView& record : all) {
    while (aggregate->on_record(record, records_.symbols()) == Uptake::busy) {
      ++busy;
      EXPECT_NE(aggregate->waiting_for(), "");
      const OutboxMessage* const message = outbox->take();
      ASSERT_NE(message, nullptr);
      sent[message->position] = message->key + " " + message->value;
      outbox->acknowledge(message);
    }
    EXPECT_EQ(aggregate->waiting_for(), "");
  }
  while (const OutboxMessage* const message = outbox->take()) {
    sent[message->position] = message->key + " " + message->value;
  }
  EXPECT_GT(busy, 100);
  EXPECT_EQ(sent, want);
}

/// Lives that end without a word at random moments, with random messages acknowledged: every metric must have been
/// acknowledged in one of them, and whatever was sent twice was the same.
TEST_F(AggregateTest, LosesNoMetricAndChangesNoneHoweverOftenItsLifeEnds) {
  std::mt19937 random(4);
  const auto all = records(400);
  const auto want = whole_life(options(), all, records_.symbols());
  std::map<Position, std::string> acknowledged;
  int lives = 0;
  for (bool over = false; !over; ++lives) {
    ASSERT_LT(lives, 2000);
    const auto outbox = Outbox::make();
    const auto aggregate = Aggregate::make(options(), outbox->port(64));
    const Position after = aggregate->resume_after().value();
    ASSERT_FALSE(aggregate->failure()) << aggregate->failure()->message;
    std::vector<const OutboxMessage*> in_flight;
    auto next = std::find_if(all.begin(), all.end(), [&](const RecordView& one) { return one.position() > after; });
    const auto acknowledge_some = [&](bool everything) {
      while (const OutboxMessage* const message = outbox->take()) {
        ASSERT_EQ(want.at(message->position), message->key + " " + message->value);
        in_flight.push_back(message);
      }
      const std::size_t count = everything ? in_flight.size() : random() % (in_flight.size() + 1);
      for (std::size_t i = 0; i < count; ++i) {
        acknowledged[in_flight[i]->position] = in_flight[i]->key + " " + in_flight[i]->value;
        outbox->acknowledge(in_flight[i]);
      }
      in_flight.erase(in_flight.begin(), in_flight.begin() + static_cast<std::ptrdiff_t>(count));
    };
    for (auto left = random() % 50; left > 0 && next != all.end();) {
      if (aggregate->on_record(*next, records_.symbols()) == Uptake::taken) {
        ++next;
        --left;
      } else {
        acknowledge_some(true);
      }
      if (random() % 4 == 0) {
        acknowledge_some(false);
      }
      (void)aggregate->poll();
    }
    if (next == all.end()) {
      acknowledge_some(true);
      aggregate->begin_drain();
      for (int i = 0; i < 4; ++i) {
        (void)aggregate->poll();
      }
      EXPECT_TRUE(aggregate->drained());
      EXPECT_EQ(aggregate->settled(), all.back().last_position());
      over = true;
    }
  }
  EXPECT_GT(lives, 10);
  EXPECT_EQ(acknowledged, want);
}

TEST_F(AggregateTest, KeepsASymbolAsLongAsAFrameMayBe) {
  const std::string longest(512U << 10U, 'S');
  const auto record = records_.frame({{longest, "1", "2", 3, {}}, {longest, "4", "5", 6, {}}});
  {
    const auto aggregate = Aggregate::make(options(), nullptr);
    ASSERT_EQ(aggregate->resume_after(), kBeforeEverything);
    ASSERT_EQ(aggregate->on_record(record, records_.symbols()), Uptake::taken);
    (void)aggregate->poll();
    ASSERT_EQ(aggregate->settled(), record.last_position());
  }
  const auto outbox = Outbox::make();
  const auto aggregate = Aggregate::make(options(), outbox->port(4));
  ASSERT_EQ(aggregate->resume_after(), record.last_position()) << aggregate->failure()->message;
  ASSERT_EQ(aggregate->on_record(records_.frame({{longest, "7", "8", 9, {}}}), records_.symbols()), Uptake::taken);
  const OutboxMessage* const message = outbox->take();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(message->key, longest);
  EXPECT_THAT(message->value, HasSubstr(R"("trade_count":3,"window_size":3,"avg_price":4,)"));
}

TEST_F(AggregateTest, SettlesNothingWhoseMetricsAreNotAcknowledged) {
  const auto all = records(50);
  const auto outbox = Outbox::make();
  const auto aggregate = Aggregate::make(options(), outbox->port(1024));
  (void)aggregate->resume_after();
  for (const RecordView& record : all) {
    ASSERT_EQ(aggregate->on_record(record, records_.symbols()), Uptake::taken);
    (void)aggregate->poll();
  }
  const OutboxMessage* const first = outbox->take();
  ASSERT_NE(first, nullptr);
  EXPECT_LT(aggregate->settled(), first->position);
  aggregate->begin_drain();
  (void)aggregate->poll();
  EXPECT_FALSE(aggregate->drained());
}

TEST_F(AggregateTest, OfATopicNamesTheSourceOfEachTradeAndKeepsTheStateOfItsOwnSource) {
  auto options = this->options();
  std::string source_says = "as it begins";
  Position acknowledged = 0;
  options.every = 1;
  options.begin_after = 3;
  options.source_state.append = [&](std::string& out) { out += source_says; };
  options.source_state.acknowledged = [&] { return acknowledged; };
  const auto outbox = Outbox::make();
  {
    const auto aggregate = Aggregate::make(options, outbox->port(16));
    EXPECT_EQ(aggregate->resume_after(), 3U);
    EXPECT_EQ(aggregate->source_state(), std::nullopt);
  }
  const auto aggregate = Aggregate::make(options, outbox->port(16));
  EXPECT_EQ(aggregate->resume_after(), 3U) << "what the first life has written";
  EXPECT_EQ(aggregate->source_state(), "as it begins");
  while (records_.last_position() <= 3) {
    (void)records_.session(SessionKind::connected);
  }
  const RecordView record = records_.frame({{"SPY", "1", "1", 0, {}}});
  const_cast<Trade&>(record.trades()[0]).position = 1000;  // the topic's header counts otherwise than its offsets
  aggregate->set_source(77);
  ASSERT_EQ(aggregate->on_record(record, records_.symbols()), Uptake::taken);
  source_says = "one trade later";
  (void)aggregate->poll();
  source_says = "later still";
  const OutboxMessage* const message = outbox->take();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(message->source, 77U);
  EXPECT_EQ(message->position, 1000U);
  EXPECT_EQ(message->cause, record.last_position());
  EXPECT_EQ(aggregate->settled(), 3U);
  outbox->acknowledge(message);
  (void)aggregate->poll();
  EXPECT_EQ(aggregate->settled(), 3U) << "what the source has sent because of it is not acknowledged";
  acknowledged = record.last_position();
  (void)aggregate->poll();
  EXPECT_EQ(aggregate->settled(), record.last_position());
  const auto next = Aggregate::make(options, outbox->port(16));
  EXPECT_EQ(next->resume_after(), record.last_position());
  EXPECT_EQ(next->source_state(), "one trade later") << "as it was when the windows were as they are in it";
}

TEST_F(AggregateTest, WaitsUntilItIsKnownWhichClusterItIs) {
  auto unknown = options();
  bool known = false;
  unknown.cluster_id = [&]() { return known ? std::optional<std::string>("one") : std::nullopt; };
  const auto aggregate = Aggregate::make(unknown, Outbox::make()->port(4));
  EXPECT_EQ(aggregate->resume_after(), std::nullopt);
  EXPECT_THAT(aggregate->waiting_for(), HasSubstr("which cluster"));
  known = true;
  EXPECT_EQ(aggregate->resume_after(), kBeforeEverything);
  // Before the first metric there is a file: whoever finds none knows that none was sent.
  EXPECT_TRUE(std::filesystem::exists(directory_ / "aggregate-one.state"));
}

TEST_F(AggregateTest, RefusesASnapshotOfAnotherWindowInWords) {
  {
    const auto aggregate = Aggregate::make(options(), nullptr);
    (void)aggregate->resume_after();
  }
  auto other = options();
  other.window = 5;
  const auto aggregate = Aggregate::make(other, nullptr);
  EXPECT_EQ(aggregate->resume_after(), std::nullopt);
  ASSERT_TRUE(aggregate->failure());
  EXPECT_EQ(aggregate->failure()->code, ErrorCode::usage);
  EXPECT_THAT(aggregate->failure()->message, HasSubstr("--window 4 --every 3"));
}

}  // namespace
}  // namespace mdpipe::stage
