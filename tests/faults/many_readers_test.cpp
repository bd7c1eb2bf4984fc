// One writer, four readers on its mapping, two in processes of their own: every record as a model has it, for all six.
//
// MDPIPE_FAULT_RECORDS=100000000: so many records (a million otherwise). MDPIPE_TEST_SEED: another sequence.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "mdpipe/journal/reader.hpp"
#include "mdpipe/journal/writer.hpp"
#include "support/temporary_directory.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kProcesses = 2;
constexpr std::uint64_t kAheadMax = 400'000;  // records that the slowest reader may be behind: bounds the disk
constexpr std::uint64_t kTellEvery = 4096;
constexpr std::uint64_t kFailed = ~std::uint64_t{0};

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Record number i, as anybody can tell it from i alone.
struct Model {
  explicit Model(std::uint64_t number, std::uint64_t seed) : mixed((number + seed) * 0x9E37'79B9'7F4A'7C15U) {
    mixed ^= mixed >> 29U;
    trade_count = static_cast<std::uint32_t>(mixed % 6);
    payload_length = trade_count * static_cast<std::uint32_t>(kTradeTextMinBytes) +
                     static_cast<std::uint32_t>((mixed >> 8U) % 120) + sizeof mixed + 1;
  }
  std::uint64_t mixed;
  std::uint32_t trade_count;
  std::uint32_t payload_length;

  [[nodiscard]] char last_byte() const { return static_cast<char>(mixed >> 16U); }
  [[nodiscard]] std::uint64_t conditions(std::uint32_t trade) const { return mixed + trade; }
};

/// Told by each reader how far it is. In memory that processes share.
struct Progress {
  std::array<std::atomic<std::uint64_t>, kThreads + kProcesses> records;
  std::atomic<std::uint64_t> written;
  std::atomic<bool> given_up;  // one of them has failed: nothing more comes
};

/// What is wrong, or nothing; counts its records in `told`.
std::string follow(Reader& reader, std::uint64_t records, std::uint64_t seed, Progress& progress, std::size_t place) {
  std::atomic<std::uint64_t>& told = progress.records[place];
  Position last = 0;
  for (std::uint64_t number = 0; number < records;) {
    const auto record = reader.next();
    if (!record) {
      told.store(number);
      if (reader.failure()) {
        return reader.failure()->message;
      }
      if (progress.given_up.load()) {
        return {};
      }
      std::this_thread::yield();
      continue;
    }
    if (record->kind() == RecordKind::symbol) {
      last = std::max(last, record->position());
      continue;
    }
    const Model model(number, seed);
    const std::string_view payload = record->payload();
    bool as_written =
        record->kind() == RecordKind::frame && record->position() == last + (last == 0 ? make_position(1, 1) : 1) &&
        record->receive_time_ns() == static_cast<std::int64_t>(number) && payload.size() == model.payload_length &&
        payload.back() == model.last_byte() && std::memcmp(payload.data(), &model.mixed, sizeof model.mixed) == 0 &&
        record->trades().size() == model.trade_count;
    for (std::uint32_t i = 0; as_written && i < model.trade_count; ++i) {
      const Trade& trade = record->trades()[i];
      as_written = trade.conditions == model.conditions(i) && trade.position == record->position() + 1 + i;
    }
    if (!as_written) {
      const auto skips = reader.take_skips();
      return "record " + std::to_string(number) + " is not what was written" +
             (skips.empty() ? "" : ": " + to_string(skips.front()));
    }
    last = record->last_position();
    if (++number % kTellEvery == 0) {
      reader.release(last);
      told.store(number);
    }
  }
  told.store(records);
  return {};
}

/// A process of its own: opens the journal as a stranger does.
[[noreturn]] void follow_from_outside(const std::filesystem::path& directory, std::uint64_t records, std::uint64_t seed,
                                      Progress& progress, std::size_t place) {
  auto reader = Reader::open(directory);
  while (!reader && progress.written.load() < kTellEvery) {
    std::this_thread::yield();
    reader = Reader::open(directory);
  }
  if (!reader) {
    reader = Reader::open(directory);  // by now there is a journal, whatever was there when we looked last
  }
  const std::string wrong = reader ? follow(**reader, records, seed, progress, place) : reader.error().message;
  if (!wrong.empty()) {
    std::fprintf(stderr, "reader process: %s\n", wrong.c_str());
    progress.records[place].store(kFailed);
  }
  std::_Exit(wrong.empty() ? 0 : 1);
}

TEST(ManyReaders, OfThisProcessAndOfOthersSeeEveryRecordAsItWasWrittenWhileRetentionTakesWhatAllHavePassed) {
  const std::uint64_t records = number_from_environment("MDPIPE_FAULT_RECORDS", 1'000'000);
  const std::uint64_t seed = number_from_environment("MDPIPE_TEST_SEED", 1);
  RecordProperty("seed", std::to_string(seed));
  const ::mdpipe::testing::TemporaryDirectory directory;
  auto* const progress =
      new (::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Progress{};

  WriterOptions options;
  options.directory = directory.path() / "journal";
  options.segment_bytes = 8U << 20U;
  options.payload_max_bytes = 4096;
  options.symbols_max = 16;
  options.populate_ahead_bytes = 2U << 20U;
  options.keep_bytes = 4 * options.segment_bytes;
  options.sync_interval_ms = 50;

  // Before this process has threads.
  std::array<pid_t, kProcesses> processes{};
  for (std::size_t i = 0; i < kProcesses; ++i) {
    processes[i] = ::fork();
    ASSERT_GE(processes[i], 0);
    if (processes[i] == 0) {
      follow_from_outside(options.directory, records, seed, *progress, kThreads + i);
    }
  }
  auto writer = Writer::open(options);
  ASSERT_TRUE(writer) << writer.error().message;
  const auto cursor = std::move(*(*writer)->register_cursor("slowest"));
  (*writer)->symbols().add("A");

  std::array<std::string, kThreads> wrong;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i, reader = std::move(*(*writer)->reader(kBeforeEverything))] {
      wrong[i] = follow(*reader, records, seed, *progress, i);
      if (!wrong[i].empty()) {
        progress->records[i].store(kFailed);
      }
    });
  }

  // What the slowest of them has passed, and the position up to which retention may go.
  std::vector<Position> ends;  // of every kTellEvery-th record
  const auto slowest = [&] {
    std::uint64_t least = kFailed;
    for (const auto& one : progress->records) {
      least = std::min(least, one.load());
    }
    return least;
  };
  const auto failed = [&] {
    return std::any_of(progress->records.begin(), progress->records.end(),
                       [](const auto& one) { return one.load() == kFailed; });
  };
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t number = 0; number < records && !failed();) {
    while (number - slowest() > kAheadMax && !failed()) {
      std::this_thread::yield();
    }
    const FrameClaim claim = (*writer)->claim();
    if (!claim) {
      std::this_thread::yield();
      continue;
    }
    const Model model(number, seed);
    std::memset(claim.payload(), 'x', model.payload_length);
    std::memcpy(claim.payload(), &model.mixed, sizeof model.mixed);
    claim.payload()[model.payload_length - 1] = model.last_byte();
    Trade* const trades = claim.trades(model.payload_length);
    for (std::uint32_t i = 0; i < model.trade_count; ++i) {
      trades[i] = Trade{};
      trades[i].text_offset = sizeof(RecordHeader);
      trades[i].conditions = model.conditions(i);
    }
    (*writer)->commit(claim, {model.payload_length, model.trade_count, FrameKind::trades, FrameReason::none,
                              static_cast<std::int64_t>(number)});
    if (++number % kTellEvery == 0) {
      progress->written.store(number);
      ends.push_back((*writer)->figures().position.get());
      if (const std::uint64_t passed = std::min(slowest(), number) / kTellEvery; passed != 0) {
        cursor->advance(ends[passed - 1]);
      }
    }
  }
  progress->written.store(records);
  progress->given_up.store(failed());
  threads.clear();
  for (const pid_t process : processes) {
    int status = 0;
    ASSERT_EQ(::waitpid(process, &status, 0), process);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  for (const std::string& one : wrong) {
    EXPECT_EQ(one, "");
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%llu records, seed %llu, %.1f s, %llu segments begun, %llu left\n",
              static_cast<unsigned long long>(records), static_cast<unsigned long long>(seed), seconds,
              static_cast<unsigned long long>((*writer)->figures().rolls.get() + 1),
              static_cast<unsigned long long>((*writer)->figures().segments.get()));
  EXPECT_GT((*writer)->figures().rolls.get(), 10U);
  ::munmap(progress, sizeof(Progress));
}

}  // namespace
}  // namespace mdpipe::journal
