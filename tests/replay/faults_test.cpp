// What goes wrong on purpose: the file that says it, when it strikes, what it makes of the bytes.

#include <set>
#include <utility>

#include "mdpipe/base/base64.hpp"
#include "replay/serve/faults/effect.hpp"
#include "replay/serve/faults/example.hpp"
#include "replay/serve/faults/line.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

/// One fault, as the rest of a [[fault]] table.
Result<FaultPlan> plan_of(const std::string& text, std::uint64_t seed = 1) {
  const ScratchFolder folder;
  return FaultPlan::read(folder.write("faults.toml", text), seed);
}

FaultPlan one_fault(const std::string& rest, std::uint64_t seed = 1) {
  auto plan = plan_of("[[fault]]\n" + rest, seed);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *plan : FaultPlan{};
}

std::string frame_number(int number) {
  return frame_text({trade_text("A", number)});
}

/// All that one connection carries of a session of so many frames, one trade each, a second from frame to frame.
struct Carried {
  std::string wire;
  std::vector<std::string> messages;
  std::vector<std::string> notes;
  std::vector<Hold::Kind> holds;
  std::size_t partial_bytes = 0;
};

Carried carry(const FaultPlan& plan, int frames = 40, std::uint64_t connection = 1) {
  OutQueue out;
  SessionClock clock;
  FaultLine line(plan, connection, out, clock);
  for (int i = 1; i <= frames; ++i) {
    const std::int64_t now_ns = std::int64_t{1'000'000'000} * i;
    clock.first_ns = clock.first_ns == kNoTime ? now_ns : clock.first_ns;
    line.offer(frame_number(i), true, 1, now_ns);
    clock.played_ns = now_ns;
  }
  line.flush();
  Carried carried;
  const auto take = [&](std::size_t bytes) {
    out.taken(
        bytes, [&](const OutQueue::Sent& sent) { carried.messages.emplace_back(sent.text); },
        [&](const std::string& note) { carried.notes.push_back(note); });
  };
  while (out.size() != 0 || out.has_holds()) {
    const std::string_view bytes = out.front();
    carried.wire.append(bytes);
    take(bytes.size());
    if (const Hold* const hold = out.hold(); hold != nullptr) {
      carried.holds.push_back(hold->kind);
      if (hold->kind != Hold::Kind::pause) {
        break;
      }
      out.pass_hold();
    }
  }
  carried.partial_bytes = out.partly_sent_bytes();
  return carried;
}

std::vector<std::string> plain_frames(int first, int last) {
  std::vector<std::string> frames;
  for (int i = first; i <= last; ++i) {
    frames.push_back(frame_number(i));
  }
  return frames;
}

TEST(FaultPlan, ReadsWhatAFileSays) {
  const auto plan = plan_of(R"(
# on the second connection
[[fault]]
kind = "close"
trade = 500
code = 1012
connection = 2

[[fault]]
kind = "silence"
time = "2013-10-07T14:30:00Z"
seconds = 1.5
pings = true

[[fault]]
kind = "malformed"
rate = 0.25
payloads = ["nan", "opcode"]
)",
                            7);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->faults.size(), 3U);
  EXPECT_EQ(plan->seed, 7U);
  EXPECT_EQ(plan->faults[0].kind, FaultKind::close);
  EXPECT_EQ(plan->faults[0].line, 3);
  EXPECT_EQ(plan->faults[0].trade, 500U);
  EXPECT_EQ(plan->faults[0].code, 1012);
  EXPECT_EQ(plan->faults[0].connection, 2U);
  EXPECT_EQ(plan->faults[1].time_ns, 1'381'156'200'000'000'000);
  EXPECT_FALSE(plan->faults[1].time_counts_from_start);
  EXPECT_EQ(plan->faults[1].pause_ms, 1500U);
  EXPECT_TRUE(plan->faults[1].pings);
  EXPECT_EQ(plan->faults[2].rate, 0.25);
  EXPECT_EQ(plan->faults[2].payloads, (std::vector{Malformed::nan, Malformed::opcode}));
}

TEST(FaultPlan, ReadsTheExampleOfTheHelpWhichHasEveryKindAndEveryPayload) {
  const auto plan = plan_of(std::string(kFaultsExample));
  ASSERT_TRUE(plan) << plan.error().message;
  std::set<FaultKind> kinds;
  std::size_t payloads = 0;
  for (const Fault& fault : plan->faults) {
    kinds.insert(fault.kind);
    payloads += fault.kind == FaultKind::malformed ? fault.payloads.size() : 0;
  }
  EXPECT_EQ(kinds.size(), static_cast<std::size_t>(FaultKind::slow) + 1);
  EXPECT_EQ(payloads, static_cast<std::size_t>(Malformed::opcode) + 1);
}

TEST(FaultPlan, SaysFileLineAndWhatIsWantedWhereItMakesNoSense) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "there is no [[fault]]"},
      {"fault = 1\n", "faults.toml:1: fault: want [[fault]] tables"},
      {"[faults]\n", "faults.toml:1: faults: want [[fault]] tables"},
      {"[[fault]]\nkind = \"close\"\ntrade = = 1\n", "faults.toml:3: "},
      {"[[fault]]\ntrade = 1\n", "faults.toml:1: kind: want one of close, silence,"},
      {"[[fault]]\nkind = \"explode\"\n", "faults.toml:2: kind = \"explode\": want one of"},
      {"[[fault]]\nkind = \"close\"\ntrade = 1\nseconds = 1\n",
       "faults.toml:4: seconds: there is no such key at \"close\""},
      {"[[fault]]\nkind = \"close\"\n", "faults.toml:1: \"close\": say when, once: trade = N"},
      {"[[fault]]\nkind = \"close\"\ntrade = 1\nrate = 0.5\n", "say when, once"},
      {"[[fault]]\nkind = \"close\"\ntrade = 0\n", "faults.toml:3: trade: want a whole number, 1 to"},
      {"[[fault]]\nkind = \"close\"\ntrade = 1.5\n", "trade: want a whole number"},
      {"[[fault]]\nkind = \"close\"\ntrade = 1\ncode = 99\n", "code: want a whole number, 1000 to 4999"},
      {"[[fault]]\nkind = \"close\"\ntrade = 1\ncode = 1000\nreset = true\n", "faults.toml:5: reset: "},
      {"[[fault]]\nkind = \"drip\"\nrate = 1.5\n", "rate: want a number, 0 to 1"},
      {"[[fault]]\nkind = \"drip\"\nrate = nan\n", "rate: want a number, 0 to 1"},
      {"[[fault]]\nkind = \"drip\"\ntime = \"soon\"\n", "faults.toml:3: time: "},
      {"[[fault]]\nkind = \"drip\"\ntime = true\n", "time: want seconds from the session's start"},
      {"[[fault]]\nkind = \"slow\"\nconnection = 1\n", "say how slow: seconds = N"},
      {"[[fault]]\nkind = \"refuse\"\n", "say when: connection = N or rate = P"},
      {"[[fault]]\nkind = \"refuse\"\ntrade = 1\n", "trade: there is no such key at \"refuse\""},
      {"[[fault]]\nkind = \"malformed\"\nrate = 1\npayloads = [\"bad\"]\n", "payloads: want a list of truncated,"},
      {"[[fault]]\nkind = \"silence\"\nrate = 1\npings = 1\n", "pings: want true or false"},
  };
  for (const auto& [text, complaint] : cases) {
    const auto plan = plan_of(text);
    ASSERT_FALSE(plan) << text;
    EXPECT_EQ(plan.error().code, ErrorCode::usage);
    EXPECT_NE(plan.error().message.find(complaint), std::string::npos) << text << plan.error().message;
  }
  EXPECT_EQ(FaultPlan::read("/no/such/file", 1).error().code, ErrorCode::environment);
}

TEST(FaultLine, ChangesNothingWhereNothingStrikes) {
  const Carried carried = carry(one_fault("kind = \"drip\"\nrate = 0\n"));
  EXPECT_EQ(carried.messages, plain_frames(1, 40));
  EXPECT_TRUE(carried.notes.empty() && carried.holds.empty());
}

TEST(FaultLine, StrikesAtATradeOnceAndOnTheConnectionThatIsNamed) {
  const FaultPlan plan = one_fault("kind = \"duplicate\"\ntrade = 7\nconnection = 2\n");
  EXPECT_EQ(carry(plan, 40, 1).notes.size(), 0U);
  const Carried carried = carry(plan, 40, 2);
  ASSERT_EQ(carried.notes.size(), 1U);
  EXPECT_EQ(carried.notes[0], R"("frame":7,"kind":"duplicate","line":1,"times":3)");
  std::vector<std::string> wanted = plain_frames(1, 40);
  wanted.insert(wanted.begin() + 7, 2, frame_number(7));
  EXPECT_EQ(carried.messages, wanted);
}

TEST(FaultLine, StrikesAtATimeOfTheSessionButNotOnWhoCameLater) {
  const FaultPlan plan = one_fault("kind = \"duplicate\"\ntime = 4.5\n");
  EXPECT_TRUE(carry(plan).notes.at(0).starts_with("\"frame\":6,"));  // the first frame is at 0 s
  const FaultPlan absolute = one_fault("kind = \"duplicate\"\ntime = \"1970-01-01T00:00:09Z\"\n");
  EXPECT_TRUE(carry(absolute).notes.at(0).starts_with("\"frame\":9,"));
  OutQueue out;
  const SessionClock late{1'000'000'000, 9'000'000'000};
  FaultLine line(absolute, 2, out, late);
  line.offer("x", true, 0, 10'000'000'000);
  const std::size_t plain_bytes = out.size();
  EXPECT_EQ(plain_bytes, 3U);
}

TEST(FaultLine, OfTwoThatStrikeOneFrameTheSecondTakesTheNext) {
  const auto plan = plan_of("[[fault]]\nkind = \"duplicate\"\ntrade = 5\n[[fault]]\nkind = \"fragment\"\ntrade = 5\n");
  const Carried carried = carry(*plan);
  ASSERT_EQ(carried.notes.size(), 2U);
  EXPECT_TRUE(carried.notes[0].starts_with(R"("frame":5,"kind":"duplicate")"));
  EXPECT_TRUE(carried.notes[1].starts_with(R"("frame":6,"kind":"fragment")"));
}

TEST(FaultLine, StrikesAboutAsOftenAsARateSays) {
  const Carried carried = carry(one_fault("kind = \"duplicate\"\nrate = 0.25\ntimes = 2\n"), 4000);
  EXPECT_GT(carried.notes.size(), 850U);
  EXPECT_LT(carried.notes.size(), 1150U);
  EXPECT_EQ(carried.messages.size(), 4000 + carried.notes.size());
}

/// Every kind whose bytes hang on chance.
class FaultSeed : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, FaultSeed,
                         testing::Values("stall\"\nseconds = 0.001", "fragment\"", "reorder\"", "corrupt\"",
                                         "corrupt\"\nascii = true",
                                         "malformed\"\npayloads = [\"truncated\", \"garbage\", \"nan\", \"nested\"]"));

TEST_P(FaultSeed, GivesTheSameBytesAgainAndAnotherSeedGivesOthers) {
  const std::string rest = "kind = \"" + std::string(GetParam()) + "\nrate = 0.3\n";
  const Carried carried = carry(one_fault(rest, 11));
  const Carried again = carry(one_fault(rest, 11));
  const Carried other = carry(one_fault(rest, 12));
  const Carried elsewhere = carry(one_fault(rest, 11), 40, 2);
  EXPECT_FALSE(carried.notes.empty());
  EXPECT_EQ(carried.wire, again.wire);
  EXPECT_EQ(carried.notes, again.notes);
  EXPECT_NE(carried.notes, other.notes);
  EXPECT_NE(carried.notes, elsewhere.notes);
}

TEST(FaultLine, ClosesBehindTheFrameAndSendsNoMore) {
  for (const auto& [rest, hold, note] : std::vector<std::tuple<std::string, Hold::Kind, std::string>>{
           {"code = 1012", Hold::Kind::close, R"("code":1012)"},
           {"", Hold::Kind::end, R"("code":null,"reset":false)"},
           {"reset = true", Hold::Kind::reset, R"("reset":true)"}}) {
    const Carried carried = carry(one_fault("kind = \"close\"\ntrade = 9\n" + rest + "\n"));
    EXPECT_EQ(carried.messages, plain_frames(1, 9));
    EXPECT_EQ(carried.holds, std::vector{hold});
    EXPECT_NE(carried.notes.at(0).find(note), std::string::npos);
  }
}

TEST(FaultLine, GoesSilentForATimeOrForGood) {
  const Carried passing = carry(one_fault("kind = \"silence\"\ntrade = 9\nseconds = 2\n"));
  EXPECT_EQ(passing.messages, plain_frames(1, 40));
  EXPECT_EQ(passing.holds, std::vector{Hold::Kind::pause});
  const Carried lasting = carry(one_fault("kind = \"silence\"\ntrade = 9\npings = true\n"));
  EXPECT_EQ(lasting.messages, plain_frames(1, 9));
  EXPECT_EQ(lasting.holds, std::vector{Hold::Kind::mute});
  EXPECT_NE(lasting.notes.at(0).find(R"("seconds":null,"pings":true)"), std::string::npos);
}

TEST(FaultLine, StallsWithinAFrame) {
  const FaultPlan lasting = one_fault("kind = \"stall\"\ntrade = 9\n");
  const Carried carried = carry(lasting);
  EXPECT_EQ(carried.messages, plain_frames(1, 8));
  EXPECT_GT(carried.partial_bytes, 0U);
  EXPECT_NE(carried.notes.at(0).find("\"sent_bytes\":" + std::to_string(carried.partial_bytes) + ","),
            std::string::npos);
  const Carried passing = carry(one_fault("kind = \"stall\"\ntrade = 9\nseconds = 1\n"));
  EXPECT_EQ(passing.messages, plain_frames(1, 40));
  EXPECT_TRUE(passing.wire.starts_with(carried.wire));
  EXPECT_EQ(passing.holds, std::vector{Hold::Kind::pause});
}

TEST(FaultLine, DripsAFrameAFewBytesAtATime) {
  const Carried carried = carry(one_fault("kind = \"drip\"\ntrade = 9\nbytes = 10\n"));
  EXPECT_EQ(carried.messages, plain_frames(1, 40));
  EXPECT_EQ(carried.holds.size(), (frame_number(9).size() + 2 - 1) / 10);
}

TEST(FaultLine, PutsAWindowIntoAnotherOrderAndTellsWhich) {
  const Carried carried = carry(one_fault("kind = \"reorder\"\ntrade = 9\nwindow = 5\n"));
  ASSERT_EQ(carried.notes.size(), 1U);
  std::vector<std::string> wanted = plain_frames(1, 40);
  const std::string& note = carried.notes[0];
  const std::size_t list = note.find("\"order\":[") + 9;
  for (std::size_t i = 0; i < 5; ++i) {
    wanted[8 + i] = frame_number(9 + (note[list + 2 * i] - '0'));
  }
  EXPECT_EQ(carried.messages, wanted);
  EXPECT_NE(carried.messages, plain_frames(1, 40));
  // At the session's end what there is of the window goes out.
  const Carried cut = carry(one_fault("kind = \"reorder\"\ntrade = 39\nwindow = 5\n"));
  EXPECT_EQ(cut.messages.size(), 40U);
  EXPECT_EQ(cut.messages[38], frame_number(40));
}

TEST(FaultLine, SendsNothingBehindWhatRfc6455LetsAClientCloseOn) {
  for (const std::string payload : {"not_utf8", "reserved_bits", "opcode"}) {
    const Carried carried = carry(one_fault("kind = \"malformed\"\ntrade = 9\npayloads = [\"" + payload + "\"]\n"));
    EXPECT_EQ(carried.messages.size(), payload == "not_utf8" ? 10U : 9U);
    EXPECT_EQ(carried.holds, std::vector{Hold::Kind::mute});
  }
  EXPECT_EQ(carry(one_fault("kind = \"corrupt\"\ntrade = 9\nbytes = 40\n")).holds, std::vector{Hold::Kind::mute});
  EXPECT_TRUE(carry(one_fault("kind = \"corrupt\"\nrate = 1\nascii = true\n"), 400).holds.empty());
}

TEST(Handshakes, MeetTheFaultOfTheirConnection) {
  const auto plan = plan_of(
      "[[fault]]\nkind = \"refuse\"\nconnection = 2\nstatus = 429\nretry_after_s = 7\n"
      "[[fault]]\nkind = \"slow\"\nrate = 0.5\nseconds = 1\n[[fault]]\nkind = \"drip\"\nrate = 1\n");
  ASSERT_TRUE(plan);
  EXPECT_EQ(handshake_fault(*plan, 2), &plan->faults[0]);
  std::set<const Fault*> met;
  for (std::uint64_t connection = 3; connection < 40; ++connection) {
    met.insert(handshake_fault(*plan, connection));
  }
  EXPECT_EQ(met, (std::set<const Fault*>{nullptr, &plan->faults[1]}));
  EXPECT_TRUE(refusal(plan->faults[0]).starts_with("HTTP/1.1 429 "));
  EXPECT_NE(refusal(plan->faults[0]).find("\r\nRetry-After: 7\r\n"), std::string::npos);
}

TEST(Effects, FragmentsCarryTheMessageAndOnlyTheLastIsFinal) {
  Random random(5);
  for (const std::size_t size : {0U, 1U, 40U, 500U, 70'000U}) {
    const std::string text(size, 'x');
    const std::string wire = fragmented(text, 5, random);
    std::size_t at = 0;
    std::size_t payload = 0;
    for (int part = 0; part < 5; ++part) {
      const auto first = static_cast<unsigned char>(wire.at(at));
      EXPECT_EQ(first, (part == 0 ? 1U : 0U) | (part == 4 ? 0x80U : 0U));
      std::size_t length = static_cast<unsigned char>(wire.at(at + 1));
      const std::size_t length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
      if (length_bytes != 0) {
        length = 0;
        for (std::size_t i = 0; i < length_bytes; ++i) {
          length = length << 8U | static_cast<unsigned char>(wire.at(at + 2 + i));
        }
      }
      at += 2 + length_bytes + length;
      payload += length;
    }
    EXPECT_EQ(at, wire.size());
    EXPECT_EQ(payload, size);
  }
}

TEST(Effects, CorruptionChangesSoManyBytes) {
  Random random(5);
  const std::string text = frame_number(1) + "\xC3\x84";
  for (const bool ascii : {false, true}) {
    for (const std::uint32_t bytes : {1U, 7U, 10'000U}) {
      const std::string out = corrupted(text, bytes, ascii, random);
      ASSERT_EQ(out.size(), text.size());
      std::size_t changed = 0;
      for (std::size_t i = 0; i < text.size(); ++i) {
        changed += out[i] != text[i] ? 1U : 0U;
      }
      EXPECT_EQ(changed, std::min<std::size_t>(bytes, text.size() - (ascii ? 2 : 0)));
      EXPECT_TRUE(!ascii || is_utf8(out));
    }
  }
}

}  // namespace
}  // namespace mdpipe::replay
