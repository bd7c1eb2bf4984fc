#include "mdpipe/kafka/consumer.hpp"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/embedded_broker.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/producer.hpp"

namespace mdpipe::kafka {
namespace {

constexpr Consumer::Milliseconds kPatience{10'000};
constexpr int kPollMs = 20;

class ConsumerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto broker = EmbeddedBroker::start({{"topic", 2}});
    ASSERT_TRUE(broker) << broker.error().message;
    broker_ = std::move(*broker);
    config_.bootstrap = broker_->bootstrap();
  }

  /// Messages 0, 1, … of a partition, each with an `mdp` header.
  void produce(std::int32_t partition, int count) {
    auto producer = Producer::make(config_, {"topic"}, 1000);
    ASSERT_TRUE(producer) << producer.error().message;
    const auto header = encode({0, 7, 9, 8});
    const OutgoingHeader headers[] = {{kHeaderName, {header.data(), header.size()}}};
    int delivered = 0;
    for (int i = 0; i < count; ++i) {
      const std::string value = std::to_string(i);
      OutgoingMessage message;
      message.partition = partition;
      message.key = "key";
      message.value = value;
      message.timestamp_ms = 1'000'000 + i;
      message.headers = headers;
      message.header_count = 1;
      ASSERT_EQ((*producer)->produce(message), ProduceStatus::taken);
      while (delivered <= i) {
        (void)(*producer)->poll(kPollMs, [&](const DeliveryReport& report) { delivered += report.delivered ? 1 : 0; });
      }
    }
  }

  std::unique_ptr<Consumer> consumer() {
    ConsumerOptions options;
    options.topic = "topic";
    options.group = "group";
    options.heartbeat_ms = 100;
    auto consumer = Consumer::make(config_, options);
    EXPECT_TRUE(consumer) << consumer.error().message;
    return consumer ? std::move(*consumer) : nullptr;
  }

  /// Values by offset until the partition's end was said.
  static std::map<std::int64_t, std::string> read_to_end(Consumer& consumer, std::int32_t partition) {
    std::map<std::int64_t, std::string> values;
    for (const std::int64_t end_ns = monotonic_clock_ns() + kPatience.count() * kNanosecondsPerMillisecond;
         monotonic_clock_ns() < end_ns;) {
      const Incoming incoming = consumer.next(kPollMs);
      if (incoming.kind == Incoming::Kind::end && incoming.message.partition == partition) {
        EXPECT_EQ(incoming.message.offset, values.empty() ? incoming.message.offset : values.rbegin()->first + 1);
        return values;
      }
      if (incoming.kind == Incoming::Kind::message) {
        values[incoming.message.offset] = incoming.message.value;
      }
    }
    ADD_FAILURE() << "no end came: " << consumer.trouble();
    return values;
  }

  std::unique_ptr<EmbeddedBroker> broker_;
  Config config_;
};

TEST_F(ConsumerTest, ReadsFixedPartitionsFromWhereItIsToldAndSaysTheirEnd) {
  produce(1, 5);
  const auto reader = consumer();
  ASSERT_TRUE(reader->read({{1, 2, {}}}));
  EXPECT_THAT(read_to_end(*reader, 1), ::testing::ElementsAre(std::pair(2, "2"), std::pair(3, "3"), std::pair(4, "4")));
  EXPECT_EQ(reader->known_end(1), 5);
  const auto range = reader->offsets(1, kPatience);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->end, 5);
  // Again, from further back: what was given back before it was used.
  ASSERT_TRUE(reader->read({}));
  ASSERT_TRUE(reader->read({{1, 4, {}}}));
  EXPECT_THAT(read_to_end(*reader, 1), ::testing::ElementsAre(std::pair(4, "4")));
}

TEST_F(ConsumerTest, GivesKeyTimeAndHeaderOfAMessage) {
  produce(0, 1);
  const auto reader = consumer();
  ASSERT_TRUE(reader->read({{0, 0, {}}}));
  Incoming incoming;
  while (incoming.kind != Incoming::Kind::message) {
    incoming = reader->next(kPollMs);
    ASSERT_NE(incoming.kind, Incoming::Kind::end);
  }
  EXPECT_EQ(incoming.message.key, "key");
  EXPECT_EQ(incoming.message.timestamp_ms, 1'000'000);
  ASSERT_TRUE(incoming.message.header);
  const auto header = decode(*incoming.message.header);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->position, 9U);
}

TEST_F(ConsumerTest, FailsWhereItsOffsetIsNotInTheTopicAnyMore) {
  produce(0, 2);
  const auto reader = consumer();
  ASSERT_TRUE(reader->read({{0, 1000, {}}}));
  for (int i = 0; i < 1000 && !reader->failure(); ++i) {
    ASSERT_NE(reader->next(kPollMs).kind, Incoming::Kind::message);
  }
  ASSERT_TRUE(reader->failure());
  EXPECT_EQ(reader->failure()->code, ErrorCode::data);
}

TEST_F(ConsumerTest, CommitsWithAWordOfItsOwn) {
  const auto reader = consumer();
  const auto before = reader->committed({0, 1}, kPatience);
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_EQ(before->at(0).offset, -1);
  ASSERT_TRUE(reader->commit({{0, 12, "a folder"}}, true));
  const auto after = consumer()->committed({0, 1}, kPatience);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->at(0).offset, 12);
  EXPECT_EQ(after->at(0).metadata, "a folder");
  EXPECT_EQ(after->at(1).offset, -1);
}

/// What a member of a group does with what the group tells it.
struct Member {
  explicit Member(std::unique_ptr<Consumer> made) : consumer(std::move(made)) {}

  void step() {
    (void)consumer->next(kPollMs);
    while (const auto rebalance = consumer->take_rebalance()) {
      if (rebalance->kind == Rebalance::Kind::assigned) {
        ours.insert(rebalance->partitions.begin(), rebalance->partitions.end());
        std::vector<PartitionOffset> from;
        for (const std::int32_t partition : rebalance->partitions) {
          from.push_back({partition, 0, {}});
        }
        ASSERT_TRUE(consumer->read(from));
        continue;
      }
      EXPECT_EQ(rebalance->kind, Rebalance::Kind::revoked);
      ours.clear();
      ++revocations;
      ASSERT_TRUE(consumer->give_up());
    }
  }

  std::unique_ptr<Consumer> consumer;
  std::set<std::int32_t> ours;
  int revocations = 0;
};

TEST_F(ConsumerTest, SharesThePartitionsWithWhoJoinsTheGroup) {
  Member first(consumer());
  ASSERT_TRUE(first.consumer->join());
  const auto until = [&](auto&& done, auto&&... members) {
    for (int i = 0; i < 1500 && !done(); ++i) {
      (members.step(), ...);
    }
    return done();
  };
  ASSERT_TRUE(until([&] { return first.ours.size() == 2; }, first));
  Member second(consumer());
  ASSERT_TRUE(second.consumer->join());
  ASSERT_TRUE(until([&] { return first.ours.size() == 1 && second.ours.size() == 1; }, first, second));
  EXPECT_NE(*first.ours.begin(), *second.ours.begin());
  EXPECT_GE(first.revocations, 1);  // more where the second is slow to join
}

}  // namespace
}  // namespace mdpipe::kafka
