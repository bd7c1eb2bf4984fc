// Sessions from one format into another, and what is left out where lines are damaged.

#include "replay/convert/converter.hpp"

#include "mdpipe/base/base64.hpp"
#include "replay/generate/generator.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

SessionOptions session_of(const std::filesystem::path& path) {
  SessionOptions options;
  options.paths = {path};
  return options;
}

TEST(Convert, KeepsEveryTradeInOrderThroughEveryFormatAndPacking) {
  const ScratchFolder folder;
  GenerateOptions generate;
  generate.trades = 5'000;
  const auto begin = folder / "begin.jsonl";
  ASSERT_TRUE(write_session(generate, begin));
  const auto digest = summarize(session_of(begin))->digest;
  auto from = begin;
  int step = 0;
  for (const auto& [format, ending] :
       {std::pair(SessionFormat::capture, ".jsonl.zst"), std::pair(SessionFormat::frame, ".jsonl"),
        std::pair(SessionFormat::capture, ".jsonl.gz"), std::pair(SessionFormat::trade, ".jsonl.zst"),
        std::pair(SessionFormat::frame, ".jsonl.gz")}) {
    const auto to = folder / ("step" + std::to_string(++step) + ending);
    const auto report = convert_session(session_of(from), format, to);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->trades, 5'000U);
    EXPECT_EQ(summarize(session_of(to))->digest, digest) << to;
    from = to;
  }
}

TEST(Convert, GivesACaptureBackAsItWas) {
  const ScratchFolder folder;
  GenerateOptions generate;
  generate.trades = 500;
  ASSERT_TRUE(write_session(generate, folder / "begin"));
  const std::string raw = R"({"recv_ns":1999999999000000000,"raw":")" + base64_encode("\xff no json") + "\"}\n";
  folder.write("with raw", read_text(folder / "begin") + raw);
  const auto report = convert_session(session_of(folder / "with raw"), SessionFormat::capture, folder / "end");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->times_made_up, 0U);
  EXPECT_EQ(read_text(folder / "end"), read_text(folder / "with raw"));
}

TEST(Convert, SaysWhatAFormatHasNoPlaceFor) {
  const ScratchFolder folder;
  const std::string frames = "{\"type\":\"ping\"}\n" + frame_text({trade_text("A", 7), "{}"}) + "\n";
  folder.write("s", frames + R"({"recv_ns":9,"raw":"AAAA"})" + "\n");
  const auto trades = convert_session(session_of(folder / "s"), SessionFormat::trade, folder / "trades");
  EXPECT_EQ(read_text(folder / "trades"), trade_text("A", 7) + "\n");
  EXPECT_EQ(trades->frames_left_out, 2U);
  EXPECT_EQ(trades->elements_left_out, 1U);
  const auto back = convert_session(session_of(folder / "s"), SessionFormat::frame, folder / "frames");
  EXPECT_EQ(read_text(folder / "frames"), frames);
  EXPECT_EQ(back->frames_left_out, 1U);
  // The ping comes before anything that tells a time: when the first does.
  const auto capture = convert_session(session_of(folder / "frames"), SessionFormat::capture, folder / "capture");
  EXPECT_EQ(read_text(folder / "capture").substr(0, 33), R"({"recv_ns":7000000,"frame":{"type)");
  EXPECT_EQ(capture->times_made_up, 2U);
}

TEST(Convert, LeavesWhatWasThereWhereTheSessionIsDamaged) {
  const ScratchFolder folder;
  folder.write("there", "good");
  folder.write("s", trade_text("A", 1) + "\nx\n");
  const auto refused = convert_session(session_of(folder / "s"), SessionFormat::trade, folder / "there");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::data);
  EXPECT_EQ(read_text(folder / "there"), "good");
}

TEST(SkipBad, LeavesDamagedLinesOutAndCountsEachOnceHoweverOftenItIsRead) {
  const ScratchFolder folder;
  SessionOptions options = session_of(folder.write(
      "s", trade_text("A", 1) + "\nx\n" + trade_text("A", 2) + "\n{\"half\":\n\xff\n" + trade_text("A", 3)));
  options.skipped = std::make_shared<SkippedLines>();
  for (int again = 0; again < 3; ++again) {
    const auto read = read_session(options);
    EXPECT_FALSE(read.error);
    EXPECT_EQ(read.trades, 3U);
  }
  EXPECT_EQ(options.skipped->count(), 3U);
  EXPECT_NE(options.skipped->words().find("3 damaged or foreign lines were left out, first "), std::string::npos);
  EXPECT_NE(options.skipped->words().find("s:2: "), std::string::npos) << options.skipped->words();
}

}  // namespace
}  // namespace mdpipe::replay
