#pragma once
// A publisher on the embedded broker, driven by one caller, beside a naive model of what it must publish.

#include <array>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/embedded_broker.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/partitioner.hpp"
#include "mdpipe/stage/publish.hpp"
#include "support/record_builder.hpp"
#include "support/topic_reader.hpp"

namespace mdpipe::stage {

using mdpipe::testing::read_topic;
using mdpipe::testing::ReadMessage;
using mdpipe::testing::RecordBuilder;
using mdpipe::testing::TestTrade;

inline constexpr std::uint64_t kSource = 0xFEED'0000'0000'0001U;
inline constexpr std::int32_t kPartitions = 3;
inline constexpr std::int64_t kPatienceNs = 60 * kNanosecondsPerSecond;
// Two in partition 0, three in each of the others.
inline const std::vector<std::string> kSymbols = {"SPY", "AIG",  "BAC",     "IBM", "BINANCE:BTCUSDT",
                                                  "abc", "Q\"X", "\xC3\x84"};

/// What one message must be.
struct Expected {
  std::string key;
  std::string value;
  std::uint8_t flags = 0;
  std::uint64_t source = kSource;
  Position position = 0;
  Position previous = 0;

  friend bool operator==(const Expected&, const Expected&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Expected& one) {
    return out << one.key << " " << one.value.substr(0, 60) << " flags " << int{one.flags} << " source " << one.source
               << " position " << one.position << " previous " << one.previous;
  }
};
using Topic = std::map<std::int32_t, std::vector<Expected>>;

inline Expected expected_of(const ReadMessage& message) {
  const auto header = kafka::decode(message.header("mdp"));
  EXPECT_TRUE(header) << message.value;
  const auto have = header.value_or(kafka::MessageHeader{});
  return {message.key, message.value, have.flags, have.source, have.position, have.previous};
}

class PublishTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kTests = 17;

  static void SetUpTestSuite() {
    used = 0;
    std::vector<kafka::EmbeddedBroker::Topic> topics;
    for (std::size_t i = 0; i < kTests; ++i) {
      const auto names = topics_of(i);
      topics.push_back({names[0], kPartitions});
      topics.push_back({names[1], kPartitions});
      topics.push_back({names[2], 2});
      topics.push_back({names[3], 1});
    }
    auto started = kafka::EmbeddedBroker::start(topics);
    ASSERT_TRUE(started) << started.error().message;
    broker = std::move(*started);
  }
  static void TearDownTestSuite() { broker.reset(); }

  PublishTest() : outbox_(Outbox::make()), seed_(std::random_device{}()), random_(seed_) {
    EXPECT_LT(used, kTests);
    // One request at a time: librdkafka's own broker takes what is in flight behind a batch that it was told to refuse,
    // which a real one refuses as out of sequence.
    options_.kafka = kafka::Config{broker->bootstrap(), {{"max.in.flight", "1"}}};
    options_.topics = topics_of(used++);
    options_.source = kSource;
    options_.embedded = true;
    options_.retry_max_ns = 1'000'000;
  }

  ~PublishTest() override {
    broker->set_up(true);
    broker->set_round_trip_ms(0);
  }

  static std::array<std::string, kDestinations> topics_of(std::size_t test) {
    const std::string number = std::to_string(test);
    return {"raw-" + number, "metrics-" + number, "alerts-" + number, "dead-" + number};
  }

  void open() {
    publish_ = Publish::make(options_, outbox_.get());
    poll_until("a connection", [&] { return publish_->resume_after().has_value(); });
    ASSERT_EQ(publish_->resume_after(), options_.start_after);
  }

  template <class Condition>
  void poll_until(const char* what, const Condition& condition) {
    const std::int64_t deadline_ns = monotonic_clock_ns() + kPatienceNs;
    while (!condition()) {
      publish_->poll();
      said_.insert(publish_->waiting_for());
      ASSERT_FALSE(publish_->failure()) << publish_->failure()->message;
      ASSERT_LT(monotonic_clock_ns(), deadline_ns) << "waited in vain for " << what << "; " << publish_->waiting_for();
    }
  }

  void give(const RecordView& record) {
    poll_until("room", [&] { return publish_->on_record(record, records_.symbols()) == Uptake::taken; });
  }

  void settle() {
    poll_until("the last acknowledgement",
               [&] { return publish_->settled() == records_.last_position() && publish_->drained(); });
  }

  /// A frame of random trades; what it must become goes into wanted_.
  RecordView random_frame() {
    std::vector<TestTrade> trades(1 + random_() % 5);
    for (TestTrade& trade : trades) {
      trade = {kSymbols[random_() % kSymbols.size()], "1.5", std::to_string(random_() % 1000), ++number_, {}};
      trade.text = R"({ "p":1.50,"n":)" + std::to_string(number_) + std::string(random_() % 80, ' ') + "\xFF}";
      trade.flags = static_cast<std::uint16_t>(random_() % 64);
    }
    const RecordView record = records_.frame(trades);
    for (std::size_t i = 0; i < trades.size(); ++i) {
      want(record.trades()[i], trades[i]);
    }
    return record;
  }

  void want(const Trade& trade, const TestTrade& test) {
    std::uint8_t flags = 0;
    flags |= (test.flags & kTradeAfterGap) != 0 ? 1 : 0;
    flags |= (test.flags & kTradePriceUpdate) != 0 ? 2 : 0;
    flags |= (test.flags & kTradeOutOfOrder) != 0 ? 4 : 0;
    flags |= (test.flags & kTradeInexact) != 0 ? 8 : 0;
    auto& partition = wanted_[kafka::partition_of(test.symbol, kPartitions)];
    partition.push_back(
        {test.symbol, test.text, flags, kSource, trade.position, partition.empty() ? 0 : partition.back().position});
  }

  [[nodiscard]] std::vector<ReadMessage> read(Destination destination) const {
    constexpr std::array<std::int32_t, kDestinations> kCounts = {kPartitions, kPartitions, 2, 1};
    const auto index = static_cast<std::size_t>(destination);
    return read_topic(options_.kafka.bootstrap, options_.topics[index], kCounts[index]);
  }

  /// As every reader of ours reads: what has no greater position than its source's last in its partition is dropped.
  [[nodiscard]] Topic filtered(Destination destination) const {
    Topic topic;
    std::map<std::pair<std::int32_t, std::uint64_t>, Position> last;
    for (const ReadMessage& message : read(destination)) {
      Expected one = expected_of(message);
      if (Position& before = last[{message.partition, one.source}]; one.position > before) {
        EXPECT_EQ(one.previous, before) << one;
        before = one.position;
        topic[message.partition].push_back(std::move(one));
      }
    }
    return topic;
  }
  /// Without a filter: for where nothing may come twice.
  [[nodiscard]] Topic unfiltered(Destination destination) const {
    Topic topic;
    for (const ReadMessage& message : read(destination)) {
      topic[message.partition].push_back(expected_of(message));
    }
    return topic;
  }

  /// Messages of the outbox, as the aggregate makes them; false where it is full.
  bool submit(Outbox::Port& port, Position position) {
    OutboxMessage* const message = port.prepare();
    if (message == nullptr) {
      return false;
    }
    message->destination = Destination::metrics;
    message->source = kSource;
    message->position = position;
    message->cause = position;
    message->key = kSymbols[position % kSymbols.size()];
    message->value = "metric " + std::to_string(position);
    auto& partition = wanted_metrics_[kafka::partition_of(message->key, kPartitions)];
    partition.push_back(
        {message->key, message->value, 0, kSource, position, partition.empty() ? 0 : partition.back().position});
    port.submit();
    return true;
  }

  static inline std::unique_ptr<kafka::EmbeddedBroker> broker;
  static inline std::size_t used = 0;

  RecordBuilder records_;
  std::unique_ptr<Outbox> outbox_;
  PublishOptions options_;
  std::unique_ptr<Publish> publish_;  // goes before what it points into
  std::uint32_t seed_;
  std::mt19937 random_;
  std::int64_t number_ = 0;
  Topic wanted_;
  Topic wanted_metrics_;
  std::set<std::string> said_;
};

}  // namespace mdpipe::stage
