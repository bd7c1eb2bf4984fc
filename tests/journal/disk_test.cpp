// The journal and its disk: what is synced when and by whom, a disk that fails, what a roll leaves behind.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

#include "format.hpp"
#include "journal_fixture.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/state_file.hpp"
#include "segment.hpp"
#include "segment_bytes.hpp"
#include "system_calls.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kPageBytes = 4096;

TEST(Disk, APositionIsGivenAwayOnlyOnceItsEpochIsDurable) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto us = std::this_thread::get_id();
  {
    const SyncWatch failing([&](const std::byte*, std::size_t) { return std::this_thread::get_id() == us ? EIO : 0; });
    const auto writer = Writer::open(options);
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error().code, ErrorCode::environment);
    EXPECT_THAT(writer.error().message, HasSubstr("syncing"));
  }
  // Nothing is left that a next life could take for a journal that ended.
  EXPECT_TRUE(open_writer(options)->recovery().created);
}

TEST(Disk, IsNeverWaitedForByTheWritersThread) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  std::atomic<int> ours{0};
  std::atomic<int> others{0};
  const SyncWatch watch([&, us = std::this_thread::get_id()](const std::byte*, std::size_t) {
    ++(std::this_thread::get_id() == us ? ours : others);
    return 0;
  });
  while (writer->figures().rolls.get() < 3 || others.load() == 0) {
    must_write_frame(*writer, {"A"}, 1);
  }
  EXPECT_EQ(ours.load(), 0);
}

TEST(Disk, ThatFailsIsCountedAndNothingIsCalledDurable) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  EXPECT_TRUE(comes([&] { return writer->figures().disk_free_bytes.get() > 0; }));
  {
    const SyncWatch failing([](const std::byte*, std::size_t) { return EIO; });
    must_write_frame(*writer, {"A"}, 1);
    EXPECT_TRUE(comes([&] { return writer->figures().sync_failures.get() > 2; }));
    EXPECT_EQ(writer->figures().synced_bytes.get(), 0U);
  }
  // The kernel takes what it failed to write for clean: it is made dirty, and tried again.
  EXPECT_TRUE(comes([&] { return writer->figures().synced_bytes.get() == writer->figures().bytes.get(); }));
  const SyncWatch failing([](const std::byte*, std::size_t) { return EIO; });
  must_write_frame(*writer, {"A"}, 2);
  const auto closed = writer->close();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, ErrorCode::environment);
}

TEST(Disk, ThatTakesNoCursorIsCounted) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  const auto cursor = std::move(*writer->register_cursor("store"));
  std::filesystem::create_directory(options.directory / "cursors" / "store.new");
  cursor->advance(5);
  EXPECT_TRUE(comes([&] { return writer->figures().sync_failures.get() > 0; }));
}

/// The page under the pen is dirtied again at once, and a write to a page that is being written back waits for it. So
/// it is synced only where the pen has stood in it since the round before.
TEST(Disk, IsGivenFinishedPagesAndNotTheOneUnderThePen) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.sync_interval_ms = 40;
  std::atomic<std::uint64_t> pen{0};
  std::atomic<bool> too_early{false};
  std::uint64_t end_before = 0;
  const std::byte* base = nullptr;
  const SyncWatch watch([&](const std::byte* from, std::size_t bytes) {
    base = base == nullptr ? from : base;
    const auto end = static_cast<std::uint64_t>(from - base) + bytes;
    if (end > pen.load() && end_before + kPageBytes < end) {
      too_early = true;
    }
    end_before = std::max(end_before, end);
    return 0;
  });
  pen = kHeaderBytes;
  const auto writer = open_writer(options);
  for (int burst = 0; burst < 4; ++burst) {
    for (int i = 0; i < 15; ++i) {
      constexpr std::uint64_t kRecordBytes = 768;
      pen = kHeaderBytes + writer->figures().bytes.get() + kRecordBytes;  // before it is there
      must_write_frame(*writer, {}, 1, 700);
      ASSERT_EQ(kHeaderBytes + writer->figures().bytes.get(), pen.load());
    }
    EXPECT_TRUE(comes([&] { return writer->figures().synced_bytes.get() == writer->figures().bytes.get(); }));
  }
  ASSERT_EQ(writer->figures().rolls.get(), 0U);
  EXPECT_FALSE(too_early.load());
}

TEST(Disk, IsLeftAloneWhereNothingWasWritten) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  must_write_frame(*writer, {"A"}, 1);
  ASSERT_TRUE(comes([&] { return writer->figures().synced_bytes.get() == writer->figures().bytes.get(); }));
  // Each save of the checkpoint makes a new file of it. Two rounds for the last one to be in place.
  std::atomic<int> rounds{0};
  const SyncWatch watch([&](const std::byte*, std::size_t) {
    ++rounds;
    return 0;
  });
  const auto after_rounds = [&](int more) {
    const int until = rounds.load() + more;
    EXPECT_TRUE(comes([&] { return rounds.load() >= until; }));
    struct stat status {};
    EXPECT_EQ(::stat((options.directory / "checkpoint").c_str(), &status), 0);
    return std::pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  };
  const auto before = after_rounds(3);
  EXPECT_EQ(after_rounds(5), before);
}

/// Where the end of a segment falls on a page's beginning, the roll record has that page to itself. The writer is held
/// up there (its page is not writable for the moment) while the helper syncs the segment.
struct RollTrap {
  static inline std::byte* page = nullptr;
  static inline std::atomic<bool> armed{false};
  static inline std::atomic<bool> helper_syncs{false};
  static inline std::atomic<bool> rolled{false};

  static void on_fault(int /*signal*/) {
    for (int i = 0; i < 2000 && !helper_syncs.load(); ++i) {
      ::usleep(1000);
    }
    ::mprotect(page, kPageBytes, PROT_READ | PROT_WRITE);
  }
};

TEST(Disk, IsNotGivenBackThePageInWhichASegmentEnds) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.payload_max_bytes = 900;
  options.populate_ahead_bytes = static_cast<std::uint32_t>(options.segment_bytes);  // at once: not while we trap
  std::byte* base = nullptr;
  const SyncWatch watch([&](const std::byte* from, std::size_t) {
    if (base == nullptr) {
      base = const_cast<std::byte*>(from);  // the head of the first segment
      return 0;
    }
    if (!RollTrap::armed.load()) {
      return EIO;  // so that there is something left to sync
    }
    if (from == base) {
      RollTrap::helper_syncs = true;
      for (int i = 0; i < 2000 && !RollTrap::rolled.load(); ++i) {
        ::usleep(1000);
      }
    }
    return 0;
  });
  const auto writer = open_writer(options);
  const auto pen = [&] { return kHeaderBytes + writer->figures().bytes.get(); };
  constexpr std::uint64_t kEnd = 14 * kPageBytes;
  while (pen() < kEnd - 640) {
    must_write_frame(*writer, {}, 1);
  }
  must_write_frame(*writer, {}, 1, 640 - sizeof(RecordHeader));
  ASSERT_EQ(pen(), kEnd);

  RollTrap::page = base + kEnd;
  struct sigaction before {};
  struct sigaction trap {};
  trap.sa_handler = RollTrap::on_fault;
  ASSERT_EQ(::sigaction(SIGSEGV, &trap, &before), 0);
  ASSERT_EQ(::mprotect(RollTrap::page, kPageBytes, PROT_READ), 0);
  RollTrap::armed = true;
  must_write_frame(*writer, {}, 2);
  RollTrap::rolled = true;
  ::sigaction(SIGSEGV, &before, nullptr);

  ASSERT_EQ(writer->figures().rolls.get(), 1U);
  ASSERT_TRUE(RollTrap::helper_syncs.load());
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(read_all(options.directory).back().receive_time_ns, 2);
}

TEST(Disk, HoldsThePagesAheadOfThePenBeforeItComes) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.segment_bytes = 1U << 20U;
  std::atomic<const std::byte*> base{nullptr};
  const SyncWatch watch([&](const std::byte* from, std::size_t) {
    const std::byte* none = nullptr;
    base.compare_exchange_strong(none, from);  // the head of the first segment
    return 0;
  });
  const auto writer = open_writer(options);
  // What the kernel says of the writer's own mapping: an 8-byte word a page, its top bit set where the page is there.
  const auto pagemap = std::move(*open_file("/proc/self/pagemap", O_RDONLY));
  const auto resident_until = [&] {
    std::vector<std::uint64_t> pages(options.segment_bytes / kPageBytes);
    const auto first = reinterpret_cast<std::uintptr_t>(base.load()) / kPageBytes;
    const std::size_t bytes = pages.size() * sizeof(std::uint64_t);
    EXPECT_EQ(::pread(pagemap.get(), pages.data(), bytes, static_cast<off_t>(first * sizeof(std::uint64_t))),
              static_cast<ssize_t>(bytes));
    const auto absent = std::find_if(pages.begin(), pages.end(), [](std::uint64_t page) { return page >> 63U == 0; });
    return static_cast<std::uint64_t>(absent - pages.begin()) * kPageBytes;
  };
  for (int i = 0; i < 40; ++i) {
    for (int frame = 0; frame < 10; ++frame) {
      must_write_frame(*writer, {}, 1, 1000);
    }
    const std::uint64_t pen = kHeaderBytes + writer->figures().bytes.get();
    ASSERT_TRUE(comes([&] { return resident_until() >= pen + options.populate_ahead_bytes / 2; }));
    // A window, not all of it: pages populated long before are cleaned by writeback and fault again.
    EXPECT_LE(resident_until(), pen + options.populate_ahead_bytes + kPageBytes);
  }
}

TEST(Disk, ThatCannotCarryAJournalIsRefusedUnlessForced) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  const FileSystemMagic nfs(0x6969);
  const auto writer = Writer::open(options);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::environment);
  EXPECT_THAT(writer.error().message, HasSubstr("nfs (network)"));
  options.force_filesystem = true;
  EXPECT_TRUE(Writer::open(options));
}

TEST(Disk, OnWhichSomebodyRemovedASegmentStillIsRidOfTheOthers) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    while (writer->figures().rolls.get() < 4) {
      must_write_frame(*writer, {"A"}, 1);
    }
  }
  options.keep_bytes = 1;
  const auto writer = [&] {
    const auto snapshot = StateFile(options.directory / "cursors" / "one", "cursor one").save(1, {});
    EXPECT_TRUE(snapshot);
    return open_writer(options);
  }();
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 6; }));
  std::filesystem::remove(options.directory / segment_name(1));
  std::filesystem::remove(options.directory / "cursors" / "one");
  EXPECT_TRUE(comes([&] { return writer->figures().segments.get() == 1; }));
}

}  // namespace
}  // namespace mdpipe::journal
