// Each kind of damage, as verification tells of it: what and where.

#include <gmock/gmock.h>

#include <random>

#include "mdpipe/base/state_file.hpp"
#include "segment_bytes.hpp"
#include "verify_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

struct HeaderDamage {
  const char* words;
  void (*damage)(SegmentHeader&);
};

TEST(Verify, AForeignOrDamagedHeaderIsSaidInWordsAndTheOtherSegmentsAreRead) {
  const HeaderDamage damages[] = {
      {"does not begin as", [](SegmentHeader& header) { header.magic ^= 1; }},
      {"another byte order", [](SegmentHeader& header) { header.byte_order = 0x0403'0201; }},
      {"format version 2; this program reads version 1", [](SegmentHeader& header) { header.version = 2; }},
      {"records of 32 + 128 bytes", [](SegmentHeader& header) { header.trade_bytes = 128; }},
      {"its header says 4096 bytes", [](SegmentHeader& header) { header.segment_bytes = 4096; }},
      {"its header says segment 7", [](SegmentHeader& header) { header.index = 7; }},
      {"a zero where none can be", [](SegmentHeader& header) { header.journal_id = 0; }},
      {"it is of another journal", [](SegmentHeader& header) { header.journal_id ^= 1; }},
      {"it has no header", [](SegmentHeader& header) { header.magic = 0; }},
  };
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  std::mt19937 random(4);
  for (const std::uint64_t index : begun_segments(journal)) {
    for (const HeaderDamage& damage : damages) {
      const SegmentBytes whole(journal / segment_name(index));
      SegmentBytes bytes = whole;
      damage.damage(bytes.header());
      bytes.save_with_header();
      const Verified verified = verify_all(journal);
      EXPECT_THAT(verified.words(), HasSubstr(segment_name(index))) << damage.words;
      EXPECT_THAT(verified.words(), HasSubstr(damage.words));
      EXPECT_EQ(verified.report.damages_count, 1U) << verified.words();
      EXPECT_EQ(verified.report.segments[index - 1].state, SegmentState::refused);
      for (const auto& [position, seen] : verified.records) {
        EXPECT_TRUE(same(seen, model.at(position)));
      }
      EXPECT_LT(verified.records.size(), model.size());
      EXPECT_GT(verified.records.size(), model.size() / 3);
      SegmentBytes(whole).save();
    }
  }
}

TEST(Verify, AnyFlippedBitOfAHeaderPageIsDamage) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 5);
  const SegmentBytes whole(journal / segment_name(1));
  for (std::size_t bit = 0; bit < 8 * kHeaderBytes; bit += bit < 8 * sizeof(SegmentHeader) ? 5 : 301) {
    SegmentBytes bytes = whole;
    bytes.flip(bit / 8, static_cast<unsigned char>(1U << (bit % 8)));
    bytes.save();
    EXPECT_FALSE(verify_all(journal).report.whole()) << "bit " << bit;
  }
}

/// One record is damaged, at any byte of it: that one is refused where it stands, all others are read.
TEST(Verify, ADamagedRecordIsNamedByItsPlaceAndAllOthersAreRead) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  const auto indices = begun_segments(journal);
  constexpr unsigned kSeed = 20;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 250; ++round) {
    const SegmentBytes whole(journal / segment_name(indices[random() % indices.size()]));
    SegmentBytes bytes = whole;
    const auto records = bytes.records();
    // The last one that is not the segment's end may look like one that was never committed: see below.
    const std::size_t at = records[random() % (records.size() - 2)];
    const RecordView record(bytes.data() + at);
    const Position position = record.position();
    const bool symbol = record.kind() == RecordKind::symbol;
    bytes.flip(at + random() % record.header().length, static_cast<unsigned char>(1U << (random() % 8)));
    bytes.save();
    const Verified verified = verify_all(journal);
    ASSERT_FALSE(verified.report.whole()) << "seed " << kSeed << ", round " << round;
    EXPECT_EQ(verified.report.damages[0].offset, at) << verified.words();
    EXPECT_EQ(verified.report.damages_count, 1U) << verified.words();
    EXPECT_THAT(verified.words(), HasSubstr(bytes.header().index == 0 ? "" : segment_name(bytes.header().index)));
    EXPECT_EQ(verified.records.size(), model.size() - (position == 0 ? 0 : 1));
    EXPECT_EQ(verified.records.count(position), 0U);
    for (const auto& [good_position, good] : verified.records) {
      EXPECT_TRUE(same(good, model.at(good_position)));
      EXPECT_TRUE(symbol || !good.trade_symbols.empty() || good.trade_texts.empty());
    }
    SegmentBytes(whole).save();
  }
}

TEST(Verify, ACommitWordThatBecameZeroIsDamageWhereverItStands) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  for (const std::uint64_t index : begun_segments(journal)) {
    const SegmentBytes whole(journal / segment_name(index));
    const auto records = SegmentBytes(whole).records();
    const bool last = index == begun_segments(journal).back();
    for (std::size_t which = 0; which < records.size() - (last ? 0 : 1); which += 1 + records.size() / 20) {
      SegmentBytes bytes = whole;
      store_length(bytes.data() + records[which], 0);
      bytes.save();
      const Verified verified = verify_all(journal);
      ASSERT_FALSE(verified.report.whole()) << which;
      EXPECT_EQ(verified.report.damages[0].offset, records[which]) << verified.words();
      EXPECT_GE(verified.records.size(), model.size() - 1);
    }
    // The very last: only the checkpoint knows of it.
    SegmentBytes bytes = whole;
    store_length(bytes.data() + records[records.size() - (last ? 1 : 2)], 0);
    bytes.save();
    EXPECT_FALSE(verify_all(journal).report.whole());
    SegmentBytes(whole).save();
  }
}

TEST(Verify, ATornTailIsDamageAtItsFirstByteThatIsWrong) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto newest = begun_segments(journal).back();
  SegmentBytes bytes(journal / segment_name(newest));
  const auto records = bytes.records();
  ASSERT_GE(records.size(), 3U);
  for (std::size_t which = records.size() - 3; which < records.size(); ++which) {
    bytes.flip(records[which] + 40);
  }
  bytes.save();
  const Verified verified = verify_all(journal);
  EXPECT_EQ(verified.report.damages_count, 1U) << verified.words();
  EXPECT_EQ(verified.report.damages[0].offset, records[records.size() - 3]);
  EXPECT_THAT(verified.words(), HasSubstr("nothing whole follows"));
  EXPECT_EQ(verified.report.segments.back().state, SegmentState::torn);
}

TEST(Verify, AMissingSegmentIsNamedWithThePositionsItHeld) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto indices = begun_segments(journal);
  const auto aside = directory.path() / "aside";
  for (const std::uint64_t index : indices) {
    std::filesystem::rename(journal / segment_name(index), aside);
    const Verified verified = verify_all(journal);
    if (index == indices.front()) {
      // As if by retention; but a cursor had yet to pass it.
      EXPECT_THAT(verified.words(), HasSubstr("store at 0: it stands at 1.9, the journal begins behind 1."));
    } else {
      EXPECT_THAT(verified.words(), HasSubstr(segment_name(index) + " at 0: the segment is missing"));
    }
    if (index == indices[1]) {
      EXPECT_THAT(verified.words(), HasSubstr("is lost"));
    }
    std::filesystem::rename(aside, journal / segment_name(index));
  }
  EXPECT_TRUE(verify_all(journal).report.whole());
}

TEST(Verify, SwappedSegmentsAreBothRefused) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  std::filesystem::rename(journal / segment_name(1), journal / "aside");
  std::filesystem::rename(journal / segment_name(2), journal / segment_name(1));
  std::filesystem::rename(journal / "aside", journal / segment_name(2));
  const Verified verified = verify_all(journal);
  EXPECT_EQ(verified.report.segments[0].state, SegmentState::refused);
  EXPECT_EQ(verified.report.segments[1].state, SegmentState::refused);
  EXPECT_THAT(verified.words(), HasSubstr("it was renamed or swapped"));
}

TEST(Verify, ASegmentThatDoesNotContinueTheOneBeforeItIsDamage) {
  const HeaderDamage damages[] = {
      {"does not continue the segment before it",
       [](SegmentHeader& header) {
         header.previous_position += 3;
         header.first_sequence += 3;
       }},
      {"which does not follow", [](SegmentHeader& header) { header.first_sequence += 1; }},
      {"the time and the connections", [](SegmentHeader& header) { header.previous_time_ns += 1; }},
      {"the time and the connections", [](SegmentHeader& header) { header.connections += 1; }},
      {"symbols", [](SegmentHeader& header) { header.symbols += 1; }},
  };
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const SegmentBytes whole(journal / segment_name(2));
  for (const HeaderDamage& damage : damages) {
    SegmentBytes bytes = whole;
    damage.damage(bytes.header());
    bytes.save_with_header();
    EXPECT_THAT(verify_all(journal).words(), HasSubstr(damage.words));
  }
}

struct WrongRecord {
  const char* words;
  RecordKind kind;
  void (*damage)(std::byte*);
};

RecordHeader& header_of(std::byte* record) {
  return *reinterpret_cast<RecordHeader*>(record);
}
Trade& trade_of(std::byte* record, std::size_t which) {
  return *reinterpret_cast<Trade*>(record + trades_offset(header_of(record).payload_length) + which * sizeof(Trade));
}

/// Not torn but wrongly written: the checksums fit.
TEST(Verify, ARecordThatSaysWhatCannotBeIsRefusedThoughItsChecksumFits) {
  const WrongRecord wrongs[] = {
      {"its position is 1.", RecordKind::frame, [](std::byte* record) { ++trade_of(record, 1).position; }},
      {"which nothing defines", RecordKind::frame, [](std::byte* record) { trade_of(record, 0).symbol_id = 900; }},
      {"its receive time is not its frame's", RecordKind::frame,
       [](std::byte* record) { ++trade_of(record, 1).receive_time_ns; }},
      {"it is the last of its frame", RecordKind::frame,
       [](std::byte* record) { trade_of(record, 0).flags = kTradeLastOfFrame; }},
      {"received before it was made", RecordKind::frame,
       [](std::byte* record) { trade_of(record, 0).flags = kTradeReceivedBeforeExchange; }},
      {"it has no size", RecordKind::frame,
       [](std::byte* record) {
         trade_of(record, 0).flags = kTradePriceUpdate;
         trade_of(record, 0).size_mantissa = 1;
       }},
      {"lies outside its frame", RecordKind::frame, [](std::byte* record) { trade_of(record, 1).text_length = 4000; }},
      {"there is no kind of frame", RecordKind::frame, [](std::byte* record) { header_of(record).sub = 99; }},
      {"has 3 trades", RecordKind::frame,
       [](std::byte* record) { header_of(record).sub = static_cast<std::uint16_t>(FrameKind::ping); }},
      {"there is no session event 9", RecordKind::session, [](std::byte* record) { header_of(record).sub = 9; }},
      {"its kind is unknown", RecordKind::session, [](std::byte* record) { header_of(record).kind = 9; }},
      {"it defines symbol 77", RecordKind::symbol,
       [](std::byte* record) { record[sizeof(RecordHeader)] = std::byte{77}; }},
      {"is defined already", RecordKind::symbol,
       [](std::byte* record) {
         header_of(record).payload_length = sizeof(SymbolPayload) + 1;
         record[sizeof(RecordHeader) + sizeof(SymbolPayload)] = std::byte{'A'};
       }},
      {"records are missing before it", RecordKind::frame,
       [](std::byte* record) {
         header_of(record).position += 2;
         for (std::size_t which = 0; which < 3; ++which) {
           trade_of(record, which).position += 2;
         }
       }},
      {"comes again or too late", RecordKind::frame, [](std::byte* record) { header_of(record).position -= 1; }},
      {"is not of the segment's epoch", RecordKind::frame,
       [](std::byte* record) { header_of(record).position += Position{1} << kSequenceBits; }},
      {"the segment's end says", RecordKind::roll, [](std::byte* record) { header_of(record).position += 1; }},
  };
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const SegmentBytes whole(journal / segment_name(2));
  for (const WrongRecord& wrong : wrongs) {
    SegmentBytes bytes = whole;
    const auto records = bytes.records();
    // In the middle, behind what restates the symbols; of three trades where it has trades.
    const auto at = std::find_if(records.begin() + 20, records.end(), [&](std::size_t offset) {
      const RecordView record(bytes.data() + offset);
      return record.kind() == wrong.kind && (wrong.kind != RecordKind::frame || record.trades().size() == 3);
    });
    ASSERT_NE(at, records.end()) << wrong.words;
    std::byte* const record = bytes.data() + *at;
    wrong.damage(record);
    header_of(record).crc32c = record_checksum(record, header_of(record).length,
                                               segment_seed(bytes.header().journal_id, bytes.header().index));
    bytes.save();
    const Verified verified = verify_all(journal);
    EXPECT_THAT(verified.words(), HasSubstr("at " + std::to_string(*at) + ": ")) << wrong.words;
    EXPECT_THAT(verified.words(), HasSubstr(wrong.words));
  }
}

TEST(Verify, TheNewestSegmentWithoutItsHeaderIsNotTakenForOneThatWasNeverBegun) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 20);
  SegmentBytes bytes(journal / segment_name(1));
  std::memset(bytes.data(), 0, kHeaderBytes + 4096);
  bytes.save();
  // Which journal it is of, nothing says any more.
  EXPECT_TRUE(verify_all(journal).report.segments.front().state == SegmentState::prepared);

  const TemporaryDirectory other;
  const auto longer = make_journal(other);
  const auto newest = begun_segments(longer).back();
  SegmentBytes last(longer / segment_name(newest));
  std::memset(last.data(), 0, kHeaderBytes);
  last.save();
  EXPECT_THAT(verify_all(longer).words(), HasSubstr("it has no header, though it was begun"));
  // Also where the end of the one before it did not reach the disk either.
  SegmentBytes before(longer / segment_name(newest - 1));
  store_length(before.data() + before.records().back(), 0);
  before.save();
  EXPECT_THAT(verify_all(longer).words(), HasSubstr("it has no header, though it was begun"));
}

TEST(Verify, AFileCutShortIsDamageNotACrash) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto path = journal / segment_name(2);
  for (const std::uintmax_t bytes : {0U, 1U, 8U, 100U, 148U, 4096U, 4160U, 5000U, 8192U, 65535U}) {
    const SegmentBytes whole(path);
    std::filesystem::resize_file(path, bytes);
    EXPECT_FALSE(verify_all(journal).report.whole()) << bytes;
    SegmentBytes(whole).save();
  }
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(verify_all(journal).words(), HasSubstr("no regular file"));
}

TEST(Verify, ASegmentWithoutRoomForARecordIsRefusedByAll) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 1);
  std::filesystem::resize_file(journal / segment_name(1), kHeaderBytes);
  SegmentBytes bytes(journal / segment_name(1));
  bytes.header().segment_bytes = kHeaderBytes;
  bytes.save_with_header();
  EXPECT_THAT(verify_all(journal).words(), HasSubstr("no room for a record"));
  EXPECT_FALSE(Reader::open(journal));
}

TEST(Verify, StateFilesAreVerifiedToo) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  ASSERT_TRUE(StateFile(journal / "cursors" / "ahead", "cursor ahead").save(make_position(1, 1'000'000), ""));
  EXPECT_THAT(verify_all(journal).words(), HasSubstr("ahead at 0: it stands at 1.1000000, the journal ends at 1."));
  std::filesystem::remove(journal / "cursors" / "ahead");
  for (const char* const name : {"checkpoint", "cursors/store"}) {
    SegmentBytes bytes(journal / name);
    bytes.flip(20);
    bytes.save();
    EXPECT_THAT(verify_all(journal).words(), HasSubstr("its checksum does not fit"));
    bytes.flip(20);
    bytes.save();
  }
  EXPECT_TRUE(verify_all(journal).report.whole());
}

TEST(Verify, OnlySoManyDamagesAreListedAndAllAreCounted) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  SegmentBytes bytes(journal / segment_name(1));
  const auto records = bytes.records();
  for (std::size_t which = 1; which + 1 < records.size(); which += 2) {
    bytes.flip(records[which] + 8);
  }
  bytes.save();
  const auto report = verify(journal, {.damages_max = 3, .on_record = {}});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->damages.size(), 3U);
  EXPECT_EQ(report->damages_count, (records.size() - 1) / 2);
}

}  // namespace
}  // namespace mdpipe::journal
