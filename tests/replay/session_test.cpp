#include "replay/session/session.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include "mdpipe/base/base64.hpp"
#include "mdpipe/journal/writer.hpp"
#include "replay/session/line_reader.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::int64_t kMs = 1'000'000;

std::string lines(const std::vector<std::string>& all) {
  std::string text;
  for (const auto& line : all) {
    text += line + "\n";
  }
  return text;
}

TEST(Session, ReadsFrameLinesAsTheyStand) {
  const ScratchFolder folder;
  const std::vector<std::string> frames = {frame_text({trade_text("A", 5), trade_text("B", 3)}),
                                           R"({ "type" : "ping" })", R"({"type":"error","msg":"no"})",
                                           R"({"type":"news","data":[{"s":"A","s":"A"}]} )"};
  const auto read = read_session(folder.write("s", lines(frames)));
  EXPECT_FALSE(read.error);
  EXPECT_EQ(read.frames, frames);
  EXPECT_EQ(read.kinds, (std::vector{FrameKind::trades, FrameKind::ping, FrameKind::error, FrameKind::bad}));
  EXPECT_EQ(read.trades, 2U);
}

TEST(Session, WrapsTradeLinesAsFramesOfOneTrade) {
  const ScratchFolder folder;
  const std::string trade = R"({"t":7,"s":"IC MARKETS:1","x":{"s":[]},"v":0,"p":1e2})";
  const auto read = read_session(folder.write("s", "  " + trade + " \r\n\n" + trade));
  EXPECT_FALSE(read.error);
  EXPECT_EQ(read.frames, (std::vector(2, frame_text({trade}))));
  EXPECT_EQ(read.times_ns, (std::vector{7 * kMs, 7 * kMs}));
}

TEST(Session, TakesTheFrameOutOfCaptureLinesAndRawBytesToo) {
  const ScratchFolder folder;
  const std::string frame = R"({ "data":[ )" + trade_text("A", 9) + R"( ] ,"type":"trade"})";
  const std::string raw = std::string("\xff{not\njson\0", 11);
  const auto read = read_session(folder.write(
      "s", lines({R"({"recv_ns":12,"frame":)" + frame + "}", R"( {"frame": )" + frame + R"( , "recv_ns" : 5 })",
                  R"({"recv_ns":13,"raw":")" + base64_encode(raw) + R"("})", R"({"recv_ns":14,"frame":[1]})"})));
  ASSERT_FALSE(read.error) << read.error->message;
  EXPECT_EQ(read.frames, (std::vector<std::string>{frame, frame, raw, "[1]"}));
  EXPECT_EQ(read.times_ns, (std::vector<std::int64_t>{12, 5, 13, 14}));
  EXPECT_EQ(read.schedule_ns, (std::vector<std::int64_t>{12, 12, 13, 14}));
  EXPECT_EQ(read.kinds, (std::vector{FrameKind::trades, FrameKind::trades, FrameKind::bad, FrameKind::bad}));
}

TEST(Session, TimeOfAFrameIsItsLatestExchangeTimeAndOfAPingTheScheduleSoFar) {
  const ScratchFolder folder;
  const auto read = read_session(
      folder.write("s", lines({R"({"type":"ping"})", frame_text({trade_text("A", 20), trade_text("A", 30)}),
                               frame_text({trade_text("A", 10)}), R"({"type":"ping"})"})));
  EXPECT_EQ(read.times_ns, (std::vector<std::int64_t>{kNoTime, 30 * kMs, 10 * kMs, 30 * kMs}));
  EXPECT_EQ(read.schedule_ns, (std::vector<std::int64_t>{kNoTime, 30 * kMs, 30 * kMs, 30 * kMs}));
}

TEST(Session, IsTheSamePlainPackedAndInSeveralMembersWhateverTheName) {
  const ScratchFolder folder;
  std::vector<std::string> frames;
  for (int i = 0; i < 30'000; ++i) {
    frames.push_back(frame_text({trade_text("S" + std::to_string(i % 7), i)}));
  }
  const std::string first = lines({frames.begin(), frames.begin() + 10'000});
  const std::string second = lines({frames.begin() + 10'000, frames.end()});
  EXPECT_EQ(read_session(folder.write("plain", first + second)).frames, frames);
  for (const std::string ending : {".gz", ".zst"}) {
    const std::string packed =
        read_text(folder.pack("a" + ending, first)) + read_text(folder.pack("b" + ending, second));
    EXPECT_LT(packed.size(), (first.size() + second.size()) / 2);
    const auto read = read_session(folder.write("both", packed));
    EXPECT_FALSE(read.error) << read.error->message;
    EXPECT_EQ(read.frames, frames);
  }
}

TEST(Session, SaysWhereAPackedFileIsCutOffOrDamaged) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += frame_text({trade_text("A", i * 7919 % 1000)}) + "\n";
  }
  for (const std::string ending : {".gz", ".zst"}) {
    const std::string packed = read_text(folder.pack("whole" + ending, text));
    const auto cut = read_session(folder.write("cut", packed.substr(0, packed.size() / 2)));
    ASSERT_TRUE(cut.error);
    EXPECT_EQ(cut.error->code, ErrorCode::data);
    EXPECT_NE(cut.error->message.find("cut off"), std::string::npos) << cut.error->message;
    std::string flipped = packed;
    flipped[packed.size() / 2] = static_cast<char>(flipped[packed.size() / 2] ^ 0x55);
    EXPECT_TRUE(read_session(folder.write("flipped", flipped)).error);
  }
}

TEST(Session, RefusesDamagedAndForeignLinesByFileAndLine) {
  const ScratchFolder folder;
  const std::string good = frame_text({trade_text("A", 1)});
  const std::vector<std::string> bad_lines = {
      good.substr(0, good.size() - 1),
      good + "x",
      "x",
      "[]",
      "{}",
      "\xff",
      R"({"p":1,"s":"A","t":1,"t":1,"v":1})",
      R"({"p":"1","s":"A","t":1,"v":1})",
      R"({"p":1,"s":"A","t":1.0,"v":1})",
      R"({"frame":{"type":"ping"}})",
      R"({"recv_ns":1})",
      R"({"recv_ns":1.5,"frame":{"type":"ping"}})",
      R"({"recv_ns":"1","frame":{"type":"ping"}})",
      R"({"recv_ns":1,"frame":{"type":"ping"},"raw":"AAAA"})",
      R"({"recv_ns":1,"frame":{"type":"ping"},"frame":{"type":"ping"}})",
      R"({"recv_ns":1,"raw":"A"})",
      R"({"recv_ns":1,"raw":"AB=="})",
      R"({"recv_ns":99999999999999999999,"frame":{"type":"ping"}})",
  };
  for (const std::string& bad : bad_lines) {
    const auto read = read_session(folder.write("s", good + "\n\n" + bad + "\n" + good));
    ASSERT_TRUE(read.error) << bad;
    EXPECT_EQ(read.error->code, ErrorCode::data) << bad;
    EXPECT_NE(read.error->message.find("s:3: "), std::string::npos) << read.error->message;
    EXPECT_EQ(read.frames.size(), 1U) << bad;
  }
}

TEST(Session, IsRefusedWhereThereIsNoneAndFollowsALink) {
  const ScratchFolder folder;
  EXPECT_EQ(read_session(folder / "none").error->code, ErrorCode::environment);
  EXPECT_EQ(read_session(SessionOptions{}).error->code, ErrorCode::usage);
  std::filesystem::create_symlink(folder.write("there", "{\"type\":\"ping\"}\n"), folder / "link");
  EXPECT_EQ(read_session(folder / "link").frames.size(), 1U);
}

TEST(Session, PlaysAJournalAsItWasReceived) {
  const ScratchFolder folder;
  journal::WriterOptions journal;
  journal.directory = folder / "journal";
  journal.payload_max_bytes = 1024;
  journal.symbols_max = 16;
  journal.segment_bytes = 1U << 16U;
  auto writer = journal::Writer::open(journal);
  ASSERT_TRUE(writer) << writer.error().message;
  const auto record = [&](FrameKind kind, std::string_view payload, std::int64_t time_ns) {
    FrameClaim claim = (*writer)->claim();
    for (; !claim; claim = (*writer)->claim()) {  // the next segment is being made
      std::this_thread::yield();
    }
    payload.copy(claim.payload(), payload.size());
    (*writer)->commit(claim, {static_cast<std::uint32_t>(payload.size()), 0, kind, FrameReason::none, time_ns});
  };
  std::vector<std::string> frames;
  std::vector<std::int64_t> times;
  for (int i = 0; i < 1000; ++i) {  // several segments
    frames.push_back(frame_text({trade_text("A", i), trade_text("B", i)}));
    times.push_back(i % 10 == 9 ? 5 : 10 * i);
    record(FrameKind::trades, frames.back(), times.back());
    while (!(*writer)->append_session(SessionKind::stale, SessionPayload{1, 0, 0, 0, 0}, "silent", 7)) {
      std::this_thread::yield();
    }
  }
  for (const auto& [kind, text] : {std::pair(FrameKind::ping, R"({"type":"ping"})"), std::pair(FrameKind::bad, "\xff"),
                                   std::pair(FrameKind::bad_truncated, "{\"ty")}) {
    frames.emplace_back(text);
    times.push_back(20'000);
    record(kind, text, times.back());
  }
  const auto read = read_session(journal.directory);  // while it is written on
  ASSERT_FALSE(read.error) << read.error->message;
  EXPECT_EQ(read.frames, frames);
  EXPECT_EQ(read.times_ns, times);
  EXPECT_TRUE(std::is_sorted(read.schedule_ns.begin(), read.schedule_ns.end()));
  EXPECT_EQ(read.trades, 2000U);
  EXPECT_EQ((std::vector(read.kinds.end() - 4, read.kinds.end())),
            (std::vector{FrameKind::trades, FrameKind::ping, FrameKind::bad, FrameKind::bad}));

  ASSERT_TRUE((*writer)->close());
  writer->reset();
  const auto segment = journal.directory / "000000000002.segment";
  std::filesystem::resize_file(segment, std::filesystem::file_size(segment) / 2);
  const auto damaged = read_session(journal.directory);
  ASSERT_TRUE(damaged.error);
  EXPECT_EQ(damaged.error->code, ErrorCode::data);
  EXPECT_EQ(damaged.frames.back(), frames.back()) << "what is good is played, then it is said";
}

TEST(Session, SeveralAreMergedByScheduleAndStable) {
  const ScratchFolder folder;
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    SessionOptions options;
    std::vector<std::pair<std::int64_t, std::string>> naive;  // by schedule, then file, then line
    for (int file = 0; file < 3; ++file) {
      std::string text;
      std::int64_t schedule = 0;
      for (unsigned line = 0; line < random() % 20; ++line) {
        const std::int64_t time = static_cast<std::int64_t>(random() % 30);
        schedule = std::max(schedule, time);
        const std::string frame = frame_text({trade_text(std::to_string(file) + "." + std::to_string(line), 1)});
        text += R"({"recv_ns":)" + std::to_string(time) + R"(,"frame":)" + frame + "}\n";
        naive.emplace_back(schedule, frame);
      }
      options.paths.push_back(folder.write("s" + std::to_string(file), text));
    }
    std::stable_sort(naive.begin(), naive.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto read = read_session(options);
    ASSERT_EQ(read.frames.size(), naive.size());
    for (std::size_t i = 0; i < naive.size(); ++i) {
      EXPECT_EQ(read.frames[i], naive[i].second);
      EXPECT_EQ(read.schedule_ns[i], naive[i].first);
    }
  }
}

TEST(Session, FromAndToPickFramesByTheirOwnTime) {
  const ScratchFolder folder;
  SessionOptions options;
  options.paths = {folder.write("s", lines({frame_text({trade_text("A", 10)}), frame_text({trade_text("A", 30)}),
                                            frame_text({trade_text("A", 20)}), frame_text({trade_text("A", 40)})}))};
  options.from_ns = 20 * kMs;
  options.to_ns = 40 * kMs;
  EXPECT_EQ(read_session(options).times_ns, (std::vector{30 * kMs, 20 * kMs}));
}

TEST(Session, SymbolsPickTradesAndLeaveTheBytesOfTheRest) {
  const ScratchFolder folder;
  const std::string a = R"({"s":"\u0041", "p":1,"v":1,"t":1 })";
  const std::string b = trade_text("B", 2);
  const std::string bad = R"({"s":"B","p":"x","v":1,"t":1})";
  SessionOptions options;
  options.paths = {folder.write("s", lines({R"({"data": [ )" + a + " , " + b + R"( , 5 ] , "type":"trade"})",
                                            frame_text({b, bad}), frame_text({a, a}), R"({"type":"ping"})", b}))};
  options.symbols = {"A"};
  const auto read = read_session(options);
  EXPECT_EQ(read.frames, (std::vector<std::string>{R"({"data": [)" + a + R"(,5] , "type":"trade"})", frame_text({a, a}),
                                                   R"({"type":"ping"})"}));
  EXPECT_EQ(read.kinds, (std::vector{FrameKind::partly_bad, FrameKind::trades, FrameKind::ping}));
  EXPECT_EQ(read.trades, 3U);
}

TEST(LineReader, GivesLinesOfAnyLengthAcrossItsBuffer) {
  const ScratchFolder folder;
  std::mt19937 random(3);
  std::vector<std::string> wanted;
  std::string text;
  for (const std::size_t length : {0UL, 1UL, 262'143UL, 262'144UL, 5UL, 1'000'000UL, 262'145UL, 0UL, 70'000UL}) {
    wanted.emplace_back(length, static_cast<char>('a' + random() % 26));
    text += wanted.back() + (random() % 2 != 0 ? "\r\n" : "\n");
  }
  wanted.emplace_back("no end");
  auto reader = LineReader::open(folder.write("s", text + "no end"));
  std::string_view line;
  for (const std::string& want : wanted) {
    ASSERT_TRUE(*reader->next(line));
    EXPECT_EQ(line, want);
  }
  EXPECT_EQ(reader->line_number(), wanted.size());
  EXPECT_FALSE(*reader->next(line));
}

TEST(Summary, CountsWhatAddsUpAndDigestsKeysAndTextsInOrder) {
  const ScratchFolder folder;
  const std::string a = trade_text("A", 1'000);
  const std::string b = trade_text("B", 2'500);
  const std::string c = trade_text("B", 4'000);
  SessionOptions options;
  options.paths = {folder.write("s", lines({frame_text({a, b}), R"({"type":"ping"})", R"({"type":"error"})",
                                            R"({"type":"news"})", R"({"type":5})", frame_text({c, "{}"})}))};
  const auto summary = summarize(options);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->frames, 6U);
  EXPECT_EQ(summary->trade_frames + summary->pings + summary->errors + summary->other + summary->bad, 6U);
  EXPECT_EQ(summary->trade_frames, 2U);
  EXPECT_EQ(summary->bad, 1U);
  EXPECT_EQ(summary->trades, 3U);
  EXPECT_EQ(summary->bad_elements, 1U);
  EXPECT_EQ(*summary->last_ns - *summary->first_ns, 1'500 * kMs);
  EXPECT_EQ(summary->trades_by_symbol, (std::map<std::string, std::uint64_t>{{"A", 1}, {"B", 2}}));
  const auto digest_of = [&](const std::vector<std::string>& all) {
    options.paths = {folder.write("d", lines(all))};
    return summarize(options)->digest;
  };
  EXPECT_EQ(digest_of({a, b, c}), summary->digest);  // the frames around the trades do not matter
  EXPECT_NE(digest_of({b, a, c}), summary->digest);
  EXPECT_NE(digest_of({a, b}), summary->digest);
  EXPECT_NE(to_json(*summary).find(R"("symbols":{"A":1,"B":2})"), std::string::npos);
}

}  // namespace
}  // namespace mdpipe::replay
