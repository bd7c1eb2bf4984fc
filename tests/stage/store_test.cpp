#include "mdpipe/stage/store.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/state_file.hpp"
#include "support/record_builder.hpp"

namespace {

bool disk_is_failing = false;
int syncs_refused = 0;

}  // namespace

/// In place of the C library's, so that a disk can fail.
extern "C" int fdatasync(int descriptor) {
  if (disk_is_failing) {
    ++syncs_refused;
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

namespace mdpipe::stage {
namespace {

using mdpipe::testing::RecordBuilder;
using mdpipe::testing::TestTrade;
using ::testing::HasSubstr;

constexpr std::int64_t kDayMs = 86'400'000;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string name = ::testing::TempDir() + "mdpipe-store-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~StoreTest() override { std::filesystem::remove_all(directory_); }

  StoreOptions options() const {
    StoreOptions options;
    options.directory = directory_;
    options.source = 77;
    options.flush_interval_ns = 0;
    options.flush_bytes = 256;
    options.open_files_max = 2;
    options.retry_ns = 0;
    return options;
  }
  std::unique_ptr<Store> open() const {
    auto store = Store::open(options());
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  static void drain(Store& store) {
    store.begin_drain();
    for (int i = 0; i < 10 && !store.drained(); ++i) {
      (void)store.poll();
    }
    EXPECT_TRUE(store.drained());
    store.close();
  }
  /// Every file by name.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.is_regular_file()) {
        std::stringstream content;
        content << std::ifstream(entry.path()).rdbuf();
        files[entry.path().filename()] = content.str();
      }
    }
    return files;
  }

  std::filesystem::path directory_;
  RecordBuilder records_;
};

TestTrade at(std::int64_t time_ms, int number) {
  return {"SPY", "168.25", std::to_string(number), time_ms, {}};
}

TEST_F(StoreTest, WritesEachTradeAsItWasSentIntoTheFileOfItsUtcDay) {
  const auto store = open();
  TestTrade odd = at(kDayMs - 1, 2);
  odd.text = "{\"s\":\"SPY\",\r\n\"p\":1}";
  ASSERT_EQ(store->on_record(records_.frame({at(0, 1), odd, at(kDayMs, 3), at(-1, 4)}), records_.symbols()),
            Uptake::taken);
  drain(*store);
  EXPECT_THAT(files(), ::testing::ElementsAre(
                           std::pair("trades_1969-12-31.jsonl", RecordBuilder::text_of(at(-1, 4)) + "\n"),
                           std::pair("trades_1970-01-01.jsonl",
                                     RecordBuilder::text_of(at(0, 1)) + "\n{\"s\":\"SPY\",  \"p\":1}\n"),
                           std::pair("trades_1970-01-02.jsonl", RecordBuilder::text_of(at(kDayMs, 3)) + "\n")));
  EXPECT_EQ(store->settled(), records_.last_position());
  EXPECT_EQ(store->figures().trades.get(), 4U);
}

/// Lives of random length, each of which ends as a kill would end it: without a word. Whatever was in buffers is gone,
/// whatever was written behind the last state is there. The files must hold each trade once all the same.
TEST_F(StoreTest, HoldsEachTradeOnceHoweverOftenItsLifeEnds) {
  std::mt19937 random(5);
  std::vector<RecordView> all;
  std::map<std::int64_t, std::string> want;
  for (int number = 0; number < 1500;) {
    std::vector<TestTrade> trades(1 + random() % 5);
    for (TestTrade& trade : trades) {
      const std::int64_t day = number / 300 + (random() % 10 == 0 ? -1 : 0);  // some late ones
      trade = at(day * kDayMs + 5, number++);
      want[day] += RecordBuilder::text_of(trade) + "\n";
    }
    all.push_back(records_.frame(trades));
  }
  int lives = 0;
  for (;; ++lives) {
    auto options = this->options();
    options.flush_interval_ns = random() % 2 == 0 ? 0 : 1'000'000'000'000;
    auto store = Store::open(options);
    ASSERT_TRUE(store) << store.error().message;
    const Position after = (*store)->resume_after().value();
    auto next = std::find_if(all.begin(), all.end(), [&](const RecordView& one) { return one.position() > after; });
    if (next == all.end()) {
      break;
    }
    for (auto left = random() % 60; left > 0 && next != all.end(); --left, ++next) {
      ASSERT_EQ((*store)->on_record(*next, records_.symbols()), Uptake::taken);
      if (random() % 8 == 0) {
        (void)(*store)->poll();
      }
    }
    if (next == all.end()) {
      drain(**store);
    }
  }
  EXPECT_GT(lives, 20);
  std::map<std::string, std::string> named;
  for (const auto& [day, content] : want) {
    named["trades_" + utc_date(day * kDayMs) + ".jsonl"] = content;
  }
  EXPECT_EQ(files(), named);
}

TEST_F(StoreTest, RefusesFilesOfAnotherJournalAndThoseThatAreNotAsItLeftThem) {
  {
    const auto store = open();
    ASSERT_EQ(store->on_record(records_.frame({at(0, 1)}), records_.symbols()), Uptake::taken);
    drain(*store);
  }
  auto foreign = options();
  foreign.source = 78;
  const auto refused = Store::open(foreign);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::data);
  EXPECT_THAT(refused.error().message, HasSubstr("another journal"));

  std::filesystem::resize_file(directory_ / "trades_1970-01-01.jsonl", 3);
  const auto shortened = Store::open(options());
  ASSERT_FALSE(shortened);
  EXPECT_EQ(shortened.error().code, ErrorCode::data);
  EXPECT_THAT(shortened.error().message, HasSubstr("trades_1970-01-01.jsonl has 3 bytes"));
}

TEST_F(StoreTest, NeverTouchesAFileThatItDidNotWrite) {
  std::ofstream(directory_ / "trades_1970-01-01.jsonl") << "somebody's\n";
  const auto store = open();
  EXPECT_EQ(store->on_record(records_.frame({at(0, 1)}), records_.symbols()), Uptake::busy);
  ASSERT_TRUE(store->failure());
  EXPECT_EQ(store->failure()->code, ErrorCode::data);
  EXPECT_EQ(files()["trades_1970-01-01.jsonl"], "somebody's\n");
}

TEST_F(StoreTest, CutsNoFileThatItsStateCannotName) {
  const auto state = directory_ / ".state" / "store.state";
  const auto other = directory_ / "other";
  std::filesystem::create_directories(directory_ / ".state");
  std::ofstream(other) << "somebody's\n";
  for (const char* const name : {"0 3 other", "0 3 ../trades_1970-01-01.jsonl", "1 3 trades_1970-01-01.jsonl"}) {
    const std::string payload = "source " + std::to_string(options().source) + "\n" + name + "\n";
    ASSERT_TRUE(StateFile(state, "store").save(5, payload));
    const auto refused = Store::open(options());
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::data);
    EXPECT_THAT(refused.error().message, HasSubstr("is no line of a store's state"));
  }
  EXPECT_EQ(files()["other"], "somebody's\n");
}

TEST_F(StoreTest, LetsItsOwnerMoveAFileAwayBetweenTwoLives) {
  {
    const auto store = open();
    ASSERT_EQ(store->on_record(records_.frame({at(0, 1)}), records_.symbols()), Uptake::taken);
    drain(*store);
  }
  std::filesystem::remove(directory_ / "trades_1970-01-01.jsonl");
  const auto store = open();
  ASSERT_EQ(store->on_record(records_.frame({at(0, 2)}), records_.symbols()), Uptake::taken);
  drain(*store);
  EXPECT_EQ(files()["trades_1970-01-01.jsonl"], RecordBuilder::text_of(at(0, 2)) + "\n");
}

TEST_F(StoreTest, HasOneOwnerWhoIsNamedToTheNext) {
  const auto store = open();
  const auto second = Store::open(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::environment);
  EXPECT_THAT(second.error().message, HasSubstr("pid " + std::to_string(::getpid())));
}

TEST_F(StoreTest, ClaimsNothingOfASyncThatFailedNorTriesItAgainAndTheNextLifeWritesItAnew) {
  const RecordView first = records_.frame({at(0, 1)});
  const RecordView second = records_.frame({at(0, 2)});
  {
    const auto store = open();
    ASSERT_EQ(store->on_record(first, records_.symbols()), Uptake::taken);
    (void)store->poll();
    ASSERT_EQ(store->settled(), first.last_position());
    ASSERT_EQ(store->on_record(second, records_.symbols()), Uptake::taken);
    disk_is_failing = true;
    store->begin_drain();
    for (int i = 0; i < 3; ++i) {
      (void)store->poll();
    }
    EXPECT_EQ(store->on_record(second, records_.symbols()), Uptake::busy);
    store->close();
    disk_is_failing = false;
    EXPECT_EQ(syncs_refused, 1);
    ASSERT_TRUE(store->failure());
    EXPECT_EQ(store->failure()->code, ErrorCode::environment);
    EXPECT_THAT(store->failure()->message, HasSubstr("syncing " + (directory_ / "trades_1970-01-01.jsonl").string()));
    EXPECT_EQ(store->settled(), first.last_position());
  }
  const auto store = open();
  EXPECT_EQ(store->resume_after(), first.last_position());
  ASSERT_EQ(store->on_record(second, records_.symbols()), Uptake::taken);
  drain(*store);
  EXPECT_EQ(files()["trades_1970-01-01.jsonl"],
            RecordBuilder::text_of(at(0, 1)) + "\n" + RecordBuilder::text_of(at(0, 2)) + "\n");
}

TEST_F(StoreTest, WaitsWhereThereIsNoRoomAndGoesOnWhenThereIs) {
  std::signal(SIGXFSZ, SIG_IGN);
  const auto store = open();
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small {
    1000, before.rlim_max
  };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string want;
  int number = 0;
  std::vector<TestTrade> trades;
  for (; number < 100; ++number) {
    trades.push_back(at(0, number));
    want += RecordBuilder::text_of(trades.back()) + "\n";
  }
  const RecordView record = records_.frame(trades);
  EXPECT_EQ(store->on_record(record, records_.symbols()), Uptake::busy);
  EXPECT_EQ(store->on_record(record, records_.symbols()), Uptake::busy);
  EXPECT_THAT(store->waiting_for(), HasSubstr("trades_1970-01-01.jsonl"));
  EXPECT_FALSE(store->failure());
  EXPECT_EQ(store->settled(), kBeforeEverything);

  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(store->on_record(record, records_.symbols()), Uptake::taken);
  EXPECT_EQ(store->waiting_for(), "");
  drain(*store);
  EXPECT_EQ(files()["trades_1970-01-01.jsonl"], want);
}

TEST_F(StoreTest, OfATopicsPartitionKeepsTheStateOfItsSourceInItsOwnAndSharesTheFolder) {
  std::string source_says = "as it begins";
  Position acknowledged = 0;
  StoreOptions options = this->options();
  options.part = "partition-4";
  options.start_after = 7;
  options.source_state.append = [&](std::string& out) { out += source_says; };
  options.source_state.acknowledged = [&] { return acknowledged; };
  const auto life = [&] {
    auto store = Store::open(options);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  };
  EXPECT_EQ(life()->source_state(), std::nullopt);
  options.start_after = 9;  // of no meaning any more: the first life has written where it began
  {
    auto other_options = options;
    other_options.part = "partition-5";
    ASSERT_TRUE(Store::open(other_options)) << "another partition's store in the same folder";
    const auto store = life();
    EXPECT_EQ(store->source_state(), "as it begins");
    EXPECT_EQ(store->resume_after(), 7U);
    while (records_.last_position() <= 7) {
      (void)records_.session(SessionKind::connected);
    }
    const RecordView record = records_.frame({at(0, 1)});
    ASSERT_EQ(store->on_record(record, records_.symbols()), Uptake::taken);
    source_says = "one trade later";
    (void)store->poll();
    EXPECT_EQ(store->settled(), 7U) << "what the source has sent because of it is not acknowledged";
    store->close();
    EXPECT_EQ(store->settled(), 7U);
    acknowledged = record.last_position();
    (void)store->poll();
    EXPECT_EQ(store->settled(), record.last_position());
    // A new file is entered in the state before its first byte: with the state of what is settled, not of what comes.
    source_says = "not settled yet";
    ASSERT_EQ(store->on_record(records_.frame({at(kDayMs, 2)}), records_.symbols()), Uptake::taken);
  }
  EXPECT_EQ(life()->source_state(), "one trade later");
  EXPECT_THAT(files(), ::testing::ElementsAre(
                           std::pair("trades_1970-01-01.partition-4.jsonl", RecordBuilder::text_of(at(0, 1)) + "\n"),
                           std::pair("trades_1970-01-02.partition-4.jsonl", "")));
  options.source = 78;
  options.source_words = "partition than topic[4]";
  const auto foreign = Store::open(options);
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("another partition than topic[4]"));
}

}  // namespace
}  // namespace mdpipe::stage
