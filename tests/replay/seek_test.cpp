// A .zst that is read from the middle.

#include "replay/session/seek_index.hpp"

#include <algorithm>

#include "replay/convert/converter.hpp"
#include "replay/generate/generator.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

class Seek : public ::testing::TestWithParam<SessionFormat> {
 protected:
  Seek() {
    GenerateOptions options;
    options.trades = 100'000;
    options.format = GetParam();
    EXPECT_TRUE(write_session(options, folder_ / "plain"));
    EXPECT_TRUE(write_session(options, folder_ / "packed.zst"));
    SessionOptions all;
    all.paths = {folder_ / "plain"};
    whole_ = read_session(all);
  }
  ReadSession read(const std::filesystem::path& path, std::int64_t from_ns) const {
    SessionOptions options;
    options.paths = {path};
    options.from_ns = from_ns;
    return read_session(options);
  }
  std::int64_t time_at(double part) const {
    return whole_.schedule_ns[static_cast<std::size_t>(part * static_cast<double>(whole_.schedule_ns.size() - 1))];
  }

  const ScratchFolder folder_;
  ReadSession whole_;
};

TEST_P(Seek, GivesTheSameFromAnyTimeOnAsReadingFromTheBeginning) {
  EXPECT_EQ(read_session(folder_ / "packed.zst").frames, whole_.frames);
  for (const double part : {0.2, 0.77, 1.0}) {
    const auto want = read(folder_ / "plain", time_at(part));
    const auto have = read(folder_ / "packed.zst", time_at(part));
    EXPECT_EQ(have.frames, want.frames) << part;
    EXPECT_EQ(have.schedule_ns, want.schedule_ns) << part;
    EXPECT_EQ(have.times_ns, want.times_ns) << part;
  }
}

TEST_P(Seek, DoesNotReadWhatLiesBefore) {
  const auto start = find_seek_start(folder_ / "packed.zst", time_at(0.9));
  ASSERT_TRUE(start);
  EXPECT_GT(start->lines, 1'000U);
  // What is not read does no harm though it is damaged.
  std::string bytes = read_text(folder_ / "packed.zst");
  bytes[1'000] = static_cast<char>(bytes[1'000] ^ 0x55);
  folder_.write("damaged.zst", bytes);
  EXPECT_TRUE(read_session(folder_ / "damaged.zst").error);
  const auto have = read(folder_ / "damaged.zst", time_at(0.9));
  EXPECT_FALSE(have.error);
  EXPECT_EQ(have.frames, read(folder_ / "plain", time_at(0.9)).frames);
}

TEST_P(Seek, ReadsFromTheBeginningWhereTheIndexDoesNotFit) {
  const std::string bytes = read_text(folder_ / "packed.zst");
  folder_.write("twice.zst", bytes + bytes);
  folder_.write("cut.zst", bytes.substr(0, bytes.size() - 1));
  std::string other = bytes;
  other[bytes.size() - 30] = static_cast<char>(other[bytes.size() - 30] ^ 1);  // a size in the table
  folder_.write("other.zst", other);
  for (const char* name : {"twice.zst", "cut.zst", "other.zst", "plain"}) {
    EXPECT_FALSE(find_seek_start(folder_ / name, time_at(0.9))) << name;
  }
  EXPECT_EQ(read(folder_ / "other.zst", time_at(0.9)).frames, read(folder_ / "plain", time_at(0.9)).frames);
}

TEST_P(Seek, WhatConvertPacksHasAnIndexTooThoughSymbolsWereLeftOut) {
  SessionOptions some;
  some.paths = {folder_ / "plain"};
  some.symbols = {"AAPL", "GOOGL", "TSLA", "BINANCE:BTCUSDT", "BRK/B", "MSFT", "IC MARKETS:1"};
  ASSERT_TRUE(convert_session(some, GetParam(), folder_ / "some.zst"));
  ASSERT_TRUE(convert_session(some, GetParam(), folder_ / "some"));
  ASSERT_TRUE(find_seek_start(folder_ / "some.zst", time_at(0.9)));
  for (const double part : {0.8, 0.9}) {
    const auto want = read(folder_ / "some", time_at(part));
    const auto have = read(folder_ / "some.zst", time_at(part));
    EXPECT_EQ(have.frames, want.frames);
    EXPECT_EQ(have.schedule_ns, want.schedule_ns);
  }
}

TEST_P(Seek, NamesADamagedLineByItsNumberInTheFile) {
  auto sink = ByteSink::create(folder_ / "numbered.zst");
  const std::string line = trade_text("A", 1) + "\n";
  std::string block;
  while (block.size() < (5U << 20U)) {
    block += line;
  }
  ASSERT_TRUE((*sink)->write(block) && (*sink)->mark(1'000'000));
  ASSERT_TRUE((*sink)->write(trade_text("A", 5) + "\nx\n") && (*sink)->finish());
  const auto have = read(folder_ / "numbered.zst", 2'000'000);
  ASSERT_TRUE(have.error);
  const std::string place = "numbered.zst:" + std::to_string(block.size() / line.size() + 2) + ":";
  EXPECT_NE(have.error->message.find(place), std::string::npos) << have.error->message << " " << place;
}

INSTANTIATE_TEST_SUITE_P(All, Seek,
                         ::testing::Values(SessionFormat::capture, SessionFormat::frame, SessionFormat::trade));

}  // namespace
}  // namespace mdpipe::replay
