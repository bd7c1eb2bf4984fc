// The server end to end, against an independent client (Beast's).

#include "serve_fixture.hpp"

namespace mdpipe::replay {
namespace {

TEST_F(Serve, SendsTheSessionByteForByteAndClosesInGoodOrder) {
  use_storm(20'000);
  const auto session = read_session(options_.session);
  RunningServer server(options_);
  const Seen seen = run_client(server, all_symbols());
  EXPECT_EQ(seen.frames, session.frames);
  EXPECT_EQ(seen.close_code, 1000);
  const auto report = server.wait();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->frames, session.frames.size());
  EXPECT_EQ(report->trades, 20'000U);
  const auto log = read_log(options_.log);
  EXPECT_EQ(log.at(1).frames, session.frames);
  EXPECT_EQ(log.at(1).symbols.size(), 12U);
  EXPECT_EQ(log.at(1).closed, R"(1000,"by":"server","partial_bytes":0})");
}

TEST_F(Serve, SpeaksTls) {
  use_storm(20'000);
  options_.tls_certificate = folder_ / "cert.pem";
  options_.tls_key = folder_ / "key.pem";
  make_certificate(options_.tls_certificate, options_.tls_key);
  const auto session = read_session(options_.session);
  RunningServer server(options_);
  EXPECT_TRUE(server.url.starts_with("wss://127.0.0.1:"));
  const Seen seen = run_tls_client(server, all_symbols(), options_.tls_certificate);
  EXPECT_EQ(seen.frames, session.frames);
  EXPECT_EQ(seen.close_code, 1000);
  EXPECT_TRUE(server.wait());
  EXPECT_EQ(read_log(options_.log).at(1).frames, session.frames);
}

TEST_F(Serve, LeavesOutWhatIsNotSubscribed) {
  const std::string a = R"({"s":"A\u0042", "p":1,"v":1,"t":1 })";
  const std::string b = trade_text("B", 2);
  const std::string c = trade_text("C", 2);
  use({frame_text({a, b, c, a}), frame_text({b}), R"({"type":"ping"})", frame_text({a}), frame_text({b, c})});
  RunningServer server(options_);
  const Seen seen = run_client(server, {"AB", "C"});
  EXPECT_EQ(seen.frames,
            (std::vector<std::string>{frame_text({a, c, a}), R"({"type":"ping"})", frame_text({a}), frame_text({c})}));
  EXPECT_TRUE(server.wait());
  EXPECT_EQ(read_log(options_.log).at(1).frames, seen.frames);
}

TEST_F(Serve, GivesTwoClientsEachItsOwn) {
  use_storm(5'000);
  const Symbols some = {"AAPL", "SPY"};
  Symbols others = all_symbols();
  std::erase_if(others, [&](const std::string& symbol) { return symbol == "AAPL" || symbol == "SPY"; });
  const auto wanted_by = [&](const Symbols& symbols) {
    SessionOptions session = options_.session;
    session.symbols = symbols;
    return read_session(session).frames;
  };
  RunningServer server(options_);
  // Neither wants everything: the market stands until both are there.
  auto first = std::async(std::launch::async, [&] { return run_client(server, some); });
  const Seen second = run_client(server, others);
  EXPECT_EQ(second.frames, wanted_by(others));
  EXPECT_EQ(first.get().frames, wanted_by(some));
  EXPECT_TRUE(server.wait());
}

TEST_F(Serve, StandsWhileNobodyListensAndGoesOnWhereItWas) {
  use_storm(30'000);
  // At max speed all may have gone out before the first client's close comes back.
  options_.pace = {Pace::Kind::rate, 1, 30'000};
  const auto session = read_session(options_.session);
  RunningServer server(options_);
  std::size_t count = 0;
  const Seen first = run_client(server, all_symbols(), [&](const std::string&) { return ++count < 100; });
  EXPECT_EQ(first.frames.size(), 100U);
  const Seen second = run_client(server, all_symbols());
  EXPECT_EQ(second.close_code, 1000);
  EXPECT_TRUE(server.wait());
  const auto log = read_log(options_.log);
  // What the kernel took for the first client and it did not read is in the log too: nothing is missing or twice.
  std::vector<std::string> sent = log.at(1).frames;
  EXPECT_TRUE(std::equal(first.frames.begin(), first.frames.end(), sent.begin()));
  EXPECT_EQ(log.at(2).frames, second.frames);
  EXPECT_LT(sent.size(), session.frames.size());
  EXPECT_TRUE(std::equal(sent.begin(), sent.end(), session.frames.begin()));
  // Between the two lies what was queued for the first when it left.
  EXPECT_TRUE(std::equal(second.frames.rbegin(), second.frames.rend(), session.frames.rbegin()));
}

TEST_F(Serve, GivesEachClientItsOwnClockWhereAskedTo) {
  use_storm(2'000);
  options_.per_client = true;
  options_.once = false;
  const auto session = read_session(options_.session);
  RunningServer server(options_);
  for (int i = 0; i < 2; ++i) {
    std::size_t count = 0;
    EXPECT_EQ(
        run_client(server, all_symbols(), [&](const std::string&) { return ++count < session.frames.size(); }).frames,
        session.frames);
  }
}

TEST_F(Serve, BeginsAnewForTheNextClientWhereItIsNotOnce) {
  use_storm(2'000);
  options_.once = false;
  const auto session = read_session(options_.session);
  RunningServer server(options_);
  for (int i = 0; i < 2; ++i) {
    std::size_t count = 0;
    EXPECT_EQ(
        run_client(server, all_symbols(), [&](const std::string&) { return ++count < session.frames.size(); }).frames,
        session.frames);
  }
}

TEST_F(Serve, RefusesAWrongTokenAndNeverWritesItDown) {
  use_storm(10);
  options_.token_file = folder_.write("token", "canary-7261\n");
  std::filesystem::permissions(options_.token_file, std::filesystem::perms::owner_read);
  RunningServer server(options_);
  EXPECT_EQ(run_client(server, {}, {}, "/?token=canary-7262").status, 401U);
  EXPECT_EQ(run_client(server, {}, {}, "/").status, 401U);
  EXPECT_EQ(run_client(server, all_symbols(), {}, "/?token=canary-7261").close_code, 1000);
  EXPECT_TRUE(server.wait());
  EXPECT_EQ(read_text(options_.log).find("canary"), std::string::npos);
}

TEST_F(Serve, TellsAClientThatAsksForTooMuchOrForNonsense) {
  use({frame_text({trade_text("A", 1)})});
  options_.max_symbols = 1;
  RunningServer server(options_);
  const Seen seen = run_client(server, {"B", "A"});
  ASSERT_EQ(seen.frames.size(), 1U);
  EXPECT_EQ(seen.frames[0], R"({"msg":"Subscribing to too many symbols","type":"error"})");
  EXPECT_TRUE(server.wait());
}

TEST_F(Serve, PlaysByTheClockInTheOrderOfTheSchedule) {
  std::vector<std::string> frames;
  for (int i = 0; i < 50; ++i) {
    frames.push_back(frame_text({trade_text("A", 1'000 + (i * 37) % 50)}));
  }
  use(frames);
  options_.pace = {Pace::Kind::recorded, 5, 0};
  RunningServer server(options_);
  EXPECT_EQ(run_client(server, {"A"}).frames, frames);
  EXPECT_TRUE(server.wait());
}

/// A client that subscribes and then reads nothing, for its life.
class DeafClient {
 public:
  DeafClient(const RunningServer& server, const Symbols& symbols) {
    tcp::socket& socket = stream_.next_layer();
    socket.open(tcp::v4());
    socket.set_option(asio::socket_base::receive_buffer_size(4096));
    socket.connect({asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(std::stoi(server.port()))});
    stream_.handshake("127.0.0.1", "/");
    for (const std::string& symbol : symbols) {
      stream_.write(asio::buffer(R"({"type":"subscribe","symbol":)" + quote(symbol) + "}"));
    }
  }

  /// Messages that mean nothing, until `bytes_max` are sent or the server takes no more. How many bytes went.
  std::size_t send_nonsense(std::size_t bytes_max) {
    std::string messages;
    for (int i = 0; i < 10'000; ++i) {
      messages += std::string("\x81\x81\0\0\0\0x", 7);  // masked by zeros
    }
    std::size_t sent = 0;
    while (sent < bytes_max && wait_for(POLLOUT)) {
      const std::size_t begin = sent % messages.size();
      const ssize_t count = ::send(descriptor(), messages.data() + begin, messages.size() - begin, MSG_DONTWAIT);
      sent += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    return sent;
  }

  /// Reads, whatever it is, until the server takes more of what we send.
  bool read_until_it_takes_more() {
    std::string buffer(1U << 20U, '\0');
    while (wait_for(POLLIN | POLLOUT)) {
      if (wait_for(POLLOUT, 0)) {
        return true;
      }
      if (::recv(descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT) == 0) {
        return false;
      }
    }
    return false;
  }

 private:
  int descriptor() { return stream_.next_layer().native_handle(); }
  bool wait_for(int events, int patience_ms = 2000) {
    pollfd poll{descriptor(), static_cast<short>(events), 0};
    return ::poll(&poll, 1, patience_ms) == 1;
  }

  asio::io_context io_;
  websocket::stream<tcp::socket, false> stream_{io_};
};

TEST_F(Serve, ReadsNoMoreOfAClientThatTakesNoAnswersUntilItDoes) {
  use_storm(10);
  options_.once = false;
  RunningServer server(options_);
  DeafClient client(server, {});
  constexpr std::size_t kFarMoreThanSocketsHoldBytes = 48U << 20U;
  EXPECT_LT(client.send_nonsense(kFarMoreThanSocketsHoldBytes), kFarMoreThanSocketsHoldBytes);
  EXPECT_TRUE(client.read_until_it_takes_more());
}

class ServeSlowClients : public Serve {
 protected:
  /// Far more than sockets hold: 40 frames of 1 MB, 20 ms from each other.
  std::vector<std::string> use_large_frames() {
    std::vector<std::string> frames;
    for (int i = 0; i < 40; ++i) {
      const std::string note = R"(,"note":")" + std::string(1U << 20U, 'x') + "\"}";
      std::string trade = trade_text(i % 2 == 0 ? "A" : "B", 20 * i);
      trade.replace(trade.size() - 1, 1, note);
      frames.push_back(frame_text({trade}));
    }
    use(frames);
    return frames;
  }
};

// 10 MB/s, or the 5 that the other client takes under a sanitizer too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
constexpr double kSlowSpeed = 0.1;
#else
constexpr double kSlowSpeed = 0.2;
#endif

TEST_F(ServeSlowClients, AreCutOffAtTheirBoundWhereTheMarketIsPacedAndTheOthersGetAll) {
  // The other one's frames are small: however late all come at once, they are no bound's worth.
  std::vector<std::string> frames;
  std::vector<std::string> small;
  for (const std::string& large : use_large_frames()) {
    small.push_back(frame_text({trade_text("C", 20 * static_cast<int>(small.size()))}));
    frames.insert(frames.end(), {large, small.back()});
  }
  use(frames);
  options_.pace = {Pace::Kind::recorded, kSlowSpeed, 0};
  options_.client_buffer_bytes = 8U << 20U;
  RunningServer server(options_);
  const DeafClient deaf(server, {"A", "B"});
  EXPECT_TRUE(run_client(server, {"C"}).frames == small);
  const auto report = server.wait();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->clients_cut, 1U);
  const auto log = read_log(options_.log);
  EXPECT_TRUE(log.at(1).closed.starts_with(R"(1006,"by":"server")"));
  EXPECT_LT(log.at(1).frames.size(), small.size() / 2);
  EXPECT_TRUE(log.at(2).frames == small);
}

TEST_F(ServeSlowClients, AreWaitedForAtMaxUntilTheyTakeNothingForTooLong) {
  const auto frames = use_large_frames();
  options_.stall_timeout_s = 1;
  RunningServer server(options_);
  const DeafClient deaf(server, {"A"});
  EXPECT_TRUE(run_client(server, {"A", "B"}).frames == frames);
  const auto report = server.wait();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->clients_cut, 1U);
}

TEST_F(Serve, StopsWithWhatWasWrongWhereTheSessionIsDamaged) {
  use({frame_text({trade_text("A", 1)}), "damaged"});
  RunningServer server(options_);
  const Seen seen = run_client(server, {"A"});
  EXPECT_EQ(seen.frames.size(), 1U);
  EXPECT_EQ(seen.close_code, 1011);
  const auto report = server.wait();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::data);
  EXPECT_NE(report.error().message.find("session:2:"), std::string::npos);
}

TEST_F(Serve, SaysAtOnceWhatItCannotDo) {
  const auto code = [&](ServeOptions options) {
    const auto report = serve(options, [](const std::string&) { FAIL() << "it listens"; });
    return report ? 0 : exit_code(report.error());
  };
  use_storm(10);
  ServeOptions options = options_;
  options.listen = "127.0.0.1";
  EXPECT_EQ(code(options), 2);
  options.listen = "127.0.0.1:99999";
  EXPECT_EQ(code(options), 2);
  options = options_;
  options.listen = "127.0.0.1:0";
  options.tls_key = folder_ / "key";
  EXPECT_EQ(code(options), 2);
  options.tls_certificate = folder_ / "none";
  EXPECT_EQ(code(options), 3);
  options = options_;
  options.session.paths = {folder_ / "none"};
  EXPECT_EQ(code(options), 3);
  RunningServer server(options_);
  options = options_;
  options.log.clear();
  options.listen = server.url.substr(5);
  EXPECT_EQ(code(options), 3);
}

}  // namespace
}  // namespace mdpipe::replay
