#include "replay/generate/generator.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <map>
#include <set>

#include "mdpipe/base/file.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

std::string generate(const GenerateOptions& options) {
  Generator generator(options);
  std::string text;
  while (generator.next(text)) {
  }
  return text;
}

TEST(Generator, GivesTheSameBytesForTheSameSeedAndOthersForAnother) {
  GenerateOptions options;
  options.trades = 2'000;
  const std::string first = generate(options);
  EXPECT_EQ(generate(options), first);
  options.seed = 2;
  EXPECT_NE(generate(options), first);
}

TEST(Generator, GivesExactlySoManyTradesOfSoManySymbolsInEveryFormat) {
  const ScratchFolder folder;
  for (const SessionFormat format : {SessionFormat::capture, SessionFormat::frame, SessionFormat::trade}) {
    for (const std::uint64_t trades : {0U, 1U, 2U, 5'000U}) {
      GenerateOptions options;
      options.trades = trades;
      options.symbols = 20;
      options.format = format;
      SessionOptions session;
      session.paths = {folder / "g.jsonl.zst"};
      ASSERT_TRUE(write_session(options, session.paths.front()));
      const auto summary = summarize(session);
      ASSERT_TRUE(summary) << summary.error().message;
      EXPECT_EQ(summary->trades, trades);
      EXPECT_EQ(summary->bad + summary->bad_elements, 0U);
      EXPECT_EQ(summary->trades_by_symbol.size(), trades < 5'000 ? summary->trades_by_symbol.size() : 20U);
    }
  }
}

TEST(Generator, MixesInEveryOddity) {
  const ScratchFolder folder;
  GenerateOptions options;
  options.trades = 20'000;
  const std::string text = generate(options);
  const auto read = read_session(folder.write("g", text));
  std::set<FrameKind> kinds(read.kinds.begin(), read.kinds.end());
  EXPECT_EQ(kinds, (std::set{FrameKind::trades, FrameKind::ping, FrameKind::error, FrameKind::other}));
  int thrice = 0;
  for (std::size_t i = 2; i < read.frames.size(); ++i) {
    thrice += read.kinds[i] == FrameKind::trades && read.frames[i] == read.frames[i - 1] &&
              read.frames[i] == read.frames[i - 2];
  }
  EXPECT_GT(thrice, 20);
  for (const char* part :
       {R"("v":0)", R"("v":0.0)", "e-0", R"("c":[])", R"("c":null)", R"({"p":)", R"({"v":)", R"("x":)", R"(BRK\/B)",
        R"(BRK/B)", R"(Q\"X)", R"(\u00c4)", "ÄÖ", "IC MARKETS:1", R"({"type":"trade",)"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_NE(text.find(R"("c" )"), std::string::npos);
}

TEST(Generator, CrossesMidnightAndGoesBackInTimeUnlessItIsPlain) {
  const ScratchFolder folder;
  for (const bool plain : {false, true}) {
    GenerateOptions options;
    options.trades = 300;
    options.plain = plain;
    options.format = SessionFormat::trade;
    const auto read = read_session(folder.write("g", generate(options)));
    std::set<std::int64_t> days;
    for (const std::int64_t time_ns : read.times_ns) {
      days.insert(time_ns / (86'400 * kNanosecondsPerSecond));
    }
    EXPECT_EQ(days.size(), plain ? 1U : 2U);
    EXPECT_EQ(read.times_ns == read.schedule_ns, plain);
  }
}

TEST(Generator, GivesEachOfThreePartitionsSeveralSymbols) {
  // By partition.py, an independent implementation of what Kafka's Java client does; a test of the suite "shared" holds
  // this table against it.
  const std::map<std::string, int> partitions = {{"AAPL", 0},  {"GOOGL", 1},        {"TSLA", 2}, {"BINANCE:BTCUSDT", 0},
                                                 {"BRK/B", 1}, {"IC MARKETS:1", 2}, {"MSFT", 0}, {"Q\"X", 1},
                                                 {"SPY", 2},   {"META", 0},         {"A", 1},    {"ÄÖ", 2}};
  std::array<int, 3> count{};
  for (const std::string& symbol : generated_symbols(9)) {
    ++count.at(static_cast<std::size_t>(partitions.at(symbol)));
  }
  EXPECT_EQ(count, (std::array{3, 3, 3}));
  const auto many = generated_symbols(600'000);
  EXPECT_EQ(std::set<std::string>(many.begin(), many.end()).size(), many.size());
}

TEST(Generator, LeavesNothingHalfWrittenAndSaysWhereItCannotWrite) {
  const ScratchFolder folder;
  const auto path = folder.write("kept.jsonl", "good");
  {
    auto sink = ByteSink::create(path);
    ASSERT_TRUE((*sink)->write("half"));
  }
  EXPECT_EQ(read_text(path), "good");
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".part"));
  for (const auto& nowhere : {folder / "no" / "such" / "folder", folder / "."}) {
    const auto refused = ByteSink::create(nowhere);  // before anything is made
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::environment);
  }
}

TEST(Generator, WritesThroughALinkAndIntoWhatIsNoFileWithoutTakingItsPlace) {
  const ScratchFolder folder;
  GenerateOptions options;
  options.trades = 5;
  const std::string want = generate(options);
  for (const char* target : {"there", "not-there"}) {
    folder.write("there", "old");
    std::filesystem::create_symlink(target, folder / "link");
    ASSERT_TRUE(write_session(options, folder / "link"));
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
    EXPECT_EQ(read_text(folder / target), want);
    std::filesystem::remove(folder / "link");
  }

  // As /dev/null would be, which a rename by root replaces for everybody.
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const FileDescriptor reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(write_session(options, pipe));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  std::string read(2 * want.size(), '\0');
  EXPECT_EQ(::read(reader.get(), read.data(), read.size()), static_cast<ssize_t>(want.size()));
  read.resize(want.size());
  EXPECT_EQ(read, want);
}

}  // namespace
}  // namespace mdpipe::replay
