// What is on the disk when the journal says that it is.

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "format.hpp"
#include "journal_fixture.hpp"

namespace {

std::vector<std::string> synced_names;  // written where a journal is opened, before it has a thread
std::atomic<bool> disk_is_broken{false};

}  // namespace

// In the C library's place.
extern "C" int fdatasync(int descriptor) {
  if (disk_is_broken.load()) {
    errno = EIO;
    return -1;
  }
  std::error_code ignored;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored);
  synced_names.push_back(path.filename().string());
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}

namespace mdpipe::journal {
namespace {

/// The folder as a kill leaves it: three segments, the last without its end.
WriterOptions make_killed(const TemporaryDirectory& directory) {
  auto options = tiny_options(directory.path());
  auto killed = options;
  killed.directory = directory.path() / "killed";
  const auto writer = open_writer(options);
  while (writer->figures().rolls.get() < 2) {
    must_write_frame(*writer, {"A"}, 1);
  }
  copy_live(options.directory, killed.directory);
  return killed;
}

TEST(Sync, WhatAnEarlierLifeLeftIsOnTheDiskBeforeACheckpointOfThisOne) {
  const TemporaryDirectory directory;
  const auto options = make_killed(directory);
  synced_names.clear();
  const auto writer = open_writer(options);
  // The rolls that recovery wrote too: nothing is written to these files after it.
  EXPECT_EQ(synced_names, (std::vector{segment_name(1), segment_name(2), segment_name(3)}));
}

TEST(Sync, ADiskThatDoesNotTakeItIsAnErrorWhereTheJournalIsOpened) {
  const TemporaryDirectory directory;
  const auto options = make_killed(directory);
  disk_is_broken = true;
  const auto writer = Writer::open(options);
  disk_is_broken = false;
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::environment);
  EXPECT_NE(writer.error().message.find(segment_name(1)), std::string::npos) << writer.error().message;
}

TEST(Retention, KeepsASegmentUntilTheHeadOfTheNextIsOnTheDisk) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 1;
  options.sync_interval_ms = 3'600'000;  // after the first round at the start, none
  const auto writer = open_writer(options);
  for (int i = 0; i < 20'000 && !std::filesystem::exists(options.directory / "checkpoint"); ++i) {
    ::usleep(1000);
  }
  while (writer->figures().rolls.get() < 4) {
    must_write_frame(*writer, {"A"}, 1);
  }
  // No cursor holds it back, and the helper has counted all of them.
  for (int i = 0; i < 20'000 && writer->figures().segments.get() != 5; ++i) {
    ::usleep(1000);
  }
  EXPECT_EQ(writer->figures().segments.get(), 5U);
  EXPECT_TRUE(std::filesystem::exists(options.directory / segment_name(1)));
}

}  // namespace
}  // namespace mdpipe::journal
