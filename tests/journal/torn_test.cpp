// What recovery cuts and what it keeps: a torn end is cut, damage with something whole behind it is not.

#include <gmock/gmock.h>

#include <algorithm>

#include "mdpipe/base/state_file.hpp"
#include "recovery.hpp"
#include "recovery_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

/// All that a reader gets, with what it skipped.
struct Read {
  std::vector<Seen> seen;
  SkipFigures skipped;
  std::vector<Skip> skips;
};
Read read(const std::filesystem::path& directory) {
  auto opened = Reader::open(directory);
  if (!opened) {
    throw std::runtime_error(opened.error().message);
  }
  const auto reader = std::move(*opened);
  Read all{read_all(*reader), {}, {}};
  EXPECT_FALSE(reader->failure());
  all.skipped = reader->skipped();
  all.skips = reader->take_skips();
  return all;
}

std::vector<std::int64_t> times_of(const std::vector<Seen>& seen) {
  std::vector<std::int64_t> times;
  for (const Seen& one : seen) {
    times.push_back(one.receive_time_ns);
  }
  return times;
}

/// 1 to `last` without [from, to].
std::vector<std::int64_t> times_without(std::int64_t last, std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> times;
  for (std::int64_t time = 1; time <= last; ++time) {
    if (time < from || time > to) {
      times.push_back(time);
    }
  }
  return times;
}

/// Flips a bit in a segment's records, by their number.
void damage(const std::filesystem::path& segment, std::initializer_list<std::size_t> numbers) {
  SegmentBytes bytes(segment);
  const auto records = bytes.records();
  for (const std::size_t number : numbers) {
    bytes.flip(records.at(number) + 40);
  }
  bytes.save();
}

std::size_t record_count(const std::filesystem::path& segment) {
  return SegmentBytes(segment).records().size();
}

TEST(Torn, AnEndThatNothingWholeFollowsIsCutAfterAPowerLoss) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 20, false);
  // No checkpoint covers it: the machine died before the sync.
  std::filesystem::remove(image.directory / "checkpoint");
  const auto segment = image.directory / segment_name(1);
  damage(segment, {record_count(segment) - 2, record_count(segment) - 1});
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_TRUE(writer->recovery().new_epoch);
  EXPECT_GT(writer->recovery().cut_bytes, 0U);
  EXPECT_EQ(writer->recovery().last_record_time_ns, 18);
  EXPECT_THAT(writer->recovery().words, HasSubstr("is cut at byte"));
  must_write_frame(*writer, {"A"}, 100);
  const auto all = read_all(image.directory);
  ASSERT_EQ(all.size(), 19U);
  EXPECT_EQ(all.back().position, make_position(2, 1));
}

TEST(Torn, BehindTheCheckpointTheFirstBadRecordEndsTheJournal) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 600, false);
  ASSERT_TRUE(save_checkpoint(image.directory, make_position(1, 3), {1, kHeaderBytes + 128}));
  const auto segment = image.directory / segment_name(2);
  damage(segment, {record_count(segment) / 2});
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_TRUE(writer->recovery().new_epoch);
  EXPECT_GT(writer->recovery().cut_bytes, 0U);
  const auto last_ns = writer->recovery().last_record_time_ns;
  EXPECT_LT(last_ns, 500);
  must_write_frame(*writer, {"A"}, 1000);
  const auto all = read_all(image.directory);
  EXPECT_EQ(static_cast<std::int64_t>(all.size()), last_ns + 1);
  EXPECT_EQ(all.back().receive_time_ns, 1000);
}

/// Nothing says what was synced: then only what nothing whole follows can be a torn end.
TEST(Torn, WithoutACheckpointOneBadRecordCostsNoSegmentBehindIt) {
  for (const bool checkpoint_damaged : {false, true}) {
    const TemporaryDirectory directory;
    auto image = make_image(directory, 600, false);
    if (checkpoint_damaged) {
      ASSERT_TRUE(save_checkpoint(image.directory, make_position(1, 3), {1, kHeaderBytes + 128}));
      SegmentBytes checkpoint(image.directory / "checkpoint");
      checkpoint.flip(20);
      checkpoint.save();
    } else {
      std::filesystem::remove(image.directory / "checkpoint");
    }
    const auto segment = image.directory / segment_name(2);
    damage(segment, {record_count(segment) / 2});
    image.boot_id = "boot-2";
    const auto writer = open_writer(image);
    EXPECT_EQ(writer->recovery().cut_bytes, 0U) << writer->recovery().words;
    EXPECT_EQ(writer->recovery().skipped_records, 1U);
    EXPECT_EQ(writer->recovery().last_record_time_ns, 600);
    EXPECT_THAT(writer->recovery().words, HasSubstr("3 positions are skipped"));
    must_write_frame(*writer, {"A"}, 601);
    const Read all = read(image.directory);
    EXPECT_EQ(all.seen.size(), 600U);
    EXPECT_EQ(all.seen.back().position, make_position(2, 1));
    EXPECT_EQ(all.skipped.positions, 3U);
  }
}

/// The rest of a segment is damaged, and others go on behind it.
TEST(Torn, WithoutACheckpointASegmentWithoutItsEndCostsNoSegmentBehindIt) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 600, false);
  std::filesystem::remove(image.directory / "checkpoint");
  SegmentBytes bytes(image.directory / segment_name(2));
  const auto records = bytes.records();
  std::memset(bytes.data() + records[records.size() / 2], 0, (64U << 10U) - records[records.size() / 2]);
  bytes.save();
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_EQ(writer->recovery().last_record_time_ns, 600) << writer->recovery().words;
  EXPECT_THAT(writer->recovery().words, HasSubstr("readers go on in the next segment"));
  const Read all = read(image.directory);
  const std::size_t lost = records.size() - records.size() / 2 - 1;
  EXPECT_EQ(all.seen.size(), 600 - lost);
  EXPECT_EQ(all.skipped.places, 1U);
  EXPECT_EQ(all.skipped.positions, 3 * lost);
}

TEST(Torn, DamageThatTheCheckpointCoversIsSkippedAndCounted) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 20, true);
  damage(image.directory / segment_name(1), {8});
  image.boot_id = "boot-2";
  const auto writer = open_writer(image);
  EXPECT_EQ(writer->recovery().skipped_records, 1U);
  EXPECT_EQ(writer->recovery().cut_bytes, 0U);
  EXPECT_EQ(writer->recovery().last_record_time_ns, 20);
  EXPECT_THAT(writer->recovery().words, HasSubstr("is damaged at byte"));
  // So do readers, in the writer's process as elsewhere; and they say it.
  auto reader = std::move(*writer->reader(kBeforeEverything));
  EXPECT_EQ(times_of(read_all(*reader)), times_without(20, 7, 7));
  const auto skips = reader->take_skips();
  ASSERT_EQ(skips.size(), 1U);
  EXPECT_EQ(skips[0].positions, 3U);
  EXPECT_THAT(to_string(skips[0]), HasSubstr("its checksum does not fit"));
}

TEST(Torn, PagesThatBecameZeroBeforeTheCheckpointAreSkipped) {
  for (const bool rebooted : {false, true}) {
    const TemporaryDirectory directory;
    auto image = make_image(directory, 60, true);
    SegmentBytes bytes(image.directory / segment_name(1));
    const auto records = bytes.records();
    std::memset(bytes.data() + records[10], 0, records[20] - records[10]);
    bytes.save();
    image.boot_id = rebooted ? "boot-2" : "boot-1";
    const auto writer = open_writer(image);
    EXPECT_EQ(writer->recovery().last_record_time_ns, 60) << writer->recovery().words;
    EXPECT_EQ(writer->recovery().skipped_records, 1U);
    must_write_frame(*writer, {"A"}, 61);
    EXPECT_EQ(times_of(read(image.directory).seen), times_without(61, 9, 18));
  }
}

TEST(Torn, AHeaderMissingInTheMiddleEndsTheJournalOnlyWhereItWasNeverSynced) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 600, true);
  ASSERT_GT(last_begun(image), 2U);
  const auto second = image.directory / segment_name(2);
  const std::size_t lost = record_count(second) - 3;  // two symbols at its head, its end
  blank_header(second);
  // The machine lives: nothing can have been lost. Or the checkpoint says that it was on the disk: that is damage.
  auto later = image;
  for (const char* const boot : {"boot-1", "boot-2"}) {
    later.boot_id = boot;
    const auto writer = open_writer(later);
    EXPECT_EQ(writer->recovery().last_record_time_ns, 600);
    EXPECT_THAT(writer->recovery().words, HasSubstr("has no header, but segments follow it"));
    EXPECT_TRUE(std::filesystem::exists(second));
  }
  EXPECT_EQ(read(image.directory).seen.size(), 600 - lost);
  // Also without one: what is behind it is whole.
  std::filesystem::remove(image.directory / "checkpoint");
  later.boot_id = "boot-3";
  EXPECT_EQ(open_writer(later)->recovery().last_record_time_ns, 600);
  // It was not on the disk.
  ASSERT_TRUE(save_checkpoint(image.directory, make_position(1, 3), {1, kHeaderBytes + 128}));
  later.boot_id = "boot-4";
  const auto writer = open_writer(later);
  EXPECT_GT(writer->recovery().cut_bytes, 0U);
  const auto left = static_cast<std::size_t>(writer->recovery().last_record_time_ns);
  EXPECT_EQ(read_all(image.directory).size(), left);
  EXPECT_GT(left, 0U);
}

TEST(Torn, SegmentsThatAreMissingSwappedOrRefusedCostNoOthers) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 900, true);
  ASSERT_GT(last_begun(image), 3U);
  std::filesystem::rename(image.directory / segment_name(2), image.directory / "aside");
  std::filesystem::rename(image.directory / segment_name(3), image.directory / segment_name(2));
  std::filesystem::rename(image.directory / "aside", image.directory / segment_name(3));
  EXPECT_THAT(open_writer(image)->recovery().words, HasSubstr("renamed or swapped"));
  EXPECT_EQ(read(image.directory).seen.back().receive_time_ns, 900);
  std::filesystem::remove(image.directory / segment_name(3));
  std::filesystem::remove(image.directory / segment_name(2));
  const auto writer = open_writer(image);
  EXPECT_THAT(writer->recovery().words, HasSubstr("is missing"));
  EXPECT_FALSE(writer->recovery().new_epoch);
  EXPECT_EQ(writer->recovery().last_record_time_ns, 900);
}

TEST(Torn, TheNewestHeaderMustBeGood) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 600, true);
  SegmentBytes bytes(image.directory / segment_name(last_begun(image)));
  bytes.flip(64);
  bytes.save();
  const auto writer = Writer::open(image);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::data);
  // Reading is another thing.
  EXPECT_GT(read(image.directory).seen.size(), 300U);
}

TEST(Torn, AnEpochIsNotUsedAgainWhereItsSegmentsAreCutOff) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 20, false);
  image.boot_id = "boot-2";
  must_write_frame(*open_writer(image), {"A"}, 21);  // of epoch 2
  ASSERT_TRUE(save_checkpoint(image.directory, make_position(1, 3), {1, kHeaderBytes + 128}));
  damage(image.directory / segment_name(1), {5});
  image.boot_id = "boot-3";
  const auto writer = open_writer(image);
  must_write_frame(*writer, {"A"}, 22);
  EXPECT_EQ(epoch_of(writer->figures().position.get()), 3);
}

/// A torn record was cut off and the next segment begun; then we were killed, before the end was written.
TEST(Torn, ACutThatWasBegunIsFinished) {
  const TemporaryDirectory directory;
  auto image = make_image(directory, 20, false);
  std::filesystem::remove(image.directory / "checkpoint");
  const auto path = image.directory / segment_name(1);
  damage(path, {record_count(path) - 2, record_count(path) - 1});
  SegmentBytes torn(path);
  image.boot_id = "boot-2";
  must_write_frame(*open_writer(image), {"A"}, 100);
  torn.save();
  const auto writer = open_writer(image);
  EXPECT_FALSE(writer->recovery().new_epoch);
  must_write_frame(*writer, {"A"}, 101);
  const auto all = read_all(image.directory);
  ASSERT_EQ(all.size(), 20U);
  EXPECT_EQ(all[17].receive_time_ns, 18);
  EXPECT_EQ(all[18].receive_time_ns, 100);
  EXPECT_EQ(all[19].receive_time_ns, 101);
}

/// The same machine, and yet the end is gone: what knows better is the checkpoint, or a cursor.
TEST(Torn, PositionsOfAnEndThatWasLostAreNotUsedAgain) {
  for (const bool by_cursor : {false, true}) {
    const TemporaryDirectory directory;
    const auto image = make_image(directory, 20, true);
    const auto segment = image.directory / segment_name(1);
    SegmentBytes bytes(segment);
    const auto records = bytes.records();
    std::memset(bytes.data() + records[12], 0, (64U << 10U) - records[12]);
    bytes.save();
    if (by_cursor) {
      std::filesystem::remove(image.directory / "checkpoint");
      ASSERT_TRUE(StateFile(image.directory / "cursors" / "store", "cursor store").save(make_position(1, 60), ""));
    }
    const auto writer = open_writer(image);
    EXPECT_TRUE(writer->recovery().new_epoch);
    EXPECT_THAT(writer->recovery().words,
                HasSubstr(by_cursor ? "the cursor store stands at 1.60" : "before what was on the disk once"));
    must_write_frame(*writer, {"A"}, 100);
    EXPECT_EQ(writer->figures().position.get(), make_position(2, 2));
    // Once: a supervisor that restarts each second would use up all epochs.
    EXPECT_EQ(epoch_of(open_writer([&] {
                         auto copy = image;
                         copy.directory = directory.path() / "again";
                         copy_live(image.directory, copy.directory);
                         return copy;
                       }())
                           ->recovery()
                           .last_position),
              2);
  }
}

/// A definition is lost, and with it the only place that says what an id means.
TEST(Torn, AnIdWhoseDefinitionIsLostIsNotGivenToAnotherSymbol) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  auto image = options;
  image.directory = directory.path() / "image";
  {
    const auto writer = open_writer(options);
    must_write_frame(*writer, {"A"}, 1);
    must_write_frame(*writer, {"B"}, 2);
    must_write_frame(*writer, {"C"}, 3);
    must_write_frame(*writer, {"B", "C"}, 4);
    ASSERT_TRUE(writer->close());
    std::filesystem::copy(options.directory, image.directory, std::filesystem::copy_options::recursive);
  }
  damage(image.directory / segment_name(1), {2});  // A, its frame, B
  const auto writer = open_writer(image);
  EXPECT_THAT(writer->recovery().words, HasSubstr("the definitions of 1 symbols are lost"));
  EXPECT_EQ(writer->symbols().find("C"), 2U);
  must_write_frame(*writer, {"B"}, 5);
  EXPECT_EQ(writer->symbols().find("B"), 3U);
  for (const bool inside : {false, true}) {
    auto reader = std::move(inside ? *writer->reader(kBeforeEverything) : *Reader::open(image.directory));
    const auto seen = read_all(*reader);
    // What is of B is not handed out by another name; what is not of B is.
    EXPECT_EQ(times_of(seen), (std::vector<std::int64_t>{1, 3, 5}));
    EXPECT_EQ(seen[1].trade_symbols, std::vector<std::string>{"C"});
    EXPECT_EQ(seen[2].trade_symbols, std::vector<std::string>{"B"});
    EXPECT_FALSE(reader->failure());
    EXPECT_EQ(reader->skipped().positions, 1U + 2U + 3U);
  }
}

TEST(Torn, ANameThatIsLostInTheLastSegmentIsFoundInAnEarlierOne) {
  const TemporaryDirectory directory;
  const auto image = make_image(directory, 600, true);
  const std::uint64_t last = last_begun(image);
  damage(image.directory / segment_name(last), {0});  // A, restated
  const auto writer = open_writer(image);
  EXPECT_EQ(writer->symbols().find("A"), 0U);
  EXPECT_EQ(writer->symbols().find("B"), 1U);
  auto reader = std::move(*writer->reader(kBeforeEverything));
  EXPECT_EQ(read_all(*reader).size(), 600U);
  EXPECT_EQ(reader->skipped().positions, 0U);
}

}  // namespace
}  // namespace mdpipe::journal
