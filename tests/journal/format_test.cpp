// The layout: FORMAT.md against real bytes, a journal of version 1, what is out of bounds.

#include <gmock/gmock.h>

#include <cctype>
#include <fstream>
#include <map>
#include <random>
#include <span>
#include <sstream>
#include <vector>

#include "format.hpp"
#include "journal_fixture.hpp"
#include "mdpipe/base/crc32c.hpp"
#include "segment.hpp"
#include "segment_bytes.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::uint64_t kExampleId = 0x0123'4567'89AB'CDEF;

/// A directory that holds an empty first segment of a journal with the id of the example.
void plant_journal(const WriterOptions& options) {
  std::filesystem::create_directories(options.directory);
  const auto segment = std::move(*Segment::create(options.directory, 1, options.segment_bytes));
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kFormatVersion;
  header.byte_order = kByteOrderMark;
  header.header_bytes = kHeaderBytes;
  header.record_header_bytes = sizeof(RecordHeader);
  header.trade_bytes = sizeof(Trade);
  header.payload_max_bytes = options.payload_max_bytes;
  header.journal_id = kExampleId;
  header.index = 1;
  header.segment_bytes = options.segment_bytes;
  header.first_sequence = 1;
  header.epoch = kFirstEpoch;
  std::memcpy(header.boot_id, options.boot_id.data(), options.boot_id.size());
  segment->begin(header);
}

/// What FORMAT.md's example says was written.
void write_example(const WriterOptions& options) {
  plant_journal(options);
  const auto writer = open_writer(options);
  const FrameClaim claim = writer->claim();
  const std::string_view payload = R"({"data":[{"s":"A","p":1.5,"v":2,"t":3}],"type":"trade"})";
  std::memcpy(claim.payload(), payload.data(), payload.size());
  Trade& trade = *claim.trades(payload.size());
  trade = Trade{};
  trade.exchange_time_ns = 3'000'000;
  trade.receive_time_ns = 4'000'000;
  trade.price_mantissa = 15;
  trade.price_exponent = -1;
  trade.size_mantissa = 2;
  trade.symbol_id = writer->symbols().add("A");
  trade.text_offset = sizeof(RecordHeader) + 9;
  trade.text_length = 29;
  trade.flags = kTradeLastOfFrame;
  writer->commit(claim,
                 {static_cast<std::uint32_t>(payload.size()), 1, FrameKind::trades, FrameReason::none, 4'000'000});
}

/// Lines of FORMAT.md such as "    1000  40 00 .. 12  | what it is": offset, bytes, ".." for any.
std::map<std::size_t, std::string> example_bytes() {
  std::ifstream file(MDPIPE_FORMAT_MD);
  std::map<std::size_t, std::string> bytes;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("    ") || line.size() < 10 || std::isxdigit(static_cast<unsigned char>(line[4])) == 0) {
      continue;
    }
    std::istringstream words(line.substr(0, line.find('|')));
    std::size_t offset = 0;
    words >> std::hex >> offset;
    for (std::string byte; words >> byte; ++offset) {
      bytes[offset] = byte;
    }
  }
  return bytes;
}

TEST(Format, TheExampleOfTheDocumentIsWhatIsWritten) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  write_example(options);
  SegmentBytes segment(options.directory / segment_name(2));
  const auto example = example_bytes();
  ASSERT_GT(example.size(), 400U) << "the document's example was not found";
  for (const auto& [offset, expected] : example) {
    char found[3];
    std::snprintf(found, sizeof found, "%02x", std::to_integer<unsigned>(segment.data()[offset]));
    if (expected != "..") {
      EXPECT_EQ(found, expected) << "at " << std::hex << offset;
    }
  }
}

TEST(Format, AJournalOfVersion1IsRead) {
  const auto all = read_all(std::filesystem::path(MDPIPE_JOURNAL_FIXTURES) / "version-1");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].kind, RecordKind::session);
  EXPECT_EQ(all[1].trade_symbols, (std::vector<std::string>{"AAPL", "BINANCE:BTCUSDT"}));
  EXPECT_EQ(all[1].trade_texts, all[1].trade_symbols);
  EXPECT_EQ(all[2].trade_symbols, (std::vector<std::string>{"AAPL"}));
  EXPECT_EQ(all[2].position, make_position(1, 7));
  EXPECT_EQ(all[2].receive_time_ns, 1'381'132'800'464'000'000);
}

TEST(Format, ChecksumsKnowTheirSegmentTheirJournalAndTheirLength) {
  alignas(64) std::byte record[192] = {};
  const std::uint32_t checksum = record_checksum(record, 64, segment_seed(1, 1));
  EXPECT_NE(checksum, record_checksum(record, 64, segment_seed(1, 2)));
  EXPECT_NE(checksum, record_checksum(record, 64, segment_seed(2, 1)));
  EXPECT_NE(checksum, record_checksum(record, 128, segment_seed(1, 1)));
}

/// The lanes in which long records are taken must make the same sum as one byte after the other.
TEST(Format, AChecksumIsTheSameInOnePieceAndByteByByte) {
  std::mt19937_64 random(5);
  std::vector<std::byte> bytes(6000);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random());
  }
  const std::string_view known = "123456789";  // the check value of every CRC catalogue
  EXPECT_EQ(crc32c(std::as_bytes(std::span(known))), 0xE306'9283U);
  for (std::size_t length = 0; length < 5000; length += 1 + random() % 7) {
    const std::size_t from = random() % 64;
    const auto seed = static_cast<std::uint32_t>(random());
    std::uint32_t expected = seed;
    for (std::size_t i = 0; i < length; ++i) {
      expected = crc32c(std::span(bytes).subspan(from + i, 1), expected);
    }
    ASSERT_EQ(crc32c(std::span(bytes).subspan(from, length), seed), expected) << length;
  }
}

TEST(Format, SegmentNamesSortAsTheirNumbersDo) {
  EXPECT_EQ(segment_name(12), "000000000012.segment");
  EXPECT_EQ(parse_segment_name("000000000012.segment"), 12U);
  for (const char* name : {"000000000000.segment", "12.segment", "00000000001x.segment", "000000000012.segmen", ""}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
  }
}

TEST(Format, UnsuitableFileSystemsAreNamed) {
  EXPECT_EQ(unsuitable_filesystem(0x9123'683E), "btrfs (copy-on-write)");
  EXPECT_EQ(unsuitable_filesystem(0x6969), "nfs (network)");
  EXPECT_FALSE(unsuitable_filesystem(0xEF53));       // ext4
  EXPECT_FALSE(unsuitable_filesystem(0x0102'1994));  // tmpfs
  EXPECT_FALSE(unsuitable_filesystem(0x794C'7630));  // overlay
}

struct Bounds {
  const char* words;
  void (*change)(RecordHeader&, Trade&);
};

TEST(Format, WhatIsOutOfBoundsIsRefused) {
  const Bounds cases[] = {
      {nullptr, [](RecordHeader&, Trade&) {}},
      {"its length cannot be", [](RecordHeader& header, Trade&) { header.length = 32; }},
      {"its length cannot be", [](RecordHeader& header, Trade&) { header.length = 100; }},
      {"its length cannot be", [](RecordHeader& header, Trade&) { header.length = 256; }},
      {"its payload is longer than itself", [](RecordHeader& header, Trade&) { header.payload_length = 97; }},
      {"its payload is longer than itself", [](RecordHeader& header, Trade&) { header.payload_length = 0xFFFF'FFFF; }},
      {"its kind is unknown",
       [](RecordHeader& header, Trade&) {
         header.kind = 9;
         header.payload_length = 90;
       }},
      {"it is longer than its payload", [](RecordHeader& header, Trade&) { header.kind = 3; }},
      {"a roll record with a payload",
       [](RecordHeader& header, Trade&) {
         header.kind = 4;
         header.payload_length = 90;
       }},
      {"the text of a trade lies outside its frame", [](RecordHeader&, Trade& trade) { trade.text_offset = 31; }},
      {"the text of a trade lies outside its frame", [](RecordHeader&, Trade& trade) { trade.text_length = 21; }},
      {"the text of a trade lies outside its frame",
       [](RecordHeader&, Trade& trade) { trade.text_length = 0xFFFF'FFFF; }},
  };
  for (const Bounds& one : cases) {
    alignas(64) std::byte record[128] = {};
    auto& header = *reinterpret_cast<RecordHeader*>(record);
    auto& trade = *reinterpret_cast<Trade*>(record + 64);
    header.length = 128;
    header.kind = static_cast<std::uint16_t>(RecordKind::frame);
    header.payload_length = 20;
    trade.text_offset = 32;
    trade.text_length = 20;
    one.change(header, trade);
    EXPECT_STREQ(judge_bounds(record, header.length, 128), one.words);
  }
}

TEST(Options, ThatCannotBeAreRefused) {
  const TemporaryDirectory directory;
  const auto refused = [&](void (*change)(WriterOptions&)) {
    auto options = tiny_options(directory.path());
    change(options);
    const auto writer = Writer::open(options);
    return !writer && writer.error().code == ErrorCode::usage;
  };
  EXPECT_TRUE(refused([](WriterOptions& options) { options.payload_max_bytes = 0; }));
  EXPECT_TRUE(refused([](WriterOptions& options) { options.segment_bytes = 8192; }));
  EXPECT_TRUE(refused([](WriterOptions& options) { options.segment_bytes += 100; }));
  EXPECT_TRUE(refused([](WriterOptions& options) { options.sync_interval_ms = 0; }));
}

}  // namespace
}  // namespace mdpipe::journal
