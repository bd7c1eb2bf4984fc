// Threads and processes: readers beside the writer, retention, cursors, a full disk.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

#include "format.hpp"
#include "helper.hpp"
#include "journal_fixture.hpp"
#include "mdpipe/base/state_file.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kFrames = 20'000;

/// Reads frames 1, 2, … until the last; false at the first that is another.
bool follow(Reader& reader, std::int64_t last, std::int64_t release_every) {
  for (std::int64_t expected = 1; expected <= last;) {
    const auto record = reader.next();
    if (!record) {
      if (reader.failure()) {
        return false;
      }
      std::this_thread::yield();
      continue;
    }
    if (record->kind() == RecordKind::symbol) {
      continue;
    }
    if (record->receive_time_ns() != expected ||
        record->text(record->trades().front()) != reader.symbols().text(record->trades().front().symbol_id)) {
      return false;
    }
    if (expected % release_every == 0) {
      reader.release(reader.position());
    }
    ++expected;
  }
  return true;
}

std::int64_t mapped_segments(const std::filesystem::path& directory) {
  std::ifstream maps("/proc/self/maps");
  std::int64_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(directory.string()) != std::string::npos && line.find(".segment") != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST(Live, ReadersOnOtherThreadsFollowAtTheirOwnPace) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (const std::int64_t release_every : {1, 100, 1'000'000}) {
    threads.emplace_back([&good, release_every, reader = std::move(*writer->reader(kBeforeEverything))] {
      good += follow(*reader, kFrames, release_every) ? 1 : 0;
    });
  }
  for (std::int64_t i = 1; i <= kFrames; ++i) {
    must_write_frame(*writer, {"S" + std::to_string(i % 50)}, i);
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good.load(), 3);
}

TEST(Live, AReaderInAnotherProcessFollows) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (;;) {
      auto reader = Reader::open(options.directory);
      if (reader) {
        ::_exit(follow(**reader, kFrames, 10) ? 0 : 1);
      }
      if (reader.error().code != ErrorCode::environment) {
        ::_exit(2);
      }
      ::usleep(100);
    }
  }
  const auto writer = open_writer(options);
  for (std::int64_t i = 1; i <= kFrames; ++i) {
    must_write_frame(*writer, {"S" + std::to_string(i % 50)}, i);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Live, SegmentsAreUnmappedOnceEveryReaderLetThemGo) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  auto reader = std::move(*writer->reader(kBeforeEverything));
  while (writer->figures().rolls.get() < 10) {
    must_write_frame(*writer, {"A"}, 1);
  }
  const auto all = read_all(*reader);
  EXPECT_GE(mapped_segments(options.directory), 11);
  reader->release(all[all.size() / 2].position);
  EXPECT_TRUE(comes([&] { return mapped_segments(options.directory) < 9; }));
  EXPECT_GT(mapped_segments(options.directory), 4);
  reader->release(reader->position());
  EXPECT_TRUE(comes([&] { return mapped_segments(options.directory) <= 2; }));
}

TEST(Live, ReadersOfAWriterThatIsGoneStillHaveTheirMemory) {
  const TemporaryDirectory directory;
  auto writer = open_writer(tiny_options(directory.path()));
  auto reader = std::move(*writer->reader(kBeforeEverything));
  must_write_frame(*writer, {"A"}, 5);
  writer.reset();
  EXPECT_EQ(read_all(*reader).size(), 1U);
}

TEST(Retention, NeverTakesWhatARegisteredCursorHasNotPassed) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 1;
  const auto writer = open_writer(options);
  auto cursor = std::move(*writer->register_cursor("publish-one"));
  EXPECT_EQ(cursor->saved(), 0U);
  std::vector<Position> ends;
  while (writer->figures().rolls.get() < 8) {
    must_write_frame(*writer, {"A"}, 1);
    ends.push_back(writer->figures().position.get());
  }
  // The helper has had its chance: it has counted all of them.
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() >= 9; }));
  EXPECT_EQ(read_all(options.directory).size(), ends.size());
  const Position half = ends[ends.size() / 2];
  cursor->advance(half);
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() < 7; }));
  const auto rest = Reader::open(options.directory, half);
  ASSERT_TRUE(rest) << rest.error().message;
  EXPECT_EQ(read_all(**rest).size(), ends.size() - ends.size() / 2 - 1);
  // What is gone is refused, not skipped.
  const auto gone = Reader::open(options.directory, ends.front());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::data);
  EXPECT_THAT(gone.error().message, HasSubstr("removed by retention"));
  EXPECT_FALSE(writer->reader(ends.front()));
  EXPECT_TRUE(writer->reader(kBeforeEverything));
}

TEST(Retention, HeedsTheCursorsOfThoseWhoAreNotRunning) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 1;
  const auto snapshot = options.directory / "cursors" / "aggregate";
  {
    const auto writer = open_writer(options);
    must_write_frame(*writer, {"A"}, 1);
    ASSERT_TRUE(StateFile(snapshot, "aggregate snapshot").save(writer->figures().position.get(), "sums"));
  }
  const auto writer = open_writer(options);
  while (writer->figures().rolls.get() < 4) {
    must_write_frame(*writer, {"A"}, 2);
  }
  // The first life's segment lies before it and goes; the second life's first does not.
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 5; }));
  EXPECT_FALSE(std::filesystem::exists(options.directory / segment_name(1)));
  // Unreadable: nobody knows what it needs.
  std::ofstream(snapshot, std::ios::trunc) << "nonsense";
  while (writer->figures().rolls.get() < 6) {
    must_write_frame(*writer, {"A"}, 2);
  }
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 7; }));
  std::filesystem::remove(snapshot);
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 1; }));
}

TEST(Retention, KeepsWhatIsNeitherTooMuchNorTooOld) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    while (writer->figures().rolls.get() < 4) {
      must_write_frame(*writer, {"A"}, 1);
    }
    EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 5; }));
  }
  options.keep_age_s = -1;  // everything that has ended is too old
  const auto writer = open_writer(options);
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 1; }));
}

TEST(Cursor, IsDurableAndHasOneOwner) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    auto cursor = std::move(*writer->register_cursor("store"));
    const auto again = writer->register_cursor("store");
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::usage);
    cursor->advance(77);
    cursor.reset();
    EXPECT_EQ((*writer->register_cursor("store"))->saved(), 77U);
    EXPECT_FALSE(writer->register_cursor("../store"));
    EXPECT_FALSE(writer->register_cursor(""));
    EXPECT_FALSE(writer->register_cursor(".hidden"));
    EXPECT_TRUE(writer->close());
  }
  const auto writer = open_writer(options);
  EXPECT_EQ((*writer->register_cursor("store"))->saved(), 77U);
}

TEST(FullDisk, IsAnErrorWhereTheJournalIsOpened) {
  const TemporaryDirectory directory;
  const FileSizeLimit limit(32U << 10U);
  const auto writer = Writer::open(tiny_options(directory.path()));
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::environment);
  EXPECT_THAT(writer.error().message, HasSubstr("allocating"));
}

TEST(FullDisk, HoldsTheFeedBackUntilThereIsRoomAgain) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  std::int64_t written = 0;
  {
    const FileSizeLimit limit(32U << 10U);
    // One segment may have been prepared before the limit; then claims are refused.
    EXPECT_TRUE(comes([&] {
      while (write_frame(*writer, {"A"}, written + 1)) {
        ++written;
      }
      return writer->figures().allocation_failures.get() > 1;
    }));
    EXPECT_GT(writer->figures().full_claims.get(), 0U);
    EXPECT_FALSE(writer->append_session(SessionKind::stale, {}, "no room", 1));
  }
  EXPECT_TRUE(comes([&] { return write_frame(*writer, {"A"}, written + 1); }));
  const auto all = read_all(options.directory);
  ASSERT_EQ(static_cast<std::int64_t>(all.size()), written + 1);
  EXPECT_EQ(all.back().receive_time_ns, written + 1);
}

TEST(Populate, ChangesNoByteByEitherWay) {
  for (const bool advise : {true, false}) {
    const TemporaryDirectory directory;
    const auto segment = std::move(*Segment::create(directory.path(), 1, 64U << 10U));
    std::memset(segment->base() + 5000, 0x7E, 10'000);
    populate_pages(segment->base(), 100, 60'000, advise);
    EXPECT_EQ(segment->base()[4999], std::byte{0});
    EXPECT_TRUE(std::all_of(segment->base() + 5000, segment->base() + 15'000,
                            [](std::byte byte) { return byte == std::byte{0x7E}; }));
    EXPECT_EQ(segment->base()[15'000], std::byte{0});
  }
}

}  // namespace
}  // namespace mdpipe::journal
