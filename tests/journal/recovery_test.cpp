// What a writer finds after a kill, a power loss, damage. A crash is a copy of the folder while the writer lives: what
// the page cache would hold.

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>

#include "recovery_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

TEST(Recovery, AKilledWriterLosesNothingCommitted) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  auto* const committed = static_cast<std::atomic<std::int64_t>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(committed, MAP_FAILED);
  std::mt19937 random(1);
  for (int kill = 0; kill < 30; ++kill) {
    const std::int64_t before = committed->load();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto writer = Writer::open(options);
      if (!writer || (*writer)->recovery().last_record_time_ns < before || (*writer)->recovery().new_epoch) {
        ::_exit(1);
      }
      for (std::int64_t i = (*writer)->recovery().last_record_time_ns + 1;; ++i) {
        must_write_frame(**writer, {"A", "S" + std::to_string(i % 50)}, i, static_cast<std::size_t>(i) % 200);
        committed->store(i);
      }
    }
    // Let it get to writing, then to any instant of it.
    while (committed->load() == before && ::waitpid(child, nullptr, WNOHANG) == 0) {
      ::usleep(100);
    }
    ::usleep(static_cast<useconds_t>(random() % 3000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_GT(committed->load(), before) << "the child could not open the journal after kill " << kill;
  }
  const auto all = read_all(options.directory);
  ASSERT_GE(static_cast<std::int64_t>(all.size()), committed->load());
  Position last = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].receive_time_ns, static_cast<std::int64_t>(i) + 1);
    ASSERT_GT(all[i].position, last);
    last = all[i].trade_positions.back();
  }
  ::munmap(committed, 4096);
}

TEST(Recovery, OldBytesOfAClaimGivenUpAreNotTakenForARecord) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  auto image = options;
  image.directory = directory.path() / "image";
  const auto writer = open_writer(options);
  const FrameClaim claim = writer->claim();
  std::memset(claim.payload(), 0, claim.payload_capacity());
  // Where the next record will stand: a length, plausible to the last bit.
  const std::uint32_t length = 64;
  std::memcpy(claim.payload() + kRecordAlignment - sizeof(RecordHeader), &length, sizeof length);
  writer->commit(writer->claim(), {4, 0, FrameKind::ping, FrameReason::none, 9});
  EXPECT_EQ(read_all(options.directory).size(), 1U);
  copy_live(options.directory, image.directory);
  const auto again = open_writer(image);
  EXPECT_EQ(again->recovery().last_position, make_position(1, 1));
  EXPECT_FALSE(again->recovery().new_epoch);
}

TEST(Recovery, ANewBootBeginsANewEpochAndKeepsWhatIsWhole) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 500, false);
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_TRUE(writer->recovery().new_epoch);
  EXPECT_EQ(writer->recovery().cut_bytes, 0U);
  EXPECT_EQ(writer->recovery().last_record_time_ns, 500);
  must_write_frame(*writer, {"C"}, 501);
  const auto all = read_all(image.directory);
  ASSERT_EQ(all.size(), 501U);
  EXPECT_EQ(all.back().position, make_position(2, 2));
}

TEST(Recovery, TheLastEpochIsRefusedAnother) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 0, true);
  SegmentBytes bytes(image.directory / segment_name(1));
  bytes.header().epoch = kLastEpoch;
  bytes.save_with_header();
  EXPECT_TRUE(Writer::open(image));  // the same life of the machine needs no new one
  image.boot_id = "boot-2";
  const auto writer = Writer::open(image);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::data);
  EXPECT_THAT(writer.error().message, HasSubstr("used up its epochs"));
}

TEST(Recovery, TheRestOfASegmentIsGivenBackToTheDisk) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 5, false);
  const auto writer = open_writer(image);
  struct stat status {};
  ASSERT_EQ(::stat((image.directory / segment_name(1)).c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 64 << 10);
  EXPECT_LE(status.st_blocks * 512, 16 << 10);
}

TEST(Recovery, ASegmentWhoseHeaderDidNotReachTheDiskIsCutOffWithThePreparedOneBehindIt) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 600, false);
  const auto model = read_all(image.directory);
  std::filesystem::remove(image.directory / "checkpoint");
  const std::uint64_t last = last_begun(image);
  ASSERT_GT(last, 2U);
  prepare_segment(image, last + 1);
  // A second name tells it from the one of the same name that the writer's helper prepares soon after.
  std::filesystem::create_hard_link(image.directory / segment_name(last + 1), directory.path() / "prepared");
  blank_header(image.directory / segment_name(last));
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_TRUE(writer->recovery().new_epoch);
  EXPECT_THAT(writer->recovery().words, HasSubstr("is lost"));
  EXPECT_EQ(std::filesystem::hard_link_count(directory.path() / "prepared"), 1U);
  const auto left = static_cast<std::size_t>(writer->recovery().last_record_time_ns);
  must_write_frame(*writer, {"A"}, 1000);
  const auto all = read_all(image.directory);
  ASSERT_EQ(all.size(), left + 1);
  EXPECT_TRUE(std::equal(all.begin(), all.end() - 1, model.begin()));
  EXPECT_EQ(epoch_of(all.back().position), 2);
}

TEST(Recovery, PositionsOfASegmentThatSomebodyRemovedAreNotUsedAgain) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 600, true);
  const std::uint64_t last = last_begun(image);
  for (const std::uint64_t index : {last, last + 1}) {
    std::filesystem::remove(image.directory / segment_name(index));
  }
  const auto writer = open_writer(image);
  EXPECT_TRUE(writer->recovery().new_epoch);
  EXPECT_THAT(writer->recovery().words, HasSubstr("the segment behind"));
}

/// Killed between beginning a segment and ending the one before it, then again before the next life got on its feet.
TEST(Recovery, SegmentsThatHaveANextOneAreEndedBeforeAnotherIsBegun) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 600, true);
  const std::uint64_t last = last_begun(image);
  SegmentBytes bytes(image.directory / segment_name(last - 1));
  const std::size_t end = bytes.records().back();
  std::memset(bytes.data() + end, 0, kRollBytes);
  bytes.save();
  {
    const FileSizeLimit no_room_to_begin_another(32U << 10U);
    EXPECT_FALSE(Writer::open(image));
  }
  EXPECT_EQ(SegmentBytes(image.directory / segment_name(last - 1)).records().back(), end);
}

struct HeaderDamage {
  const char* words;
  void (*damage)(SegmentHeader&);
};

TEST(Recovery, AForeignOrDamagedHeaderIsRefusedInWords) {
  const HeaderDamage damages[] = {
      {"does not begin as", [](SegmentHeader& header) { header.magic ^= 1; }},
      {"another byte order", [](SegmentHeader& header) { header.byte_order = 0x0403'0201; }},
      {"format version 2; this program reads version 1", [](SegmentHeader& header) { header.version = 2; }},
      {"records of 32 + 128 bytes", [](SegmentHeader& header) { header.trade_bytes = 128; }},
      {"its header says 4096 bytes", [](SegmentHeader& header) { header.segment_bytes = 4096; }},
      {"its header says segment 7", [](SegmentHeader& header) { header.index = 7; }},
      {"a zero where none can be", [](SegmentHeader& header) { header.journal_id = 0; }},
  };
  for (const HeaderDamage& damage : damages) {
    const TemporaryDirectory directory;
    const auto image = make_image(directory, 5, true);
    SegmentBytes bytes(image.directory / segment_name(1));
    damage.damage(bytes.header());
    bytes.save_with_header();
    const auto writer = Writer::open(image);
    ASSERT_FALSE(writer) << damage.words;
    EXPECT_EQ(writer.error().code, ErrorCode::data);
    EXPECT_THAT(writer.error().message, HasSubstr(damage.words));
    const auto reader = Reader::open(image.directory);
    ASSERT_FALSE(reader) << damage.words;
    EXPECT_EQ(reader.error().code, ErrorCode::data);
    EXPECT_THAT(reader.error().message, HasSubstr(damage.words));
  }
}

TEST(Recovery, AnyFlippedBitOfAHeaderIsRefused) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 5, true);
  const auto path = image.directory / segment_name(1);
  const SegmentBytes whole(path);
  for (std::size_t bit = 0; bit < 8 * (offsetof(SegmentHeader, crc32c) + 4); bit += 3) {
    SegmentBytes bytes = whole;
    bytes.flip(bit / 8, static_cast<unsigned char>(1U << (bit % 8)));
    bytes.save();
    EXPECT_FALSE(Reader::open(image.directory)) << "bit " << bit;
  }
}

}  // namespace
}  // namespace mdpipe::journal
