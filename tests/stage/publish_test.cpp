// The publisher on the embedded broker, driven by one caller. What a real broker alone can show (restarts, refusals,
// duplicates) is in e2e/broker.py and e2e/refusals.py.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "publish_fixture.hpp"
#include "publish_message.hpp"

namespace mdpipe::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int16_t kInvalidTimestamp = 32;          // for good
constexpr std::int16_t kTopicAuthorizationFailed = 29;  // ends the producer, not the message

TEST_F(PublishTest, PublishesEveryTradeOnceInOrderAsItWasSentWithItsHeader) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  options_.in_flight_max = 64;  // so that it is often full
  open();
  for (int i = 0; i < 600; ++i) {
    give(i % 20 == 7 ? records_.session(SessionKind::connected) : random_frame());
    ASSERT_LT(publish_->settled(), std::numeric_limits<Position>::max());
  }
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
  EXPECT_TRUE(read(Destination::dead_letters).empty());
  EXPECT_EQ(publish_->figures().trades_acknowledged.get(), static_cast<std::uint64_t>(number_));
  EXPECT_EQ(publish_->figures().rebuilds.get(), 0U);
  // Received in 1970: the time of the message is when it was received.
  EXPECT_EQ(read(Destination::raw).front().timestamp_ms, 1000);
}

TEST_F(PublishTest, TakesAFrameOfMoreTradesThanItKeepsAtOnce) {
  options_.in_flight_max = 4;
  open();
  std::vector<TestTrade> trades;
  for (int i = 0; i < 30; ++i) {
    trades.push_back({kSymbols[static_cast<std::size_t>(i) % kSymbols.size()], "1", "2", i, std::to_string(i)});
  }
  const RecordView record = records_.frame(trades, FrameKind::partly_bad, "??");
  for (std::size_t i = 0; i < trades.size(); ++i) {
    want(record.trades()[i], trades[i]);
  }
  poll_until("room", [&] {
    EXPECT_LT(publish_->settled(), record.last_position());
    return publish_->on_record(record, records_.symbols()) == Uptake::taken;
  });
  give(random_frame());
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
  EXPECT_EQ(read(Destination::dead_letters).size(), 1U);
}

TEST_F(PublishTest, SettlesNothingBeforeItIsAcknowledged) {
  open();
  give(random_frame());
  settle();
  broker->set_up(false);
  const RecordView record = random_frame();
  give(record);
  give(records_.session(SessionKind::stale));
  for (int i = 0; i < 1000; ++i) {
    publish_->poll();
    ASSERT_EQ(publish_->settled(), record.trades()[0].position - 1);
    ASSERT_FALSE(publish_->drained());
  }
  broker->set_up(true);
  settle();
}

TEST_F(PublishTest, SendsTheFirstMessageOfAPartitionAloneAndTheFirstAfterASilence) {
  constexpr std::uint64_t kTrades = 8;
  for (const bool silent : {false, true}) {
    options_.silence_ns = silent ? 0 : kPatienceNs * 10;
    publish_.reset();
    open();
    ASSERT_FALSE(HasFatalFailure());
    const auto give_eight = [&](std::uint64_t before, bool alone) {
      for (std::uint64_t i = 0; i < kTrades; ++i) {
        ASSERT_EQ(publish_->on_record(records_.frame({{"SPY", "1", "1", 1, {}}}), records_.symbols()), Uptake::taken);
      }
      std::set<std::uint64_t> seen;
      poll_until("acknowledgements", [&] {
        if (publish_->figures().trades_acknowledged.get() == before && publish_->figures().in_flight.get() != 0) {
          seen.insert(publish_->figures().in_flight.get());
        }
        return publish_->figures().trades_acknowledged.get() == before + kTrades;
      });
      EXPECT_THAT(seen, ElementsAre(alone ? 1 : kTrades)) << "silent " << silent << ", before " << before;
    };
    broker->set_round_trip_ms(100);
    give_eight(0, true);
    give_eight(kTrades, silent);
    broker->set_round_trip_ms(0);
  }
}

TEST_F(PublishTest, WhereItMayHurryNothingWaitsForCompanyThatWillNotCome) {
  options_.kafka.properties.emplace_back("linger.ms", "900000");  // what waits so long does not come in this test
  options_.hurry = true;
  open();
  for (int i = 0; i < 50; ++i) {
    give(random_frame());
  }
  publish_->begin_drain();
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
}

TEST_F(PublishTest, SendsTheFirstMessagesOfPartitionsSideBySideAndNothingElseWithThem) {
  open();
  broker->set_round_trip_ms(100);
  std::map<std::int32_t, std::string> symbols;  // one in each partition
  for (const std::string& symbol : kSymbols) {
    symbols.emplace(kafka::partition_of(symbol, kPartitions), symbol);
  }
  ASSERT_EQ(symbols.size(), std::size_t{kPartitions});
  std::uint64_t given = 0;
  for (const auto& [partition, symbol] : symbols) {
    for (int i = 0; i < 4; ++i) {
      const TestTrade trade{symbol, "1", "1", 1, std::to_string(++given)};
      const RecordView record = records_.frame({trade});
      want(record.trades()[0], trade);
      give(record);
    }
  }
  std::set<std::uint64_t> seen;
  poll_until("an acknowledgement", [&] {
    const bool any = publish_->figures().trades_acknowledged.get() != 0;
    if (!any && publish_->figures().in_flight.get() != 0) {
      seen.insert(publish_->figures().in_flight.get());
    }
    return any;
  });
  EXPECT_THAT(seen, ElementsAre(kPartitions));
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
}

TEST_F(PublishTest, MakesDeadLettersOfBadFramesByteForByte) {
  open();
  const std::string payload("{\"type\":\"tr\0de\n\xFF", 16);
  give(records_.bad_frame(payload));
  give(random_frame());
  give(records_.bad_frame("the beginning of", FrameKind::bad_truncated, FrameReason::too_large));
  const TestTrade good{"SPY", "1", "2", 3, "good"};
  const RecordView partly = records_.frame({good}, FrameKind::partly_bad, "[bad,");
  want(partly.trades()[0], good);
  give(partly);
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
  const auto dead = read(Destination::dead_letters);
  ASSERT_EQ(dead.size(), 3U);
  const Position third = partly.position();
  const Position second = expected_of(dead[1]).position;
  EXPECT_EQ(expected_of(dead[0]), (Expected{"", payload, 0, kSource, 1, 0}));
  EXPECT_EQ(expected_of(dead[1]), (Expected{"", "the beginning of", kafka::kHeaderTruncated, kSource, third - 1, 1}));
  EXPECT_EQ(expected_of(dead[2]), (Expected{"", "[bad,good", 0, kSource, third, second}));
  EXPECT_EQ(dead[0].header("error"), to_string(FrameReason::not_json));
  EXPECT_EQ(dead[1].header("error"), to_string(FrameReason::too_large));
  EXPECT_EQ(dead[2].header("error"), to_string(FrameReason::element_not_a_trade));
  EXPECT_EQ(dead[0].header("stage"), "feed");
  EXPECT_EQ(publish_->figures().dead_letters_acknowledged.get(), 3U);
}

TEST_F(PublishTest, PublishesTheOutboxInOrderAndHoldsBackWhoIsFullUntilItIsAcknowledged) {
  constexpr std::size_t kSlots = 8;
  const auto port = outbox_->port(kSlots);
  open();
  broker->set_up(false);
  Position position = 0;
  while (submit(*port, position + 1)) {
    ++position;
  }
  EXPECT_EQ(position, kSlots);
  for (int i = 0; i < 1000; ++i) {
    publish_->poll();
    ASSERT_EQ(port->prepare(), nullptr);
    ASSERT_EQ(port->acknowledged_below(), 0U);
  }
  EXPECT_FALSE(publish_->drained());
  broker->set_up(true);
  while (position < 500) {
    if (submit(*port, position + 1)) {
      ++position;
    }
    publish_->poll();
  }
  poll_until("the outbox", [&] { return port->outstanding() == 0; });
  EXPECT_EQ(filtered(Destination::metrics), wanted_metrics_);
  EXPECT_EQ(publish_->figures().metrics_acknowledged.get(), 500U);
}

TEST_F(PublishTest, LosesNothingWhenTheBrokerGoesAwayAndComesBack) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  options_.in_flight_max = 256;
  const auto port = outbox_->port(16);
  open();
  Position metric = 0;
  for (int i = 0; i < 300; ++i) {
    if (i % 60 == 30) {
      broker->set_up(false);
      for (int round = 0; round < 100; ++round) {
        publish_->poll();
      }
      broker->set_up(true);
    }
    give(random_frame());
    metric += submit(*port, metric + 1) ? 1U : 0U;
  }
  settle();
  EXPECT_EQ(filtered(Destination::raw), wanted_);
  EXPECT_EQ(filtered(Destination::metrics), wanted_metrics_);
}

/// Errors that end a producer, at random moments: what was not acknowledged is sent again, in order, less what the scan
/// found.
TEST_F(PublishTest, GivesAFailedProducerUpAndSendsTheRestAnew) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  options_.in_flight_max = 256;
  const auto port = outbox_->port(16);
  open();
  Position metric = 0;
  for (std::uint64_t failures = 1; failures <= 8; ++failures) {
    broker->fail_next_produces({kTopicAuthorizationFailed});
    poll_until("a failure", [&] {
      give(random_frame());
      metric += submit(*port, metric + 1) ? 1U : 0U;
      return HasFatalFailure() || publish_->figures().rebuilds.get() >= failures;
    });
    ASSERT_FALSE(HasFatalFailure());
  }
  settle();
  EXPECT_EQ(filtered(Destination::raw), wanted_);
  EXPECT_EQ(filtered(Destination::metrics), wanted_metrics_);
  EXPECT_THAT(said_, Contains(::testing::HasSubstr("Topic authorization failed")));
  EXPECT_EQ(publish_->figures().refused.get(), 0U);
  EXPECT_EQ(publish_->figures().trades_acknowledged.get() + publish_->figures().trades_found.get(),
            static_cast<std::uint64_t>(number_));
}

TEST_F(PublishTest, MakesADeadLetterOfWhatIsRefusedAgainWhenItIsSentAlone) {
  open();
  const RecordView first = records_.frame({{"SPY", "1", "1", 1, "one"}});
  const RecordView second = records_.frame({{"SPY", "1", "1", 1, "two"}});
  for (const RecordView& record : {first, second}) {
    broker->fail_next_produces({kInvalidTimestamp, kInvalidTimestamp});
    give(record);
    poll_until("its dead letter", [&] { return publish_->settled() == record.last_position(); });
  }
  give(records_.frame({{"SPY", "1", "1", 1, "three"}}));
  settle();
  const std::int32_t partition = kafka::partition_of("SPY", kPartitions);
  const std::uint64_t source = hash_source(kSource, options_.topics[0], partition);
  const auto dead = read(Destination::dead_letters);
  ASSERT_EQ(dead.size(), 2U);
  EXPECT_EQ(expected_of(dead[0]), (Expected{"SPY", "one", 0, source, first.last_position(), 0}));
  EXPECT_EQ(expected_of(dead[1]), (Expected{"SPY", "two", 0, source, second.last_position(), first.last_position()}));
  EXPECT_THAT(dead[0].header("error"), HasSubstr("refused by Kafka"));
  EXPECT_EQ(dead[0].header("stage"), "publish");
  EXPECT_EQ(unfiltered(Destination::raw),
            (Topic{{partition, {{"SPY", "three", 0, kSource, records_.last_position(), 0}}}}));
  EXPECT_EQ(publish_->figures().refused.get(), 2U);
  EXPECT_EQ(publish_->figures().trades_refused.get(), 2U);
}

/// Refusals for good that hit whole batches and single messages of both lanes: each message ends in its topic or as a
/// dead letter, and the publisher never goes round in circles.
TEST_F(PublishTest, FindsWhichMessageOfABatchIsRefusedWhileMetricsGoOn) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  options_.in_flight_max = 256;
  const auto port = outbox_->port(16);
  open();
  Position metric = 0;
  std::uint64_t rebuilds = 0;
  for (int failures = 0; failures < 25; ++failures) {
    broker->fail_next_produces({kInvalidTimestamp});
    poll_until("a failure", [&] {
      if (publish_->figures().trades_acknowledged.get() + 200 > static_cast<std::uint64_t>(number_)) {
        const RecordView record = random_frame();
        poll_until("room", [&] { return publish_->on_record(record, records_.symbols()) == Uptake::taken; });
      }
      metric += submit(*port, metric + 1) ? 1U : 0U;
      return publish_->figures().rebuilds.get() > rebuilds;
    });
    // A dead letter that is refused is the end: let it pass.
    poll_until("dead letters", [&] {
      return publish_->figures().dead_letters_acknowledged.get() == publish_->figures().refused.get();
    });
    rebuilds = publish_->figures().rebuilds.get();
    ASSERT_FALSE(HasFatalFailure());
  }
  settle();
  std::map<std::string, int> values;
  for (const auto destination : {Destination::raw, Destination::metrics, Destination::dead_letters}) {
    for (const auto& [partition, messages] : filtered(destination)) {
      for (const Expected& message : messages) {
        ++values[message.value];
      }
    }
  }
  std::map<std::string, int> want;
  for (const Topic* const topic : {&wanted_, &wanted_metrics_}) {
    for (const auto& [partition, messages] : *topic) {
      for (const Expected& message : messages) {
        ++want[message.value];
      }
    }
  }
  EXPECT_EQ(values, want);
}

TEST_F(PublishTest, SendsAFewAtATimeWhereALargeBatchWasRefusedAndNotEachOfItAlone) {
  constexpr int kTrades = 300;
  constexpr std::uint64_t kFew = 64;
  open();
  const auto give_trade = [&] {
    const TestTrade trade{"SPY", "1", "1", ++number_, std::to_string(number_)};
    const RecordView record = records_.frame({trade});
    want(record.trades()[0], trade);
    ASSERT_EQ(publish_->on_record(record, records_.symbols()), Uptake::taken);
  };
  give_trade();
  settle();
  broker->set_round_trip_ms(5);
  // One batch, however long that takes here: it goes when the broker is there again.
  broker->set_up(false);
  for (int i = 0; i < kTrades; ++i) {
    give_trade();
  }
  poll_until("all of them", [&] { return publish_->figures().in_flight.get() == std::uint64_t{kTrades}; });
  // Of the batch, of the next producer's first message, of the few behind it.
  broker->fail_next_produces({kInvalidTimestamp, 0, kInvalidTimestamp});
  broker->set_up(true);
  std::uint64_t most = 0;
  poll_until("acknowledgements", [&] {
    most = publish_->figures().rebuilds.get() == 0 ? 0 : std::max(most, publish_->figures().in_flight.get());
    return publish_->settled() == records_.last_position();
  });
  EXPECT_EQ(most, kFew);
  EXPECT_EQ(publish_->figures().rebuilds.get(), 2U);
  EXPECT_EQ(publish_->figures().refused.get(), 0U);
  EXPECT_EQ(filtered(Destination::raw), wanted_);
}

TEST_F(PublishTest, CutsWhatIsLargerThanItMaySendAndGoesOn) {
  constexpr std::size_t kLarge = kafka::kUsualBatchBytes + 1;
  constexpr std::size_t kKept = 64U << 10U;
  options_.message_max_bytes = 1024;  // of this run; the journal's frames are of an earlier one
  open();
  const std::string large(kLarge, 'x');
  give(random_frame());
  give(records_.bad_frame(large, FrameKind::bad_truncated, FrameReason::too_large));
  give(records_.frame({{"SPY", "1", "1", 1, large}}));
  const Position trade = records_.last_position();
  const TestTrade last{"SPY", "1", "1", 1, "small"};
  const RecordView record = records_.frame({last});
  want(record.trades()[0], last);
  give(record);
  settle();
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
  const auto dead = read(Destination::dead_letters);
  ASSERT_EQ(dead.size(), 2U);
  for (const ReadMessage& message : dead) {
    EXPECT_EQ(message.value, large.substr(0, kKept));
    EXPECT_NE(expected_of(message).flags & kafka::kHeaderTruncated, 0);
    EXPECT_NE(expected_of(message).source, kSource);
  }
  EXPECT_EQ(expected_of(dead[1]).position, trade);
  EXPECT_EQ(publish_->figures().rebuilds.get(), 0U);
}

TEST_F(PublishTest, SaysWhatItWaitsForWhereNoBrokerAnswersAndGoesOnTrying) {
  options_.kafka.bootstrap = "127.0.0.1:1";
  publish_ = Publish::make(options_, nullptr);
  publish_->poll();
  EXPECT_FALSE(publish_->resume_after());
  EXPECT_FALSE(publish_->failure());
  EXPECT_EQ(publish_->cluster_id(), "");
  EXPECT_THAT(publish_->waiting_for(), HasSubstr("127.0.0.1:1"));
  EXPECT_FALSE(publish_->figures().online.get());
  publish_->close();
}

TEST_F(PublishTest, NamesAPartitionThatAcknowledgesNothingWhileTheOthersGoOn) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  options_.quiet_ns = kNanosecondsPerSecond / 4;
  options_.save_interval_ns = kNanosecondsPerSecond / 20;
  open();
  for (int i = 0; i < 50; ++i) {
    give(random_frame());  // the first message of each partition is acknowledged
  }
  settle();
  const std::int32_t broken = kafka::partition_of("SPY", kPartitions);
  const std::string words = fmt::format("no acknowledgement of {}[{}]", options_.topics[0], broken);
  broker->set_leader(options_.topics[0], broken, false);
  std::int64_t given_ns = 0;
  std::uint64_t acknowledged_before = 0;
  const auto give_now_and_then = [&] {
    if (const std::int64_t now_ns = monotonic_clock_ns(); now_ns - given_ns > kNanosecondsPerSecond / 100) {
      given_ns = now_ns;
      give(random_frame());
    }
  };
  poll_until("the alarm", [&] {
    give_now_and_then();
    acknowledged_before = publish_->figures().trades_acknowledged.get();
    return publish_->waiting_for().find(words) != std::string::npos;
  });
  poll_until("the others", [&] {
    give_now_and_then();
    return publish_->figures().trades_acknowledged.get() > acknowledged_before;
  });
  EXPECT_THAT(publish_->waiting_for(), HasSubstr(words));
  broker->set_leader(options_.topics[0], broken, true);
  settle();
  poll_until("calm", [&] { return publish_->waiting_for().empty(); });
  EXPECT_EQ(unfiltered(Destination::raw), wanted_);
}

TEST_F(PublishTest, RefusesMetricsOfAnotherPartitionCountAndNamesTheCommandThatMendsIt) {
  options_.embedded = false;
  options_.topics[0] = "raw-1";
  options_.topics[1] = "dead-1";  // of one partition, where raw-1 has three
  publish_ = Publish::make(options_, nullptr);
  const std::int64_t deadline_ns = monotonic_clock_ns() + kPatienceNs;
  while (!publish_->failure() && monotonic_clock_ns() < deadline_ns) {
    publish_->poll();
  }
  ASSERT_TRUE(publish_->failure());
  EXPECT_THAT(publish_->failure()->message, HasSubstr("dead-1 has 1 partitions and raw-1 has 3"));
  EXPECT_THAT(publish_->failure()->message,
              HasSubstr("mdpipe topics mend --kafka " + broker->bootstrap() + " --raw-topic raw-1 --metrics-topic"));
}

}  // namespace
}  // namespace mdpipe::stage
