// Pumps on a real journal: one caller's Invoker, and Runners on threads of their own.

#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "mdpipe/journal/writer.hpp"
#include "mdpipe/runner/invoker.hpp"
#include "mdpipe/runner/runner.hpp"
#include "support/temporary_directory.hpp"

namespace mdpipe::runner {
namespace {

using mdpipe::testing::TemporaryDirectory;
using ::testing::HasSubstr;

/// Waits for what another thread does; gives up only where it never comes.
bool comes(const std::function<bool()>& condition) {
  for (int i = 0; i < 60'000; ++i) {
    if (condition()) {
      return true;
    }
    ::usleep(1000);
  }
  return false;
}

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    journal::WriterOptions options;
    options.directory = directory_.path() / "journal";
    options.payload_max_bytes = 1024;
    options.symbols_max = 64;
    options.segment_bytes = 64U << 10U;
    options.populate_ahead_bytes = 16U << 10U;
    options.sync_interval_ms = 10;
    writer_ = std::move(journal::Writer::open(options).value());
  }

  /// A frame with a trade of a symbol of its own in each fifth one.
  void write(std::int64_t number) {
    FrameClaim claim;
    while (!(claim = writer_->claim())) {
      std::this_thread::yield();
    }
    std::memset(claim.payload(), 'x', 40);
    Trade& trade = *claim.trades(40);
    trade = Trade{};
    trade.symbol_id = writer_->symbols().add("S" + std::to_string(number / 5 % 50));
    trade.text_offset = sizeof(RecordHeader);
    trade.text_length = 40;
    writer_->commit(claim, {40, 1, FrameKind::trades, FrameReason::none, number});
  }

  Pump::OpenReader from_writer() {
    return [this](Position after) { return writer_->reader(after); };
  }

  TemporaryDirectory directory_;
  std::unique_ptr<journal::Writer> writer_;
};

/// Notes what it is told, and does as the test says. What other threads read of it is atomic.
class NotingStage final : public Stage {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "noting"; }
  [[nodiscard]] std::optional<Position> resume_after() noexcept override {
    return knows_where ? std::optional(resume) : std::nullopt;
  }
  [[nodiscard]] Uptake on_record(const RecordView& record, const SymbolTable& symbols) noexcept override {
    if (busy.load()) {
      ++refused;
      return Uptake::busy;
    }
    in_order = in_order && record.position() > last && record.kind() == RecordKind::frame &&
               !symbols.text(record.trades().front().symbol_id).empty();
    last = record.last_position();
    numbers.push_back(record.receive_time_ns());
    ++taken;
    return Uptake::taken;
  }
  bool poll() noexcept override {
    ++polls;
    largest_batch = std::max(largest_batch, taken.load() - taken_at_poll);
    taken_at_poll = taken.load();
    if (settles) {
      settled_position = last;
    }
    return false;
  }
  [[nodiscard]] Position settled() const noexcept override { return settled_position; }
  void begin_drain() noexcept override { ++drains; }
  [[nodiscard]] bool drained() const noexcept override { return drains.load() != 0 && may_drain.load(); }
  void close() noexcept override { ++closes; }
  [[nodiscard]] std::string waiting_for() const override {
    if (throws.load()) {
      throw std::runtime_error("cannot say");
    }
    return busy.load() ? "the test" : "";
  }
  [[nodiscard]] std::optional<Error> failure() const override {
    if (throws.load()) {
      throw std::runtime_error("the stage broke");
    }
    return fails.load() ? std::optional(Error{ErrorCode::data, "a foreign topic"}) : std::nullopt;
  }

  std::atomic<bool> busy{false};
  std::atomic<bool> fails{false};
  std::atomic<bool> throws{false};
  std::atomic<bool> may_drain{true};
  std::atomic<std::size_t> taken{0};
  std::atomic<int> refused{0};
  std::atomic<int> polls{0};
  std::atomic<int> drains{0};
  std::atomic<int> closes{0};
  bool knows_where = true;
  bool settles = true;
  bool in_order = true;
  Position resume = kBeforeEverything;
  Position last = kBeforeEverything;
  Position settled_position = kBeforeEverything;
  std::size_t taken_at_poll = 0;
  std::size_t largest_batch = 0;
  std::vector<std::int64_t> numbers;
};

TEST_F(RunnerTest, AnInvokerHandsEachRecordOverOnceAndInOrder) {
  NotingStage quick;
  NotingStage late;
  Invoker invoker;
  invoker.add(from_writer(), quick);
  invoker.add(from_writer(), late);
  late.knows_where = false;
  for (std::int64_t i = 0; i < 600; ++i) {
    write(i);
    late.knows_where = i > 300;  // no record comes before it knows
    if (i % 7 == 0) {
      invoker.step(5);
    }
    ASSERT_TRUE(late.knows_where || late.taken == 0);
  }
  ASSERT_TRUE(invoker.drain(3));
  for (const NotingStage* stage : {&quick, &late}) {
    EXPECT_TRUE(stage->in_order);
    ASSERT_EQ(stage->numbers.size(), 600U);
    for (std::size_t i = 0; i < stage->numbers.size(); ++i) {
      EXPECT_EQ(stage->numbers[i], static_cast<std::int64_t>(i));
    }
    EXPECT_EQ(stage->drains, 1);
  }
  EXPECT_GT(writer_->figures().rolls.get(), 0U);
}

TEST_F(RunnerTest, AStageResumesBehindWhatItHasDoneInAnEarlierLife) {
  for (std::int64_t i = 0; i < 20; ++i) {
    write(i);
  }
  NotingStage first;
  Invoker invoker;
  invoker.add(from_writer(), first);
  ASSERT_TRUE(invoker.drain(1));
  write(20);
  NotingStage second;
  second.resume = first.last;
  Invoker again;
  again.add(from_writer(), second);
  ASSERT_TRUE(again.drain(1));
  EXPECT_EQ(second.numbers, std::vector<std::int64_t>{20});
}

TEST_F(RunnerTest, ARecordAnsweredBusyComesAgainAndIsNotSkipped) {
  NotingStage stage;
  Pump pump(from_writer(), stage);
  write(0);
  stage.busy = true;
  EXPECT_FALSE(pump.step(10));
  EXPECT_FALSE(pump.step(10));
  EXPECT_FALSE(pump.caught_up());
  EXPECT_EQ(stage.refused, 2);
  EXPECT_EQ(stage.polls, 2);
  EXPECT_LT(pump.figures().read_position.get(), writer_->figures().position.get());
  stage.busy = false;
  EXPECT_TRUE(pump.step(10));
  EXPECT_TRUE(pump.caught_up());
  EXPECT_EQ(stage.numbers, std::vector<std::int64_t>{0});
}

TEST_F(RunnerTest, ABatchEndsAtItsLimitAndTheStageIsPolled) {
  NotingStage stage;
  Pump pump(from_writer(), stage);
  for (std::int64_t i = 0; i < 100; ++i) {
    write(i);
  }
  while (!pump.caught_up()) {
    pump.step(8);
  }
  EXPECT_EQ(stage.taken, 100U);
  EXPECT_EQ(stage.largest_batch, 8U);
  EXPECT_EQ(pump.figures().records.get(), 100U);
}

TEST_F(RunnerTest, ALagShowsUntilTheStageHasSettled) {
  NotingStage stage;
  stage.settles = false;
  Pump pump(from_writer(), stage);
  write(0);
  pump.step(10);
  EXPECT_EQ(pump.figures().read_position.get(), writer_->figures().position.get());
  EXPECT_EQ(pump.figures().settled_position.get(), 0U);
  stage.settled_position = std::numeric_limits<Position>::max();  // "everything that I have seen"
  pump.step(10);
  EXPECT_EQ(pump.figures().settled_position.get(), writer_->figures().position.get());
}

TEST_F(RunnerTest, TradesOfAnEarlierLifeAreCountedApart) {
  write(0);
  write(1);
  const Position earlier_until = writer_->figures().position.get();
  write(2);
  NotingStage stage;
  Pump pump(from_writer(), stage, earlier_until);
  pump.step(10);
  EXPECT_EQ(pump.figures().records.get(), 3U);
  EXPECT_EQ(pump.figures().earlier_trades.get(), 2U);
}

/// Writes over one byte of one record of the first segment.
void damage_a_record(const std::filesystem::path& journal) {
  std::fstream file(journal / "000000000001.segment", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096 + 3 * 128 + 50);
  file.put('!');
}

TEST_F(RunnerTest, DamageInTheJournalIsGoneOnBehindAndSaid) {
  for (std::int64_t i = 0; i < 10; ++i) {
    write(i);
  }
  ASSERT_TRUE(writer_->close());
  const auto journal = directory_.path() / "journal";
  damage_a_record(journal);
  const auto from_outside = [&](Position after) { return journal::Reader::open(journal, after); };
  NotingStage stage;
  Invoker invoker;
  invoker.add(from_outside, stage);
  EXPECT_TRUE(invoker.drain(3));
  EXPECT_EQ(stage.taken, 9U);
  EXPECT_TRUE(stage.in_order);
  EXPECT_FALSE(invoker.failure());
  const auto skips = invoker.take_skips();
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_THAT(journal::to_string(skips[0]), HasSubstr("its checksum does not fit"));
  EXPECT_TRUE(invoker.take_skips().empty());

  NotingStage on_a_thread;
  Runner runner(from_outside, on_a_thread, {});
  ASSERT_TRUE(runner.start());
  runner.finish();
  EXPECT_FALSE(runner.join());
  EXPECT_EQ(on_a_thread.taken, 9U);
  EXPECT_EQ(runner.figures().skipped_places.get(), 1U);
  EXPECT_EQ(runner.figures().skipped_positions.get(), skips[0].positions);
  EXPECT_EQ(runner.take_skips().size(), 1U);
}

TEST_F(RunnerTest, AnInvokerGivesUpOnAStageThatWaitsForWhatDoesNotCome) {
  NotingStage stage;
  Invoker invoker;
  invoker.add(from_writer(), stage);
  write(0);
  stage.may_drain = false;
  EXPECT_FALSE(invoker.drain(5));
  EXPECT_FALSE(invoker.failure());
  EXPECT_EQ(stage.taken, 1U);
}

TEST_F(RunnerTest, ReadersThatCannotBeOpenedAreAFailure) {
  NotingStage stage;
  Pump refused([](Position) { return fail(ErrorCode::data, "retention took it"); }, stage);
  EXPECT_FALSE(refused.step(1));
  ASSERT_TRUE(refused.failure());
  EXPECT_EQ(refused.failure()->message, "retention took it");
  Pump thrown([](Position) -> Result<std::unique_ptr<journal::Reader>> { throw std::runtime_error("no memory"); },
              stage);
  EXPECT_FALSE(thrown.step(1));
  ASSERT_TRUE(thrown.failure());
  EXPECT_EQ(thrown.failure()->message, "noting ended by an exception: no memory");
}

TEST_F(RunnerTest, ARunnerTakesAllThereIsAndThenEndsWhateverItsIdleStrategy) {
  for (const IdleKind kind : {IdleKind::spin, IdleKind::backoff, IdleKind::park}) {
    NotingStage stage;
    Runner runner(from_writer(), stage, {.idle = kind});
    ASSERT_TRUE(runner.start());
    const std::size_t earlier = writer_->figures().trades.get();
    for (std::int64_t i = 0; i < 200; ++i) {
      write(i);
    }
    EXPECT_TRUE(comes([&] { return stage.taken == earlier + 200; }));
    EXPECT_FALSE(runner.done());
    write(200);  // after it has slept
    EXPECT_TRUE(comes([&] { return stage.taken == earlier + 201; }));
    stage.may_drain = false;
    runner.finish();
    EXPECT_TRUE(comes([&] { return stage.drains == 1; }));
    EXPECT_FALSE(runner.done());
    stage.may_drain = true;
    EXPECT_TRUE(comes([&] { return runner.done(); }));
    EXPECT_FALSE(runner.join());
    EXPECT_TRUE(stage.in_order);
    EXPECT_EQ(stage.closes, 1);
    EXPECT_EQ(stage.drains, 1);
    EXPECT_EQ(runner.figures().settled_position.get(), writer_->figures().position.get());
  }
}

TEST_F(RunnerTest, ARunnerThatIsAbandonedStopsAlthoughItsStageIsBusy) {
  NotingStage stage;
  stage.busy = true;
  write(0);
  Runner runner(from_writer(), stage, {});
  ASSERT_TRUE(runner.start());
  EXPECT_TRUE(comes([&] { return stage.refused > 0 && runner.waiting_for() == "the test"; }));
  runner.finish();
  EXPECT_FALSE(runner.done());
  runner.abandon();
  EXPECT_TRUE(comes([&] { return runner.done(); }));
  EXPECT_FALSE(runner.join());
  EXPECT_EQ(stage.taken, 0U);
  EXPECT_EQ(stage.closes, 1);
  EXPECT_EQ(stage.drains, 0);
}

TEST_F(RunnerTest, AStageThatFailsIsReportedAndTheOthersGoOn) {
  NotingStage good;
  NotingStage failing;
  NotingStage throwing;
  Runner good_runner(from_writer(), good, {});
  Runner failing_runner(from_writer(), failing, {});
  Runner throwing_runner(from_writer(), throwing, {});
  for (Runner* runner : {&good_runner, &failing_runner, &throwing_runner}) {
    ASSERT_TRUE(runner->start());
  }
  failing.fails = true;
  throwing.throws = true;
  EXPECT_TRUE(comes([&] { return failing_runner.done() && throwing_runner.done(); }));
  ASSERT_TRUE(failing_runner.failure());
  EXPECT_EQ(failing_runner.failure()->message, "a foreign topic");
  EXPECT_EQ(failing_runner.failure()->code, ErrorCode::data);
  ASSERT_TRUE(throwing_runner.failure());
  EXPECT_THAT(throwing_runner.failure()->message, HasSubstr("the stage broke"));
  EXPECT_TRUE(failing_runner.join());
  EXPECT_TRUE(throwing_runner.join());
  EXPECT_EQ(failing.closes, 1);
  EXPECT_EQ(throwing.closes, 1);
  write(0);
  EXPECT_TRUE(comes([&] { return good.taken == 1U; }));
  EXPECT_FALSE(good_runner.done());
  EXPECT_EQ(good_runner.name(), "noting");
}

TEST_F(RunnerTest, ARunnerOnACoreThatThereIsNotDoesNotStart) {
  NotingStage stage;
  Runner runner(from_writer(), stage, {.core = 1'000'000});
  const auto started = runner.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace mdpipe::runner
