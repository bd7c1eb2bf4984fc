#include "replay/pace/pace_log.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "replay/kafka/rebase.hpp"
#include "replay/pace/progress.hpp"
#include "replay/pace/report.hpp"
#include "support.hpp"
#include "support/reference_json.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

/// A player whose clock is a number: it waits until a frame is due, and each send takes as long as it is told.
struct FakePlayer {
  explicit FakePlayer(const Pace& pace) : schedule(pace) { schedule.start(now_ns); }

  void play(std::int64_t schedule_ns, std::int64_t send_ns, std::uint64_t trades = 1) {
    const std::int64_t due_ns = schedule.due_ns(schedule_ns, log.trades());
    now_ns = std::max(now_ns, due_ns);
    log.record(stream, due_ns, now_ns, trades);
    now_ns += send_ns;
  }

  std::int64_t now_ns = 1000 * kSecond;
  Schedule schedule;
  PaceLog log;
  PaceStream stream;
};

TEST(PaceLog, CountsWhatIsLateByHowMuchAndWhatWasOverdueWhenItsTurnCame) {
  FakePlayer player(Pace{Pace::Kind::recorded, 1, 0});
  for (int frame = 0; frame < 100; ++frame) {
    player.play(frame * 10 * kMillisecond, frame == 50 ? 35 * kMillisecond : 1000);  // 51, 52, 53 come late
  }
  const PaceLog& log = player.log;
  EXPECT_EQ(log.lateness().count(), 100U);
  EXPECT_EQ(log.over()[1], 3U);  // by 25, 15 and 5 ms
  EXPECT_EQ(log.over()[2], 2U);
  EXPECT_EQ(log.bunched(), 2U);  // 51 was not yet due when 50 went
  EXPECT_EQ(log.in_bursts(), 0U);
  EXPECT_EQ(log.lateness().max_ns(), 25U * kMillisecond);
  EXPECT_NEAR(static_cast<double>(log.late_sum_ns()), 45e6, 1e5);
  EXPECT_NE(pacing_text(log).find("late by more than 1 ms: 3 of 100 frames"), std::string::npos) << pacing_text(log);
}

TEST(PaceLog, ABurstStaysABurstAndIsNotTakenForLateFramesBunched) {
  FakePlayer player(Pace{Pace::Kind::recorded, 2, 0});
  for (int burst = 0; burst < 10; ++burst) {
    for (int frame = 0; frame < 5; ++frame) {
      player.play(burst * kSecond, 2000);
    }
  }
  EXPECT_EQ(player.log.in_bursts(), 40U);
  EXPECT_EQ(player.log.bunched(), 0U);
  EXPECT_EQ(player.log.lateness().max_ns(), 8000U);  // the fifth waits for four sends, no more
  EXPECT_EQ(player.log.last_due_ns() - player.log.first_due_ns(), 9 * kSecond / 2);
}

TEST(PaceLog, AnAbsoluteScheduleDoesNotDriftWhateverSendsTake) {
  std::mt19937_64 random(7);
  for (const double rate : {100.0, 3000.0}) {
    FakePlayer player(Pace{Pace::Kind::rate, 1, rate});
    for (int frame = 0; frame < 200'000; ++frame) {
      player.play(0, static_cast<std::int64_t>(random() % (random() % 1000 == 0 ? 20 * kMillisecond : 100'000)));
    }
    EXPECT_LT(std::abs(player.log.drift_ns_per_s()), 5000);
    EXPECT_LT(player.log.least_in_last_tenth_ns(), 1000U);
    EXPECT_LT(player.log.lateness().quantile_ns(0.5), 1000U);
  }
}

TEST(PaceLog, ADriftIsSeen) {
  PaceLog log;
  PaceStream stream;
  for (std::int64_t frame = 0; frame < 10'000; ++frame) {
    const std::int64_t due_ns = frame * 10 * kMillisecond;
    log.record(stream, due_ns, due_ns + due_ns / 100'000, 1);  // 10 us a second
  }
  EXPECT_NEAR(log.drift_ns_per_s(), 10'000, 10);
  EXPECT_LT(log.least_in_first_tenth_ns(), 1000U);
  EXPECT_NEAR(static_cast<double>(log.least_in_last_tenth_ns()), 900'000, 20'000);
}

TEST(PaceLog, KeepsEveryTradeInItsPictureHoweverLongItRuns) {
  PaceLog log;
  PaceStream stream;
  std::uint64_t trades = 0;
  for (std::int64_t due_ns = 0; due_ns < 3600 * kSecond; due_ns += 700 * kMillisecond) {
    log.record(stream, due_ns, due_ns + 5000, 3);
    trades += 3;
  }
  std::uint64_t due = 0;
  std::uint64_t sent = 0;
  std::uint64_t frames = 0;
  for (std::size_t index = 0; index < log.bin_count(); ++index) {
    due += log.bin(index).due_trades;
    sent += log.bin(index).sent_trades;
    frames += log.bin(index).frames;
  }
  EXPECT_LE(log.bin_count(), PaceLog::kBinsMax);
  EXPECT_GT(log.bin_count(), PaceLog::kBinsMax / 4);
  EXPECT_EQ(due, trades);
  EXPECT_EQ(sent, trades);
  EXPECT_EQ(frames, log.frames());
}

PaceLog some_log() {
  FakePlayer player(Pace{Pace::Kind::recorded, 1, 0});
  for (int frame = 0; frame < 1000; ++frame) {
    player.play(frame * kMillisecond, frame % 100 == 0 ? 3 * kMillisecond : 1000, 2);
  }
  return player.log;
}

PlayReport some_report() {
  PlayReport report;
  report.command = "serve";
  report.sessions = {"a <b> & \"c\".jsonl"};
  report.digest = "abc";
  report.pace = Pace{Pace::Kind::recorded, 1, 0};
  report.details = {{"topic", "\"raw\""}, {"clients_cut", "0"}};
  return report;
}

TEST(Report, AsJsonHoldsWhatWasScheduledAndWhatBecameOfIt) {
  const PaceLog log = some_log();
  const std::string text = to_json(some_report(), log);
  const auto json = testing::parse_json(text);
  ASSERT_TRUE(json) << text;
  EXPECT_FALSE(json->has_key_twice());
  for (const char* key : {"sessions", "digest", "speed", "topic", "scheduled_seconds", "sending_seconds", "late",
                          "drift", "achieved_trades_per_second", "bunched_frames", "first_due_unix_ns", "timeline"}) {
    EXPECT_NE(json->find(key), nullptr) << key;
  }
  EXPECT_EQ(json->find("late_ns")->find("frames")->text, "1000");
  EXPECT_EQ(json->find("scheduled_seconds")->text, "0.999000000");
  std::uint64_t in_histogram = 0;
  for (const auto& bucket : json->find("histogram_ns")->elements) {
    in_histogram += std::stoull(std::string(bucket.elements[2].text));
  }
  EXPECT_EQ(in_histogram, 1000U);
  EXPECT_EQ(json->find("timeline")->find("bins")->elements.size(), log.bin_count());
}

TEST(Report, OfNothingIsStillAReport) {
  EXPECT_TRUE(testing::parse_json(to_json(some_report(), PaceLog())));
  EXPECT_NE(to_html(some_report(), PaceLog()).find("</html>"), std::string::npos);
  EXPECT_EQ(pacing_text(PaceLog()), "");
}

TEST(Report, AsAPageHasItsPicturesInItAndFetchesNothing) {
  const std::string page = to_html(some_report(), some_log());
  for (const char* wanted : {"<!doctype html>", "Scheduled against actual", "histogram of lateness", "p99",
                             "sha256 abc", "a &lt;b&gt; &amp; &quot;c&quot;.jsonl", "clients_cut", "</html>"}) {
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
  }
  for (const char* unwanted : {"http", "src=", "href", "<script", "url(", "@import", "nan", "inf\""}) {
    EXPECT_EQ(page.find(unwanted), std::string::npos) << unwanted;
  }
}

TEST(Report, IsRefusedBeforehandWhereItCannotBeWrittenAndLeavesWhatIsThere) {
  const ScratchFolder folder;
  EXPECT_EQ(check_report_path(folder / "missing/report.json").error().code, ErrorCode::environment);
  EXPECT_EQ(check_report_path(folder / ".").error().code, ErrorCode::usage);
  const auto path = folder / "report.HTML";
  std::ofstream(path) << "before";
  EXPECT_TRUE(check_report_path(path));
  EXPECT_EQ(read_text(path), "before");
  EXPECT_TRUE(write_report(path, some_report(), some_log()));
  EXPECT_EQ(read_text(path).substr(0, 15), "<!doctype html>");
  const auto json = folder / "report.txt";
  EXPECT_TRUE(write_report(json, some_report(), some_log()));
  EXPECT_TRUE(testing::parse_json(read_text(json)));
}

SessionSummary an_hour() {
  SessionSummary session;
  session.trades = 36'000;
  session.first_ns = 1'000'000 * kSecond;
  session.last_ns = 1'003'600 * kSecond;
  return session;
}

TEST(ProgressText, SaysHowFarItIsAndHowLongItTakes) {
  ProgressFigures figures;
  figures.trades = 9000;
  figures.trades_per_second = 1600.4;
  EXPECT_EQ(progress_line(figures), "9,000 trades, 1,600 trades/s");
  figures.market_ns = 1'000'900 * kSecond;
  estimate(figures, Pace{Pace::Kind::recorded, 20, 0}, an_hour(), 1, 0);
  EXPECT_EQ(progress_line(figures), "9,000 trades, 1,600 trades/s, at 1970-01-12T14:01:40.000Z, 25 %, 0:02:15 left");
  estimate(figures, Pace{Pace::Kind::rate, 1, 100}, an_hour(), 1, 0);
  EXPECT_DOUBLE_EQ(*figures.left_s, 270);
  estimate(figures, Pace{Pace::Kind::max, 1, 0}, an_hour(), 1, 2);
  EXPECT_DOUBLE_EQ(*figures.left_s, 6);
  estimate(figures, Pace{Pace::Kind::recorded, 1, 0}, an_hour(), 4, 0);
  EXPECT_DOUBLE_EQ(*figures.share, 0.0625);
  ProgressFigures endless;
  endless.market_ns = figures.market_ns;
  estimate(endless, Pace{Pace::Kind::recorded, 1, 0}, an_hour(), 0, 0);
  EXPECT_FALSE(endless.share || endless.left_s);
}

TEST(ProgressText, ABarNeverReachesTheTerminalsEdge) {
  ProgressFigures figures;
  figures.trades = 9000;
  figures.share = 0.25;
  EXPECT_EQ(progress_bar(figures, 80).substr(0, 33), "[#######.......................] ");
  for (std::size_t columns = 0; columns < 120; ++columns) {
    EXPECT_LT(progress_bar(figures, columns).size(), std::max<std::size_t>(columns, 1));
  }
}

/// What a Progress writes into a pipe while its player plays.
std::string said_by(bool quiet) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe(pipe.data()), 0);
  PlayPosition position;
  const SessionSurvey survey({});
  ProgressOptions options;
  options.quiet = quiet;
  options.descriptor = pipe[1];
  options.line_interval_ns = kMillisecond;
  {
    Progress progress(options, position, survey);
    EXPECT_TRUE(progress.start());
    position.trades.store(1234);
    if (!quiet) {
      pollfd first_line{pipe[0], POLLIN, 0};
      EXPECT_EQ(::poll(&first_line, 1, 60'000), 1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(quiet ? 100 : 20));  // time for what is too much
    progress.say("waits for Kafka");
    progress.finish();
  }
  ::close(pipe[1]);
  std::string said;
  std::array<char, 4096> bytes{};
  for (ssize_t count = 0; (count = ::read(pipe[0], bytes.data(), bytes.size())) > 0;) {
    said.append(bytes.data(), static_cast<std::size_t>(count));
  }
  ::close(pipe[0]);
  return said;
}

TEST(Progress, WritesPlainLinesWhereThereIsNoTerminalAndOnceWhereNothingMoves) {
  const std::string said = said_by(false);
  EXPECT_NE(said.find("mdreplay: waits for Kafka\n"), std::string::npos) << said;
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
  const std::size_t first = said.find("mdreplay: 1,234 trades");
  EXPECT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("1,234", first + 15), std::string::npos) << said;
}

TEST(Progress, IsQuietWhereItIsAskedToBe) {
  EXPECT_EQ(said_by(true), "mdreplay: waits for Kafka\n");
}

std::vector<std::string> described(const std::vector<FrameElement>& elements) {
  std::vector<std::string> words;
  for (const FrameElement& element : elements) {
    words.push_back(fmt::format("{} {} {} {} {} {} {} {}", element.offset, element.length, element.symbol,
                                element.is_trade, element.trade_flags, element.exchange_time_ms,
                                element.is_trade ? element.time_offset : 0,
                                element.is_trade ? element.time_length : 0));
  }
  return words;
}

std::string shifted(const std::string& frame, std::int64_t shift_ms, std::uint64_t cut = 0) {
  SymbolTable symbols;
  FrameParser parser(symbols);
  FrameShape shape;
  std::string out;
  EXPECT_TRUE(parser.parse(frame, shape));
  std::vector<FrameElement> moved;
  EXPECT_EQ(shift_times(frame, shape.elements, shift_ms, out, moved), cut);
  FrameShape again;
  EXPECT_TRUE(parser.parse(out, again));
  EXPECT_EQ(described(moved), described(again.elements));
  return out;
}

TEST(Rebase, MovesTheTimesOfTradesAndNotOneByteElse) {
  EXPECT_EQ(
      shifted(
          R"({ "data" :[ {"t": 999 ,"p":1.50,"s":"t","v":1} , {"s":"A","p":1,"t":-5,"v":0,"x":{"t":7}}],"type":"trade"})",
          10),
      R"({ "data" :[ {"t": 1009 ,"p":1.50,"s":"t","v":1} , {"s":"A","p":1,"t":5,"v":0,"x":{"t":7}}],"type":"trade"})");
  EXPECT_EQ(shifted(R"({"data":[{"\u0074":1381132800000,"p":1,"s":"A","v":1}],"type":"trade"})", -1),
            R"({"data":[{"\u0074":1381132799999,"p":1,"s":"A","v":1}],"type":"trade"})");
  // What is no trade stays as it is.
  const std::string no_trade = R"({"data":[{"t":1,"s":"A","v":1},{"t":1.5,"p":1,"s":"A","v":1},7],"type":"trade"})";
  EXPECT_EQ(shifted(no_trade, 1000), no_trade);
}

TEST(Rebase, StaysWithinWhatATradeMayHave) {
  EXPECT_EQ(shifted(R"({"data":[{"t":9223372036850,"p":1,"s":"A","v":1}],"type":"trade"})", 100, 1),
            R"({"data":[{"t":9223372036854,"p":1,"s":"A","v":1}],"type":"trade"})");
  EXPECT_EQ(shifted(R"({"data":[{"t":-9223372036854,"p":1,"s":"A","v":1}],"type":"trade"})", -1, 1),
            R"({"data":[{"t":-9223372036854,"p":1,"s":"A","v":1}],"type":"trade"})");
}

}  // namespace
}  // namespace mdpipe::replay
