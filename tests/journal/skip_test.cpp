// Readers before damage: what is good behind it is read, what is lost is counted, nothing wrong is handed out.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <random>

#include "mdpipe/journal/maintenance.hpp"
#include "segment_bytes.hpp"
#include "system_calls.hpp"
#include "verify_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

struct Read {
  std::map<Position, Seen> records;
  std::uint64_t positions = 0;  // of all records, also those that define symbols
  SkipFigures skipped;
  std::vector<Skip> skips;

  [[nodiscard]] std::string words() const {
    std::string all;
    for (const Skip& skip : skips) {
      all += to_string(skip) + "\n";
    }
    return all;
  }
};

Read read(Reader& reader) {
  Read all;
  Position last = 0;
  while (const auto record = reader.next()) {
    EXPECT_GT(record->position(), last);
    last = record->last_position();
    all.positions += 1 + record->trades().size();
    all.records.emplace(record->position(), copy_of(*record, reader.symbols()));
    reader.release(last);
  }
  EXPECT_FALSE(reader.failure()) << reader.failure()->message;
  all.skipped = reader.skipped();
  all.skips = reader.take_skips();
  return all;
}

Read read(const std::filesystem::path& directory, Position after = kBeforeEverything) {
  auto reader = Reader::open(directory, after);
  EXPECT_TRUE(reader) << reader.error().message;
  return reader ? read(**reader) : Read{};
}

/// Nothing but what was written; and what is read and what is said to be lost is everything.
void expect_all_accounted_for(const Read& all, const std::map<Position, Seen>& model, Position last) {
  for (const auto& [position, seen] : all.records) {
    const auto wanted = model.find(position);
    ASSERT_NE(wanted, model.end()) << position_text(position);
    EXPECT_EQ(seen, wanted->second);
  }
  EXPECT_EQ(all.positions + all.skipped.positions, sequence_of(last)) << all.words();
}

Position last_of(const std::map<Position, Seen>& model) {
  return model.rbegin()->first + model.rbegin()->second.trade_texts.size();
}

TEST(Skip, ADamagedRecordCostsItselfAndNothingElse) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  const auto indices = begun_segments(journal);
  constexpr unsigned kSeed = 30;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 300; ++round) {
    // Not of the newest: behind it nobody tells the symbols again.
    const SegmentBytes whole(journal / segment_name(indices[random() % (indices.size() - 1)]));
    SegmentBytes bytes = whole;
    const auto records = bytes.records();
    const std::size_t at = records[random() % records.size()];
    const RecordView record(bytes.data() + at);
    const std::uint64_t costs =
        record.position() == 0 || record.kind() == RecordKind::roll ? 0 : 1 + record.trades().size();
    const bool roll = record.kind() == RecordKind::roll;
    const std::uint32_t length = record.header().length;
    bytes.flip(at + random() % length, static_cast<unsigned char>(1U << (random() % 8)));
    bytes.save();
    const Read all = read(journal);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round) + "\n" + all.words());
    // Where only the end is damaged, all of the segment was read.
    ASSERT_EQ(all.skips.size(), roll ? 0U : 1U);
    if (!roll) {
      EXPECT_EQ(all.skips[0].file, journal / segment_name(bytes.header().index));
      EXPECT_EQ(all.skips[0].offset, at);
      EXPECT_EQ(all.skips[0].bytes, length);
    }
    EXPECT_EQ(all.skipped.positions, costs);
    expect_all_accounted_for(all, model, last_of(model));
    SegmentBytes(whole).save();
  }
}

TEST(Skip, WhateverIsDamagedNothingWrongIsReadAndAllThatIsLostIsCounted) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  const auto indices = begun_segments(journal);
  constexpr unsigned kSeed = 31;
  std::mt19937 random(kSeed);
  std::uint64_t lost = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<SegmentBytes> before;
    for (auto left = 1 + random() % 2; left != 0; --left) {
      const auto path = journal / segment_name(indices[random() % (indices.size() - 1)]);
      SegmentBytes bytes(path);
      before.emplace_back(path);
      for (auto damages = 1 + random() % 4; damages != 0; --damages) {
        const std::size_t at = random() % (64U << 10U);
        switch (random() % 4) {
          case 0:  // a page, or some
            std::memset(bytes.data() + at / 4096 * 4096, 0,
                        std::min((64U << 10U) - at / 4096 * 4096, 4096 * (1 + random() % 3)));
            break;
          case 1:  // a page that is another one's
            std::memcpy(bytes.data() + at / 4096 * 4096, bytes.data() + random() % 16 * 4096, 4096);
            break;
          default:
            bytes.flip(at, static_cast<unsigned char>(1U << (random() % 8)));
        }
      }
      bytes.save();
    }
    const Read all = read(journal);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round) + "\n" + all.words());
    expect_all_accounted_for(all, model, last_of(model));
    lost += all.skipped.positions;
    for (auto one = before.rbegin(); one != before.rend(); ++one) {
      one->save();
    }
    if (HasFailure()) {
      return;
    }
  }
  EXPECT_GT(lost, 1000U);
}

TEST(Skip, ASegmentMissingOrRefusedCostsItselfAndNothingElse) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 900);
  const auto model = model_of(journal);
  const auto indices = begun_segments(journal);
  ASSERT_GE(indices.size(), 4U);
  const auto aside = directory.path() / "aside";
  for (std::size_t which = 1; which + 1 < indices.size(); ++which) {
    const auto path = journal / segment_name(indices[which]);
    const SegmentBytes whole(path);
    const Position first = SegmentBytes(path).header().previous_position;
    const Position last = SegmentBytes(journal / segment_name(indices[which + 1])).header().previous_position;
    for (const char* const how : {"missing", "the checksum of its header", "no header", "no regular file"}) {
      SegmentBytes bytes = whole;
      std::filesystem::remove(path);
      if (std::string_view(how) == "no regular file") {
        std::filesystem::create_directory(path);
      } else if (std::string_view(how) != "missing") {
        bytes.flip(*how == 'n' ? 0 : 70);
        if (*how == 'n') {
          bytes.header().magic = 0;
        }
        bytes.save();
      }
      const Read all = read(journal);
      ASSERT_EQ(all.skips.size(), 1U) << all.words();
      EXPECT_EQ(all.skips[0].file, path);
      EXPECT_THAT(all.skips[0].reason, HasSubstr(*how == 'n' && how[3] == 'r' ? "" : how));
      EXPECT_EQ(all.skipped.positions, last - first);
      expect_all_accounted_for(all, model, last_of(model));
      // Whoever was beyond it loses nothing, whoever stood in it what he had yet to read.
      EXPECT_EQ(read(journal, last).skipped.positions, 0U);
      EXPECT_EQ(read(journal, last - 5).skipped.positions, 5U);
      std::filesystem::remove(path);
      SegmentBytes(whole).save();
    }
  }
  // Two, one by one, and the ends of the rest.
  for (const std::size_t which : {1U, 2U}) {
    std::filesystem::remove(journal / segment_name(indices[which]));
  }
  const Read all = read(journal);
  EXPECT_EQ(all.skips.size(), 1U);
  EXPECT_THAT(all.words(), HasSubstr("it is missing; 1 more behind it neither"));
  expect_all_accounted_for(all, model, last_of(model));
}

TEST(Skip, TheOldestSegmentMayBeTheRefusedOne) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  SegmentBytes bytes(journal / segment_name(1));
  const Position last = SegmentBytes(journal / segment_name(2)).header().previous_position;
  bytes.flip(70);
  bytes.save();
  const Read all = read(journal);
  EXPECT_THAT(all.words(), HasSubstr(segment_name(1) + " is damaged at byte 0: the checksum of its header"));
  EXPECT_EQ(all.skipped.positions, sequence_of(last));
  expect_all_accounted_for(all, model, last_of(model));
  EXPECT_EQ(read(journal, last - 7).skipped.positions, 7U);
  // It is gone altogether: that may be retention's work, which is never passed over.
  std::filesystem::remove(journal / segment_name(1));
  const auto reader = Reader::open(journal, last - 7);
  ASSERT_FALSE(reader);
  EXPECT_THAT(reader.error().message, HasSubstr("was removed by retention"));
}

TEST(Skip, WhatRetentionTookFromUnderAReaderIsNotPassedOver) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  auto reader = std::move(*Reader::open(journal));
  ASSERT_TRUE(reader->next());
  for (const std::uint64_t index : {1U, 2U}) {
    std::filesystem::remove(journal / segment_name(index));
  }
  while (reader->next()) {
  }
  ASSERT_TRUE(reader->failure());
  EXPECT_EQ(reader->failure()->code, ErrorCode::data);
  EXPECT_THAT(reader->failure()->message, HasSubstr("removed by retention"));
  EXPECT_EQ(reader->skipped().places, 0U);
}

TEST(Skip, WhatRetentionTookWhileAReaderLookedForItIsNotPassedOver) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  auto reader = std::move(*Reader::open(journal));
  ASSERT_TRUE(reader->next());
  {
    const ListWatch watch([&](ListWatch::When when) {
      if (when == ListWatch::When::after) {
        for (const std::uint64_t index : {1U, 2U}) {
          std::filesystem::remove(journal / segment_name(index));
        }
      }
    });
    while (reader->next()) {
    }
  }
  ASSERT_TRUE(reader->failure());
  EXPECT_EQ(reader->failure()->code, ErrorCode::data);
  EXPECT_THAT(reader->failure()->message, HasSubstr("removed by retention"));
  EXPECT_EQ(reader->skipped().places, 0U);
}

TEST(Skip, AReaderThatHasTheOnlySegmentRetentionTookReadsItAndGoesOn) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  int number = 1;
  write_something(*writer, number);
  const auto reader = std::move(*Reader::open(options.directory));
  Position last = 0;
  const auto read_all = [&] {
    while (const auto record = reader->next()) {
      ASSERT_EQ(record->position(), last == 0 ? make_position(1, 1) : last + 1);
      last = record->last_position();
    }
  };
  {
    const ListWatch watch([&](ListWatch::When when) {
      while (when == ListWatch::When::before && writer->figures().rolls.get() == 0) {
        write_something(*writer, ++number);
      }
      std::filesystem::remove(options.directory / segment_name(1));
    });
    read_all();
  }
  ASSERT_EQ(writer->figures().rolls.get(), 1U);
  read_all();
  EXPECT_FALSE(reader->failure()) << reader->failure()->message;
  EXPECT_EQ(reader->skipped().places, 0U);
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(last, list_journal(options.directory)->back().last_position);
}

/// The writer was killed between beginning a segment and ending the one before it; nobody has started again.
TEST(Skip, ASegmentThatLacksItsEndIsNoDamageWhereTheNextOneGoesOn) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  for (const std::uint64_t index : {1U, 2U}) {
    SegmentBytes bytes(journal / segment_name(index));
    store_length(bytes.data() + bytes.records().back(), 0);
    bytes.save();
  }
  const Read all = read(journal);
  EXPECT_EQ(all.skipped.places, 0U);
  expect_all_accounted_for(all, model, last_of(model));
}

/// Writes into a file that others have mapped.
void overwrite(const std::filesystem::path& path, std::size_t offset, std::size_t bytes, char with) {
  const std::string what(bytes, with);
  const int file = ::open(path.c_str(), O_WRONLY);
  ASSERT_EQ(::pwrite(file, what.data(), what.size(), static_cast<off_t>(offset)), static_cast<ssize_t>(bytes));
  ::close(file);
}

/// A commit word of 0 at the living end is no damage; a record there that is refused is, and waits for one behind it.
TEST(Skip, AtTheLivingEndAReaderWaitsAndGoesOn) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  auto reader = std::move(*Reader::open(options.directory));
  EXPECT_FALSE(reader->next());
  must_write_frame(*writer, {"A"}, 1);
  EXPECT_EQ(read(*reader).records.size(), 2U);
  EXPECT_EQ(reader->skipped().places, 0U);
  const auto path = options.directory / segment_name(1);
  const std::size_t end = [&] {
    SegmentBytes bytes(path);
    return bytes.records().back() + load_length(bytes.data() + bytes.records().back());
  }();
  must_write_frame(*writer, {"A"}, 2);
  overwrite(path, end + 40, 8, '!');
  // What this process wrote it does not check.
  auto inside = std::move(*writer->reader(kBeforeEverything));
  EXPECT_EQ(read_all(*inside).size(), 2U);
  EXPECT_TRUE(comes([&] { return !reader->next() && reader->skipped().places == 1; }));
  EXPECT_THAT(to_string(reader->take_skips().at(0)), HasSubstr("nothing whole follows yet"));
  must_write_frame(*writer, {"A"}, 3);
  std::optional<RecordView> record;
  ASSERT_TRUE(comes([&] { return (record = reader->next()).has_value(); }));
  EXPECT_EQ(record->receive_time_ns(), 3);
  EXPECT_EQ(reader->skipped().places, 1U);
  EXPECT_EQ(reader->skipped().positions, 2U);
  // A page of zeros is found by what lies behind it.
  must_write_frame(*writer, {"A"}, 4);
  must_write_frame(*writer, {"A"}, 5);
  SegmentBytes bytes(path);
  const auto records = bytes.records();
  overwrite(path, records[records.size() - 2], load_length(bytes.data() + records.back()), '\0');
  ASSERT_TRUE(comes([&] { return (record = reader->next()).has_value(); }));
  EXPECT_EQ(record->receive_time_ns(), 5);
  EXPECT_EQ(reader->skipped().positions, 4U);
}

/// A venue may send what it likes, also what looks like records of ours.
TEST(Skip, APayloadThatLooksLikeARecordIsNotTakenForOne) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    for (int number = 1; number <= 10; ++number) {
      must_write_frame(*writer, {"A"}, number);
    }
    SegmentBytes so_far(options.directory / segment_name(1));
    const auto records = so_far.records();
    const FrameClaim claim = writer->claim();
    // The record before it as it stands; and the one that will come next, made with all but the journal's id.
    auto* const at = reinterpret_cast<std::byte*>(claim.payload()) + kRecordAlignment - sizeof(RecordHeader);
    const std::size_t length = load_length(so_far.data() + records.back());
    std::memset(claim.payload(), 0, 1024);
    std::memcpy(at, so_far.data() + records.back(), length);
    std::memcpy(at + length, so_far.data() + records.back(), length);
    auto& next = *reinterpret_cast<RecordHeader*>(at + length);
    next.position += 3;
    reinterpret_cast<Trade*>(at + 2 * length)[-1].position = next.position + 1;
    next.crc32c = record_checksum(at + length, next.length, segment_seed(0, 1));
    writer->commit(claim, {1000, 0, FrameKind::other, FrameReason::none, 11});
    must_write_frame(*writer, {"A"}, 12);
    ASSERT_TRUE(writer->close());
  }
  const auto model = model_of(options.directory);
  SegmentBytes bytes(options.directory / segment_name(1));
  const auto records = bytes.records();
  bytes.flip(records[records.size() - 2] + 30);  // the length of that payload
  bytes.save();
  const Read all = read(options.directory);
  EXPECT_EQ(all.records.size(), model.size() - 1);
  EXPECT_EQ(all.skipped.bytes, align_record(1032));
  expect_all_accounted_for(all, model, last_of(model));
}

/// What recovery has cut off may still stand behind the end that it wrote.
TEST(Skip, WhatWasCutOffStaysSoWhereTheEndIsDamaged) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  SegmentBytes bytes(journal / segment_name(1));
  const auto records = bytes.records();
  // As if the journal had been cut at that record, and gone on in the next segment.
  const std::size_t cut = records[records.size() - 4];
  const Position last = RecordView(bytes.data() + cut).position() - 1;
  bytes.flip(cut + 40);
  bytes.save();
  for (const std::uint64_t index : begun_segments(journal)) {
    if (index > 2) {
      std::filesystem::remove(journal / segment_name(index));
    }
  }
  SegmentBytes next(journal / segment_name(2));
  next.header().previous_position = last;
  next.header().epoch = 2;
  next.header().first_sequence = 1;
  next.save_with_header();
  const Read all = read(journal);
  ASSERT_FALSE(all.records.empty());
  EXPECT_LE(all.records.rbegin()->first, last);
}

TEST(Skip, ATradeOfASymbolThatWasNeverDefinedIsNotHandedOutHoweverGoodItsChecksum) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 5);
  SegmentBytes bytes(journal / segment_name(1));
  const auto records = bytes.records();
  std::byte* const record = bytes.data() + records[records.size() - 2];
  const std::uint32_t length = load_length(record);
  reinterpret_cast<Trade*>(record + length)[-1].symbol_id = 70;
  reinterpret_cast<RecordHeader*>(record)->crc32c =
      record_checksum(record, length, segment_seed(bytes.header().journal_id, 1));
  bytes.save();
  const Read all = read(journal);
  EXPECT_EQ(all.skips.size(), 1U);
  EXPECT_EQ(all.skipped.positions, 1 + RecordView(record).trades().size());
  EXPECT_THAT(all.words(), HasSubstr("a symbol that was not defined"));
}

}  // namespace
}  // namespace mdpipe::journal
