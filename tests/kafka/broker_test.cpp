// Admin, Producer and TailScanner against the embedded broker.

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/embedded_broker.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/producer.hpp"
#include "mdpipe/kafka/tail_scan.hpp"
#include "support/topic_reader.hpp"

namespace mdpipe::kafka {
namespace {

using mdpipe::testing::read_topic;
using mdpipe::testing::ReadMessage;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::size_t kMessageMax = 4096;
constexpr auto kPatience = 10'000ms;
constexpr std::int64_t kPatienceNs = 30 * kNanosecondsPerSecond;
constexpr const char* kNowhere = "127.0.0.1:1";

/// One broker for all of them (it takes a second to end), two topics for each.
class BrokerTest : public ::testing::Test {
 protected:
  static constexpr int kTests = 16;

  static void SetUpTestSuite() {
    std::vector<EmbeddedBroker::Topic> topics;
    for (int i = 0; i < kTests; ++i) {
      topics.push_back({"three-" + std::to_string(i), 3});
      topics.push_back({"one-" + std::to_string(i), 1});
    }
    auto started = EmbeddedBroker::start(topics);
    used = 0;
    ASSERT_TRUE(started) << started.error().message;
    broker = std::move(*started);
  }
  static void TearDownTestSuite() { broker.reset(); }

  BrokerTest() : config_{broker->bootstrap(), {}} {
    EXPECT_LT(used, kTests);
    three_ = "three-" + std::to_string(used);
    one_ = "one-" + std::to_string(used++);
  }

  [[nodiscard]] std::unique_ptr<Producer> producer() const {
    auto made = Producer::make(config_, {three_, one_}, kMessageMax);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }

  static inline std::unique_ptr<EmbeddedBroker> broker;
  static inline int used = 0;
  Config config_;
  std::string three_;  // a topic of three partitions
  std::string one_;
};

/// Polls until so many reports have come; what they said, in order.
std::vector<DeliveryReport> reports(Producer& producer, std::size_t count) {
  std::vector<DeliveryReport> all;
  const std::int64_t deadline_ns = monotonic_clock_ns() + kPatienceNs;
  while (all.size() < count && monotonic_clock_ns() < deadline_ns) {
    producer.poll(20, [&](const DeliveryReport& report) { all.push_back(report); });
  }
  return all;
}

ProduceStatus send(Producer& producer, std::string_view value, std::uint64_t tag, std::int32_t partition = 0,
                   std::size_t topic = 0) {
  OutgoingMessage message;
  message.topic = topic;
  message.partition = partition;
  message.key = "key";
  message.value = value;
  message.timestamp_ms = 1'400'000'000'000;
  message.tag = tag;
  return producer.produce(message);
}

TEST_F(BrokerTest, DeliversTheMessagesOfEachPartitionInOrderAndReportsEachOnce) {
  const auto producer = this->producer();
  std::mt19937 random(7);
  std::vector<std::string> values;  // stay put: the producer keeps pointers
  std::map<std::int32_t, std::vector<std::string>> want;
  constexpr std::size_t kMessages = 5000;
  values.reserve(kMessages);
  for (std::size_t i = 0; i < kMessages; ++i) {
    const auto partition = static_cast<std::int32_t>(random() % 3);
    values.push_back(std::to_string(i) + std::string(random() % 40, '.'));
    want[partition].push_back(values.back());
    ASSERT_EQ(send(*producer, values.back(), i, partition), ProduceStatus::taken);
  }
  std::vector<int> told(kMessages);
  for (const DeliveryReport& report : reports(*producer, kMessages)) {
    EXPECT_TRUE(report.delivered) << report.error;
    EXPECT_GE(report.offset, 0);
    ++told[report.tag];
  }
  EXPECT_EQ(std::count(told.begin(), told.end(), 1), static_cast<std::ptrdiff_t>(kMessages));
  std::map<std::int32_t, std::vector<std::string>> got;
  for (const ReadMessage& message : read_topic(config_.bootstrap, three_, 3)) {
    got[message.partition].push_back(message.value);
  }
  EXPECT_EQ(got, want);
}

TEST_F(BrokerTest, SendsAtOnceWhatWaitsForCompanyWhereItIsToldTo) {
  config_.properties.emplace_back("linger.ms", "900000");
  const auto producer = this->producer();
  const std::string value = "alone";
  ASSERT_EQ(send(*producer, value, 7), ProduceStatus::taken);
  std::optional<DeliveryReport> told;
  const std::int64_t deadline_ns = monotonic_clock_ns() + kPatienceNs;
  while (!told && monotonic_clock_ns() < deadline_ns) {
    producer->send_now();  // its threads may be too slow to see it
    producer->poll(1, [&](const DeliveryReport& report) { told = report; });
  }
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->delivered);
}

TEST_F(BrokerTest, SendsTopicKeyValueTimeAndHeadersAsTheyWereGiven) {
  const auto producer = this->producer();
  const std::string value("{\"p\":1}\0\n\xFF", 10);
  const auto bytes = encode({kHeaderOutOfOrder, 5, 9, 8});
  const OutgoingHeader headers[] = {{kHeaderName, {bytes.data(), bytes.size()}}, {"error", ""}, {"stage", "feed"}};
  OutgoingMessage message;
  message.topic = 1;
  message.key = "SPY";
  message.value = value;
  message.timestamp_ms = 1'381'132'800'464;
  message.headers = headers;
  message.header_count = 3;
  message.tag = ~std::uint64_t{0};
  ASSERT_EQ(producer->produce(message), ProduceStatus::taken);
  message.key = {};
  message.header_count = 0;
  ASSERT_EQ(producer->produce(message), ProduceStatus::taken);
  const auto told = reports(*producer, 2);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].tag, ~std::uint64_t{0});
  const auto read = read_topic(config_.bootstrap, one_, 1);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].key, "SPY");
  EXPECT_EQ(read[0].value, value);
  EXPECT_EQ(read[0].timestamp_ms, 1'381'132'800'464);
  ASSERT_EQ(read[0].headers.size(), 3U);
  EXPECT_EQ(read[0].headers[0].second, std::string(bytes.data(), bytes.size()));
  EXPECT_EQ(read[0].headers[1], std::pair(std::string("error"), std::string()));
  EXPECT_EQ(read[0].header("stage"), "feed");
  EXPECT_EQ(read[1].key, "");
  EXPECT_TRUE(read[1].headers.empty());
}

TEST_F(BrokerTest, SaysQueueFullWhileTheBrokerIsAwayAndDeliversAllInOrderWhenItIsBack) {
  broker->set_up(false);
  const auto producer = this->producer();
  const std::string value = "x";
  std::uint64_t taken = 0;
  ProduceStatus status = ProduceStatus::taken;
  while ((status = send(*producer, value, taken)) == ProduceStatus::taken) {
    ++taken;
    ASSERT_LT(taken, 10'000'000U);
  }
  ASSERT_EQ(status, ProduceStatus::queue_full);
  EXPECT_FALSE(producer->failure());
  producer->poll(0, [](const DeliveryReport&) { FAIL() << "nothing can have been delivered"; });
  broker->set_up(true);
  std::uint64_t next = 0;
  for (const DeliveryReport& report : reports(*producer, taken)) {
    ASSERT_TRUE(report.delivered);
    ASSERT_EQ(report.tag, next++);
  }
  EXPECT_EQ(next, taken);
  EXPECT_EQ(send(*producer, value, taken), ProduceStatus::taken);
}

TEST_F(BrokerTest, RefusesAtOnceWhatIsLargerThanAnyBatchAndGoesOn) {
  const auto producer = this->producer();
  const std::string large(kUsualBatchBytes + 1, 'x');
  EXPECT_EQ(send(*producer, large, 1), ProduceStatus::too_large);
  EXPECT_FALSE(producer->failure());
  const std::string value(kMessageMax, 'x');
  EXPECT_EQ(send(*producer, value, 2), ProduceStatus::taken);
  const auto told = reports(*producer, 1);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].delivered);
}

TEST_F(BrokerTest, ReportsAsPermanentWhatTheBrokerWillNeverTake) {
  constexpr std::int16_t kInvalidTimestamp = 32;
  constexpr std::int16_t kTopicAuthorizationFailed = 29;
  for (const std::int16_t error : {kInvalidTimestamp, kTopicAuthorizationFailed}) {
    const auto producer = this->producer();
    broker->fail_next_produces({error});
    const std::string value = "x";
    ASSERT_EQ(send(*producer, value, 1), ProduceStatus::taken);
    const auto told = reports(*producer, 1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_FALSE(told[0].delivered);
    EXPECT_FALSE(told[0].error.empty());
    EXPECT_EQ(told[0].permanent, error == kInvalidTimestamp);
    // A hole in the sequence: librdkafka's gapless guarantee makes it fatal.
    const std::int64_t deadline_ns = monotonic_clock_ns() + kPatienceNs;
    while (!producer->failure() && monotonic_clock_ns() < deadline_ns) {
      producer->poll(20, [](const DeliveryReport&) {});
    }
    ASSERT_TRUE(producer->failure()) << error;
    EXPECT_THAT(*producer->failure(), HasSubstr("GAPLESS"));
    EXPECT_EQ(send(*producer, value, 2), ProduceStatus::failed);
    EXPECT_THAT(*producer->failure(), HasSubstr("GAPLESS"));
  }
}

TEST_F(BrokerTest, RefusesANameThatNoTopicCanHave) {
  const auto made = Producer::make(config_, {one_, std::string(600, 'x')}, kMessageMax);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::usage);
}

// That asking makes no topic is tested on a real broker: this one does not know the request's flag.
TEST_F(BrokerTest, DescribesATopic) {
  const auto admin = Admin::connect(config_);
  ASSERT_TRUE(admin);
  EXPECT_THAT((*admin)->cluster_id(kPatience).value(), HasSubstr("mock"));
  const auto one = (*admin)->describe(three_, kPatience);
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->exists);
  EXPECT_EQ(one->partitions, 3);
  EXPECT_EQ(one->replication, 1);
  EXPECT_EQ(one->leaderless, 0);
}

TEST_F(BrokerTest, TellsTheOffsetsOfAPartition) {
  const auto producer = this->producer();
  const std::string value = "x";
  for (std::uint64_t tag = 0; tag < 5; ++tag) {
    ASSERT_EQ(send(*producer, value, tag, 2), ProduceStatus::taken);
  }
  ASSERT_EQ(reports(*producer, 5).size(), 5U);
  const auto admin = Admin::connect(config_);
  ASSERT_TRUE(admin);
  const auto range = (*admin)->offsets(three_, 2, kPatience);
  ASSERT_TRUE(range) << range.error().message;
  EXPECT_EQ(range->begin, 0);
  EXPECT_EQ(range->end, 5);
  EXPECT_EQ((*admin)->offsets(three_, 1, kPatience)->end, 0);
  const auto ends = (*admin)->ends(three_, 3, kPatience);
  ASSERT_TRUE(ends) << ends.error().message;
  EXPECT_EQ(*ends, (std::vector<std::int64_t>{0, 0, 5}));
  EXPECT_FALSE((*admin)->ends(three_, 4, kPatience));
}

TEST_F(BrokerTest, AnswersAProducersOwnAdminWhichMayOutliveIt) {
  auto producer = this->producer();
  const auto admin = producer->admin();
  EXPECT_EQ(admin->describe(three_, kPatience)->partitions, 3);
  const std::string value = "x";
  ASSERT_EQ(send(*producer, value, 0, 1), ProduceStatus::taken);
  ASSERT_EQ(reports(*producer, 1).size(), 1U);
  producer.reset();
  EXPECT_EQ(*admin->ends(three_, 3, kPatience), (std::vector<std::int64_t>{0, 1, 0}));
}

TEST(Admin, SaysThatNoBrokerAnswersAndWhichWereAsked) {
  const auto admin = Admin::connect(Config{kNowhere, {}});
  ASSERT_TRUE(admin);
  const auto id = (*admin)->cluster_id(50ms);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::environment);
  EXPECT_THAT(id.error().message, HasSubstr(kNowhere));
  EXPECT_THAT((*admin)->describe("one", 50ms).error().message, HasSubstr(kNowhere));
  EXPECT_THAT((*admin)->offsets("one", 0, 50ms).error().message, HasSubstr(kNowhere));
  EXPECT_THAT((*admin)->ends("one", 1, 50ms).error().message, HasSubstr(kNowhere));
  EXPECT_THAT((*admin)->settings("one", 50ms).error().message, HasSubstr(kNowhere));
  EXPECT_THAT((*admin)->create({"one", 1, 1, 1000}, 50ms).error().message, HasSubstr(kNowhere));
}

/// Messages of several sources, some with no header or with one that is none of ours, in random order: the scan must
/// say what a loop over the same list says.
TEST_F(BrokerTest, FindsTheGreatestPositionOfASourceBehindAnOffset) {
  constexpr std::uint64_t kMessages = 200;
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto producer = this->producer();
  std::vector<std::vector<MessageHeader>> written(3);
  const std::string value = "x";
  for (std::uint64_t tag = 0; tag < kMessages; ++tag) {
    const std::size_t partition = random() % 2;  // the third one stays empty
    MessageHeader header{0, 1 + random() % 3, 1 + random() % 1000, 0};
    auto bytes = encode(header);
    const unsigned kind = random() % 8;
    if (kind == 0) {
      bytes[0] = 2;  // of another version
    }
    const OutgoingHeader headers[] = {{kind == 1 ? "mdq" : "mdp", {bytes.data(), kind == 2 ? 25 : bytes.size()}}};
    if (kind <= 3) {
      header.source = 0;
    }
    OutgoingMessage message;
    message.partition = static_cast<std::int32_t>(partition);
    message.value = value;
    message.headers = headers;
    message.header_count = kind == 3 ? 0 : 1;
    message.timestamp_ms = 1;
    message.tag = tag;
    ASSERT_EQ(producer->produce(message), ProduceStatus::taken);
    written[partition].push_back(header);
  }
  ASSERT_EQ(reports(*producer, kMessages).size(), kMessages);
  auto scanner = TailScanner::connect(config_);
  ASSERT_TRUE(scanner);
  // Over and over with one scanner, to and fro between partitions: what one scan has fetched is not the next one's.
  for (int i = 0; i < 25; ++i) {
    const std::size_t partition = random() % 3;
    const auto end = static_cast<std::int64_t>(written[partition].size());
    const auto from = static_cast<std::int64_t>(random() % (written[partition].size() + 1));
    const std::uint64_t source = 1 + random() % 4;  // nothing is of the fourth
    TailScan want;
    want.end = end;
    want.messages = static_cast<std::uint64_t>(end - from);
    for (auto at = static_cast<std::size_t>(from); at < written[partition].size(); ++at) {
      const MessageHeader& header = written[partition][at];
      if (header.source != 0) {
        std::uint64_t& last = want.positions[header.source];
        last = std::max(last, header.position);
      }
    }
    if (const auto found = want.positions.find(source); found != want.positions.end()) {
      want.last_position = found->second;
    }
    const auto got = (*scanner)->scan(three_, static_cast<std::int32_t>(partition), from, end, source, kPatience);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->end, want.end);
    EXPECT_EQ(got->last_position, want.last_position) << "partition " << partition << " from " << from;
    EXPECT_EQ(got->messages, want.messages) << "partition " << partition << " from " << from;
    EXPECT_EQ(got->positions, want.positions) << "partition " << partition << " from " << from;
  }
}

TEST_F(BrokerTest, GivesUpAScanThatGetsNowhereAndSaysWhereItWas) {
  auto scanner = TailScanner::connect(config_);
  ASSERT_TRUE(scanner);
  const auto scanned = (*scanner)->scan(three_, 1, 0, 5, 1, 300ms);  // there are no five
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().code, ErrorCode::environment);
  EXPECT_THAT(scanned.error().message, HasSubstr(three_ + "[1] from 0 to 5"));
}

}  // namespace
}  // namespace mdpipe::kafka
