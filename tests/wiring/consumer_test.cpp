#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "consumer_folder.hpp"
#include "consumer_plan.hpp"
#include "mdpipe/wiring/tail.hpp"
#include "message_record.hpp"
#include "source_filter.hpp"

namespace mdpipe::wiring {
namespace {

using ::testing::HasSubstr;
using Verdict = SourceFilter::Verdict;

constexpr std::int64_t kTimeNs = 1'700'000'000'123'000'000;

class MessageRecordTest : public ::testing::Test {
 protected:
  MessageRecord::Outcome trade(std::string_view value, kafka::MessageHeader header = {0, 7, 1000, 999}) {
    return record_.trade(value, 41, kTimeNs, header, symbols_);
  }
  MessageRecord record_{10};
  SymbolTable symbols_;
};

TEST_F(MessageRecordTest, HoldsTheTradeOfAMessageWithItsTextByteForByte) {
  const std::string value = " {\"v\":0.5,\"s\":\"A\\\"B\",\"t\":1381132800464,\n\"p\":168.250,\"c\":[\"1\"]}\t";
  const auto outcome = trade(value, {kafka::kHeaderAfterGap | kafka::kHeaderOutOfOrder, 7, 1000, 999});
  ASSERT_TRUE(outcome.record) << outcome.why;
  const RecordView& record = *outcome.record;
  ASSERT_EQ(record.trades().size(), 1U);
  const Trade& one = record.trades()[0];
  EXPECT_EQ(record.text(one), value);
  EXPECT_EQ(symbols_.text(one.symbol_id), "A\"B");
  EXPECT_EQ(compare(one.price(), {16825, -2}), 0);
  EXPECT_EQ(compare(one.size(), {5, -1}), 0);
  EXPECT_EQ(one.exchange_time_ms(), 1'381'132'800'464);
  EXPECT_EQ(one.receive_time_ns, kTimeNs);
  EXPECT_EQ(one.position, 1000U) << "the header's, for what the trade causes";
  EXPECT_EQ(one.flags, kTradeLastOfFrame | kTradeAfterGap | kTradeOutOfOrder);
  EXPECT_EQ(next_offset_behind(record.last_position()), 42) << "the record's own position counts offsets";
}

TEST_F(MessageRecordTest, IsNoneWhereTheValueIsAnythingButOneTrade) {
  const std::string good = R"({"s":"A","p":1,"v":1,"t":1})";
  ASSERT_TRUE(trade(good).record);
  const std::vector<std::string> values = {std::string(),
                                           std::string("  "),
                                           std::string("not json"),
                                           std::string("[]"),
                                           std::string("1"),
                                           std::string("{}"),
                                           good + "," + good,
                                           good + good,
                                           good + "],\"more\":[1",
                                           good + R"(],"data":[)" + good,
                                           good + "]}",
                                           "[" + good + "]",
                                           R"({"s":"A","p":"1","v":1,"t":1})",
                                           R"({"s":"A","p":1,"v":1})",
                                           R"({"s":"A","s":"A","p":1,"v":1,"t":1})",
                                           R"({"s":"A","p":1e999,"v":1,"t":1})",
                                           R"({"type":"trade","data":[)" + good + "]}",
                                           std::string("\0", 1) + good,
                                           "{\"s\":\"\xFF\",\"p\":1,\"v\":1,\"t\":1}"};
  for (const std::string& value : values) {
    const auto outcome = trade(value);
    EXPECT_FALSE(outcome.record) << value;
    EXPECT_FALSE(outcome.why.empty()) << value;
  }
}

TEST_F(MessageRecordTest, SaysHowFarTheTopicIsReadWhereThereIsNothingForAStage) {
  const RecordView record = record_.nothing(42);
  EXPECT_TRUE(record.trades().empty());
  EXPECT_EQ(record.kind(), RecordKind::frame);
  EXPECT_EQ(next_offset_behind(record.last_position()), 42);
  EXPECT_GT(record.position(), trade(R"({"s":"A","p":1,"v":1,"t":1})").record->position());
}

TEST(Filter, DropsWhatCameAlreadyAndAlarmsWhereSomethingIsMissing) {
  SourceFilter filter;
  EXPECT_EQ(filter.judge(1, 10, 9), Verdict::next) << "what was before we began is none of our business";
  filter.take(1, 10);
  EXPECT_EQ(filter.judge(1, 10, 9), Verdict::duplicate);
  EXPECT_EQ(filter.judge(1, 5, 4), Verdict::duplicate);
  EXPECT_EQ(filter.judge(1, 12, 10), Verdict::next);
  EXPECT_EQ(filter.judge(1, 13, 11), Verdict::after_gap);
  EXPECT_EQ(filter.judge(2, 3, 0), Verdict::next) << "each source by itself";
  filter.from_beginning = true;
  EXPECT_EQ(filter.judge(3, 4, 2), Verdict::after_gap)
      << "from the first offset on, a first message has no previous one";
  EXPECT_EQ(filter.judge(3, 4, 0), Verdict::next);
}

/// A log as a publisher may leave it: every message once in order, and any stretch of it again behind.
TEST(Filter, MakesALogWithRawDuplicatesExactWhateverItIsSavedInBetween) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  struct Message {
    std::uint64_t source;
    Position position;
    Position previous;
  };
  std::vector<Message> log;
  std::map<std::uint64_t, std::vector<Message>> sent;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t source = random() % 3 + 1;
    auto& before = sent[source];
    const Position previous = before.empty() ? 0 : before.back().position;
    before.push_back({source, previous + 1 + random() % 5, previous});
    log.push_back(before.back());
    if (random() % 50 == 0) {
      const std::size_t again = std::min<std::size_t>(before.size(), random() % 20);
      log.insert(log.end(), before.end() - static_cast<std::ptrdiff_t>(again), before.end());
    }
  }
  SourceFilter filter;
  filter.from_beginning = true;
  std::map<std::uint64_t, std::vector<Position>> kept;
  for (const Message& message : log) {
    const Verdict verdict = filter.judge(message.source, message.position, message.previous);
    ASSERT_NE(verdict, Verdict::after_gap);
    if (verdict == Verdict::next) {
      filter.take(message.source, message.position);
      kept[message.source].push_back(message.position);
    }
    if (random() % 100 == 0) {
      std::string text;
      filter.append(0, text);
      auto again = SourceFilter::parse(text, "test");
      ASSERT_TRUE(again) << again.error().message;
      filter = std::move(*again);
    }
  }
  for (const auto& [source, messages] : sent) {
    ASSERT_EQ(kept[source].size(), messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
      ASSERT_EQ(kept[source][i], messages[i].position);
    }
  }
}

TEST(Filter, IsSavedWithWhereOurOwnMessagesEndAndWhoseMetricsAreNotOurs) {
  SourceFilter filter;
  filter.from_beginning = true;
  filter.partitions = 3;
  filter.rivals = {11, 12};
  filter.take(5, 500);
  filter.tails.partitions[1] = {{70, 0, {{5, 400}, {99, 1}}}, {80, 0, {}}};
  filter.tails.partitions[3] = {{9, 0, {{6, 40}}}};
  std::string text;
  filter.append(6, text);
  const auto again = SourceFilter::parse(text, "test");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->from_beginning);
  EXPECT_EQ(again->partitions, 3);
  EXPECT_EQ(again->rivals, filter.rivals);
  EXPECT_EQ(again->judge(5, 500, 0), Verdict::duplicate);
  ASSERT_EQ(again->tails.partitions[1].size(), 2U);
  EXPECT_EQ(again->tails.partitions[1][1].offset, 80);
  EXPECT_EQ(again->tails.partitions[1][0].others, (std::map<std::uint64_t, Position>{{5, 400}}))
      << "of sources that are none of ours nothing is kept";
  EXPECT_EQ(again->tails.partitions[3][0].others, (std::map<std::uint64_t, Position>{{6, 40}}));
}

TEST(Filter, RefusesWordsThatMakeNoSense) {
  for (const char* text : {"x1", "f1", "f1:2:3", "b", "t1:2", "t9:0:0", "t1:99999999:0", "n1:", "f-1:2", "s1:0:1",
                           "f18446744073709551616:1"}) {
    const auto parsed = SourceFilter::parse(text, "a file");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::data);
    EXPECT_THAT(parsed.error().message, HasSubstr("a file"));
  }
}

TEST(Tails, AreMergedToTheLowerOffsetAndTheHigherPosition) {
  stage::PublishCursor one;
  one.partitions[1] = {{70, 0, {{5, 400}}}, {10, 0, {}}};
  stage::PublishCursor into;
  into.partitions[1] = {{60, 0, {{5, 300}, {6, 1}}}};
  merge(one, into);
  ASSERT_EQ(into.partitions[1].size(), 2U);
  EXPECT_EQ(into.partitions[1][0].offset, 60);
  EXPECT_EQ(into.partitions[1][0].others, (std::map<std::uint64_t, Position>{{5, 400}, {6, 1}}));
  EXPECT_EQ(into.partitions[1][1].offset, 10);
}

TEST(Folder, GivesEachMemberAPlaceAndOneIdToAll) {
  std::string name = ::testing::TempDir() + "mdpipe-folder-XXXXXX";
  const std::filesystem::path path = ::mkdtemp(name.data());
  auto first = ConsumerFolder::open(path, "mdpipe store");
  auto second = ConsumerFolder::open(path, "mdpipe store");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->id(), second->id());
  EXPECT_EQ(first->take_place("group").value(), "group-" + first->id() + "-0");
  EXPECT_EQ(second->take_place("group").value(), "group-" + first->id() + "-1");
  {
    const auto lock = first->lock_partition(2);
    ASSERT_TRUE(lock);
    const auto again = second->lock_partition(2);
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().message, HasSubstr("mdpipe store (pid"));
    EXPECT_TRUE(second->lock_partition(1));
  }
  EXPECT_TRUE(second->lock_partition(2));
  std::filesystem::remove_all(path);
}

TEST(ConsumerPlan, ReadsPartitionsAndStartPointsOrSaysWhatIsWrong) {
  EXPECT_THAT(parse_partitions("0,2,0").value(), ::testing::ElementsAre(0, 2));
  EXPECT_TRUE(parse_partitions("").value().empty());
  EXPECT_FALSE(parse_partitions("0,a"));
  EXPECT_FALSE(parse_partitions("-1"));
  EXPECT_EQ(parse_start_point("latest").value().kind, StartPoint::Kind::latest);
  EXPECT_EQ(parse_start_point("2013-10-07T08:00:00.464Z").value().time_ms, 1'381'132'800'464);
  const auto wrong = parse_start_point("yesterday");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::usage);
  EXPECT_THAT(wrong.error().message, HasSubstr("--from yesterday"));
}

TEST(ConsumerSummary, AddsUpOrSaysThatItDoesNot) {
  ConsumerSummary summary;
  summary.messages = 10;
  summary.trades = summary.taken = 7;
  summary.duplicates = 2;
  summary.dead_letters = 1;
  EXPECT_TRUE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("10  = 7 trades + 2 duplicates + 1 dead letters"));
  EXPECT_THAT(summary.text(), HasSubstr("7  = trades"));
  summary.taken = 6;
  EXPECT_FALSE(summary.adds_up());
  EXPECT_THAT(summary.text(), HasSubstr("1 fewer than trades"));
}

TEST(TailLine, IsAlignedForPeopleAndMovesNoCursor) {
  TailLine line;
  line.topic = "raw";
  line.partition = 2;
  line.offset = 345;
  line.key = "SPY";
  line.time_ms = 1'381'132'800'464;
  line.latency_ms = 12;
  line.value = "{\"s\":\n\"\033[2J\"}";
  std::string text;
  append_tail_line(line, false, false, text);
  EXPECT_EQ(text, "  2          345  2013-10-07T08:00:00.464Z      12 ms  SPY           {\"s\": \" [2J\"}\n");
  std::string coloured;
  append_tail_line(line, false, true, coloured);
  EXPECT_THAT(coloured, HasSubstr("\033[1mSPY"));
}

TEST(TailLine, IsOneJsonObjectWhateverTheValueHolds) {
  TailLine line;
  line.topic = "raw";
  line.key = "A\"B";
  line.value = "not\njson";
  std::string text;
  append_tail_line(line, true, true, text);
  EXPECT_EQ(text, "{\"topic\":\"raw\",\"partition\":0,\"offset\":0,\"key\":\"A\\\"B\",\"value\":\"not\\u000ajson\"}\n");
  line.topic = {};
  line.epoch = 1;
  line.sequence = 5;
  line.time_ms = 464;
  line.latency_ms = -3;
  text.clear();
  append_tail_line(line, true, false, text);
  EXPECT_EQ(text,
            "{\"epoch\":1,\"sequence\":5,\"key\":\"A\\\"B\",\"time\":\"1970-01-01T00:00:00.464Z\",\"latency_ms\":-3,"
            "\"value\":\"not\\u000ajson\"}\n");
}

}  // namespace
}  // namespace mdpipe::wiring
