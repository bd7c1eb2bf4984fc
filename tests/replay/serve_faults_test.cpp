// Faults on purpose, one connection a key and the token, over a socket.

#include "serve_fixture.hpp"

namespace mdpipe::replay {
namespace {

class ServeFaults : public Serve {
 protected:
  ServeFaults() { options_.fault_log = folder_ / "fault-log"; }
  void use_faults(const std::string& text) { options_.faults = folder_.write("faults.toml", text); }
  [[nodiscard]] std::string fault_log() const { return read_text(options_.fault_log); }
  /// A session of so many frames of one trade.
  std::vector<std::string> use_frames(int count) {
    std::vector<std::string> frames;
    for (int i = 0; i < count; ++i) {
      frames.push_back(frame_text({trade_text("A", i)}));
    }
    use(frames);
    return frames;
  }
};

std::vector<std::string> part(const std::vector<std::string>& frames, std::size_t begin, std::size_t end) {
  return {frames.begin() + static_cast<std::ptrdiff_t>(begin), frames.begin() + static_cast<std::ptrdiff_t>(end)};
}

TEST_F(ServeFaults, EachConnectionEndsAsItIsToAndTheNextGoesOnBehindIt) {
  const auto frames = use_frames(60);
  use_faults(R"(
[[fault]]
kind = "close"
connection = 1
trade = 10
code = 1012

[[fault]]
kind = "close"
connection = 2
trade = 10

[[fault]]
kind = "refuse"
connection = 3
status = 503

[[fault]]
kind = "slow"
connection = 4
seconds = 0.05

[[fault]]
kind = "close"
connection = 4
trade = 10
code = 1005

[[fault]]
kind = "malformed"
connection = 5
trade = 10
payloads = ["not_utf8"]
)");
  RunningServer server(options_);
  const Seen first = run_client(server, {"A"});
  EXPECT_EQ(first.frames, part(frames, 0, 10));
  EXPECT_EQ(first.close_code, 1012);
  const Seen second = run_client(server, {"A"});
  EXPECT_EQ(second.frames, part(frames, 10, 20));
  EXPECT_EQ(second.close_code, 0);  // no close frame
  EXPECT_EQ(run_client(server, {"A"}).status, 503U);
  const Seen fourth = run_client(server, {"A"});
  EXPECT_EQ(fourth.frames, part(frames, 20, 30));
  EXPECT_EQ(fourth.close_code, 0);  // a close frame without a code
  EXPECT_EQ(run_client(server, {"A"}).frames, part(frames, 30, 40));
  const Seen last = run_client(server, {"A"});
  EXPECT_EQ(last.frames, part(frames, 40, 60));
  EXPECT_EQ(last.close_code, 1000);
  const auto report = server.wait();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->faults, 6U);
  EXPECT_EQ(
      fault_log(),
      "{\"connection\":1,\"message\":10,\"frame\":10,\"kind\":\"close\",\"line\":2,\"code\":1012}\n"
      "{\"connection\":2,\"message\":10,\"frame\":10,\"kind\":\"close\",\"line\":8,\"code\":null,\"reset\":false}\n"
      "{\"connection\":3,\"message\":0,\"frame\":0,\"kind\":\"refuse\",\"line\":13,\"status\":503}\n"
      "{\"connection\":4,\"message\":0,\"frame\":0,\"kind\":\"slow\",\"line\":18,\"seconds\":0.05}\n"
      "{\"connection\":4,\"message\":10,\"frame\":10,\"kind\":\"close\",\"line\":23,\"code\":1005}\n"
      "{\"connection\":5,\"message\":11,\"frame\":10,\"kind\":\"malformed\",\"line\":29,\"payload\":\"not_utf8\","
      "\"wire\":\"gSR7ImRhdGEiOlt7InMiOiL//iJ9XSwidHlwZSI6InRyYWRlIn0=\"}\n");
}

TEST_F(ServeFaults, WhatDoesNotEndAConnectionLeavesEveryMessageAsItWas) {
  const auto frames = use_frames(2'000);
  use_faults(
      "[[fault]]\nkind = \"fragment\"\nrate = 0.2\n[[fault]]\nkind = \"drip\"\ntrade = 50\nevery_ms = 1\n"
      "[[fault]]\nkind = \"stall\"\ntrade = 500\nseconds = 0.02\n[[fault]]\nkind = \"silence\"\ntrade = 900\nseconds = "
      "0.02\n");
  RunningServer server(options_);
  const Seen seen = run_client(server, {"A"});
  EXPECT_TRUE(seen.frames == frames);
  EXPECT_EQ(seen.close_code, 1000);
  EXPECT_TRUE(server.wait());
  EXPECT_TRUE(read_log(options_.log).at(1).frames == frames);
  for (const std::string kind : {"fragment", "drip", "stall", "silence"}) {
    EXPECT_NE(fault_log().find("\"kind\":\"" + kind + "\""), std::string::npos) << kind;
  }
}

TEST_F(ServeFaults, TheSameSeedGivesTheSameLogAndTheSameMessagesOverTls) {
  use_storm(3'000);
  options_.tls_certificate = folder_ / "cert.pem";
  options_.tls_key = folder_ / "key.pem";
  make_certificate(options_.tls_certificate, options_.tls_key);
  use_faults(
      "[[fault]]\nkind = \"reorder\"\nrate = 0.05\n[[fault]]\nkind = \"corrupt\"\nrate = 0.05\nascii = true\n"
      "[[fault]]\nkind = \"malformed\"\nrate = 0.1\npayloads = [\"truncated\", \"garbage\", \"nested\", \"binary\"]\n");
  std::set<std::string> logs;
  std::set<std::vector<std::string>> seen;
  for (const std::uint64_t seed : {5U, 5U, 6U}) {
    options_.seed = seed;
    RunningServer server(options_);
    seen.insert(run_tls_client(server, all_symbols(), options_.tls_certificate).frames);
    EXPECT_TRUE(server.wait());
    logs.insert(fault_log());
    EXPECT_GT(fault_log().size(), 1000U);
  }
  EXPECT_EQ(logs.size(), 2U);
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(ServeFaults, AMutedClientThatStaysIsCutOffAndHoldsTheMarketUntilThen) {
  const auto frames = use_frames(40);
  use_faults("[[fault]]\nkind = \"stall\"\nconnection = 1\ntrade = 10\n");
  options_.stall_timeout_s = 1;
  RunningServer server(options_);
  EXPECT_EQ(run_client(server, {"A"}).frames, part(frames, 0, 9));
  EXPECT_EQ(run_client(server, {"A"}).frames, part(frames, 10, 40));
  EXPECT_TRUE(server.wait());
}

TEST_F(ServeFaults, AFaultWithoutEndDoesNotKeepTheServerFromStopping) {
  use_frames(40);
  use_faults("[[fault]]\nkind = \"silence\"\ntrade = 10\nseconds = 80000\n");
  options_.once = false;
  RunningServer server(options_);
  int heard = 0;
  auto client = std::async(std::launch::async, [&] {
    return run_client(server, {"A"}, [&](const std::string&) {
      if (++heard == 10) {
        ::kill(::getpid(), SIGTERM);
      }
      return true;
    });
  });
  EXPECT_EQ(client.get().frames.size(), 10U);
  EXPECT_TRUE(server.wait());
}

TEST_F(ServeFaults, AreRefusedWhereTheFileMakesNoSense) {
  use_frames(1);
  const auto code = [&] {
    const auto report = serve(options_, [](const std::string&) { FAIL() << "it listens"; });
    return report ? 0 : exit_code(report.error());
  };
  options_.listen = "127.0.0.1:0";
  EXPECT_EQ(code(), 2);  // a fault log without faults
  options_.faults = folder_ / "none";
  EXPECT_EQ(code(), 3);
  use_faults("[[fault]]\nkind = \"close\"\n");
  EXPECT_EQ(code(), 2);
}

TEST_F(Serve, OneConnectionAKeyDropsBothWhereASecondComes) {
  use({frame_text({trade_text("A", 1)})});
  options_.once = false;
  options_.one_connection = true;
  RunningServer server(options_);
  // Nobody has a symbol of the session: whenever the market begins, nobody gets anything.
  auto first = std::async(std::launch::async, [&] { return run_client(server, {"X"}, {}, "/?token=one"); });
  auto other = std::async(std::launch::async, [&] { return run_client(server, {"X"}, {}, "/?token=two"); });
  const auto subscribed = [&] {
    std::size_t count = 0;
    for (const auto& [number, logged] : read_log(options_.log)) {
      count += logged.symbols.size();
    }
    return count;
  };
  while (subscribed() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(run_client(server, {}, {}, "/?token=one").frames.empty());
  EXPECT_TRUE(first.get().frames.empty());
  EXPECT_EQ(other.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout) << "another key's stays";
  EXPECT_EQ(read_text(options_.log).find("token"), std::string::npos);
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(other.get().close_code, 1001);
  EXPECT_TRUE(server.wait());
}

TEST_F(Serve, TakesItsTokenWithoutAFileToo) {
  use_storm(10);
  options_.token = Secret("canary-7263");
  RunningServer server(options_);
  EXPECT_EQ(run_client(server, {}, {}, "/?token=canary-7262").status, 401U);
  EXPECT_EQ(run_client(server, all_symbols(), {}, "/?token=canary-7263").close_code, 1000);
  EXPECT_TRUE(server.wait());
}

}  // namespace
}  // namespace mdpipe::replay
