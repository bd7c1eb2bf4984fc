#include "mdpipe/feed/session.hpp"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/event/trade.hpp"
#include "request.hpp"
#include "scripted_venue.hpp"

namespace mdpipe::feed {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr std::int64_t kMs = kNanosecondsPerMillisecond;
constexpr const char* kCanary = "canary token/that+must=appear nowhere";

std::string trade_frame(int number, std::string_view symbol = "SPY") {
  return R"({"data":[{"p":1.5,"s":")" + std::string(symbol) + R"(","t":)" + std::to_string(1'000'000 + number) +
         R"(,"v":1}],"type":"trade"})";
}

/// A session with small times, on a thread of its own.
class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    options_.symbols = {"SPY"};
    options_.backoff_min_ns = kMs / 10;
    options_.backoff_max_ns = kMs;
    options_.refused_backoff_ns = kMs;
    options_.close_timeout_ns = 50 * kMs;
    options_.seed = 1;
  }
  ~SessionTest() override { stop(); }

  void start(const std::function<void(VenueConnection&)>& script) {
    venue_ = std::make_unique<ScriptedVenue>(script);
    options_.url = "ws://" + venue_->host_and_port();
    auto made = Session::make(options_, sink_);
    ASSERT_TRUE(made) << made.error().message;
    session_ = std::move(*made);
    thread_ = std::thread([this] { result_ = session_->run(); });
  }
  void stop() {
    if (thread_.joinable()) {
      session_->request_stop();
      thread_.join();
    }
    venue_.reset();
  }
  /// Until the session ends by itself.
  void wait_end() {
    thread_.join();
    venue_.reset();
  }
  [[nodiscard]] const SessionFigures& figures() const { return session_->figures(); }

  SessionOptions options_;
  RememberingSink sink_;
  std::unique_ptr<ScriptedVenue> venue_;
  std::unique_ptr<Session> session_;
  std::thread thread_;
  Result<SessionEnd> result_ = SessionEnd::stopped;
};

TEST_F(SessionTest, SubscribesToEverySymbolAndEndsWhereTheVenueClosesInGoodOrder) {
  options_.symbols = {"SPY", "IC MARKETS:1", "a\"b"};
  options_.once = true;
  std::vector<std::string> asked;
  start([&](VenueConnection& connection) {
    connection.upgrade();
    for (int i = 0; i < 3; ++i) {
      asked.push_back(connection.read_frame().second);
    }
    connection.send(frame(trade_frame(1)) + frame(R"({"type":"ping"})") +
                    frame(std::string("\x03\xE8", 2), kFinal | kClose));
    connection.wait_gone();
  });
  wait_end();
  ASSERT_TRUE(result_);
  EXPECT_EQ(*result_, SessionEnd::closed);
  EXPECT_THAT(asked,
              ElementsAre(subscribe_message("SPY"), subscribe_message("IC MARKETS:1"), subscribe_message("a\"b")));
  ASSERT_THAT(sink_.frames, SizeIs(2));
  EXPECT_EQ(sink_.frames[0].payload, trade_frame(1));
  EXPECT_EQ(sink_.frames[1].kind, FrameKind::ping);
  EXPECT_EQ(figures().messages.get(), 2U);
  ASSERT_THAT(sink_.events, SizeIs(3)) << "the first connection of a journal follows no gap";
  EXPECT_EQ(sink_.events[2].payload.code, 1000U);
}

TEST_F(SessionTest, MarksTheGapBetweenTwoConnectionsAndTheNextTradeOfEachSymbol) {
  start([&](VenueConnection& connection) {
    connection.upgrade();
    connection.read_frame();
    connection.send(frame(trade_frame(1)) + frame(trade_frame(2, "IBM")) + frame(trade_frame(3)));
    if (connection.number == 3) {
      connection.wait_gone();
    }
  });
  ASSERT_TRUE(eventually([&] { return figures().trades.get() == 9; }));
  stop();
  const auto gaps = sink_.events_of(SessionKind::gap);
  ASSERT_THAT(gaps, SizeIs(2));
  EXPECT_EQ(gaps[0].payload.connection, 2U);
  EXPECT_EQ(gaps[1].payload.connection, 3U);
  for (const auto& gap : gaps) {
    EXPECT_LE(gap.payload.from_ns, gap.payload.to_ns);
  }
  std::vector<bool> flagged;
  for (const auto& one : sink_.frames) {
    flagged.push_back((one.flags.at(0) & kTradeAfterGap) != 0);
  }
  EXPECT_THAT(flagged, ElementsAre(false, false, false, true, true, false, true, true, false));
}

TEST_F(SessionTest, FollowsAGapWhereAnEarlierRunWasHeard) {
  options_.last_receive_time_ns = 1'700'000'000 * kNanosecondsPerSecond;
  options_.connections_before = 7;
  start([&](VenueConnection& connection) {
    connection.upgrade();
    connection.send(frame(trade_frame(1)));
    connection.wait_gone();
  });
  ASSERT_TRUE(eventually([&] { return figures().trades.get() == 1; }));
  stop();
  ASSERT_THAT(sink_.events_of(SessionKind::gap), SizeIs(1));
  EXPECT_EQ(sink_.events_of(SessionKind::gap)[0].payload.connection, 8U);
  EXPECT_EQ(sink_.events_of(SessionKind::gap)[0].payload.from_ns, options_.last_receive_time_ns);
  EXPECT_NE(sink_.frames.at(0).flags.at(0) & kTradeAfterGap, 0);
}

TEST_F(SessionTest, IsToldToStopByAVenueThatNeverPausesAndStops) {
  std::atomic<bool> flooding{false};
  start([&](VenueConnection& connection) {
    connection.upgrade();
    std::string flood;
    while (flood.size() < (1U << 20U)) {
      flood += frame("flood", kFinal | kPing);
    }
    while (connection.send(flood)) {
      flooding = true;
    }
  });
  ASSERT_TRUE(eventually([&] { return flooding.load(); }));
  stop();
  ASSERT_TRUE(result_);
  EXPECT_EQ(*result_, SessionEnd::stopped);
}

TEST_F(SessionTest, SendsTheTokenEncodedAndNeverRepeatsItWhateverTheVenueAnswers) {
  options_.token = Secret(kCanary);
  options_.refused_backoff_ns = 3600 * kNanosecondsPerSecond;
  std::string request;
  start([&](VenueConnection& connection) {
    request = connection.read_request();
    connection.send("HTTP/1.1 401 no " + std::string(kCanary) + " nor " + percent_encoded(kCanary) + "\r\n\r\n");
  });
  ASSERT_TRUE(eventually([&] { return figures().state.load() == SessionState::auth_failed; }));
  EXPECT_THAT(request, HasSubstr("GET /?token=" + percent_encoded(kCanary) + " HTTP/1.1"));
  EXPECT_THAT(session_->last_trouble(), HasSubstr("401"));
  EXPECT_THAT(session_->last_trouble(), Not(HasSubstr("canary")));
  EXPECT_EQ(figures().not_before_ns.get(), 0) << "with another token it may start at once";
  stop();
}

TEST_F(SessionTest, RefusesToSendATokenInTheClearBeyondThisMachine) {
  options_.url = "ws://feed.example:8800";
  EXPECT_TRUE(Session::check(options_));
  options_.token = Secret(kCanary);
  const auto made = Session::make(options_, sink_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::usage);
  EXPECT_THAT(made.error().message, HasSubstr("in the clear"));
  EXPECT_EQ(sink_.events.size(), 0U);
  options_.url = "ws://127.0.0.1:8800";
  EXPECT_TRUE(Session::check(options_));
  options_.url = "wss://feed.example";
  EXPECT_TRUE(Session::check(options_));
}

TEST_F(SessionTest, EndsWithAnErrorWhereItIsRefusedAndMustFailFast) {
  options_.fail_fast = true;
  for (const char* const status : {"401 Unauthorized", "403 Forbidden", "429 Too Many Requests"}) {
    start([&](VenueConnection& connection) {
      connection.read_request();
      connection.send("HTTP/1.1 " + std::string(status) + "\r\n\r\n");
    });
    wait_end();
    ASSERT_FALSE(result_) << status;
    EXPECT_EQ(result_.error().code, ErrorCode::refused);
    EXPECT_THAT(result_.error().message, HasSubstr(status));
  }
}

TEST_F(SessionTest, SaysUntilWhenItWasToldToWaitAndWaitsAlsoInItsNextLife) {
  options_.refused_backoff_ns = 60 * kNanosecondsPerSecond;
  const std::int64_t before_ns = wall_clock_ns();
  const auto script = [&](VenueConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 429 x\r\nRetry-After: 600\r\n\r\n");
  };
  start(script);
  ASSERT_TRUE(eventually([&] { return figures().not_before_ns.get() != 0; }));
  options_.not_before_ns = figures().not_before_ns.get();
  stop();
  EXPECT_GE(options_.not_before_ns, before_ns + 600 * kNanosecondsPerSecond);
  start(script);
  ASSERT_TRUE(eventually([&] { return !session_->last_trouble().empty(); }));
  EXPECT_THAT(session_->last_trouble(), HasSubstr("told to wait until 20"));
  EXPECT_EQ(figures().state.load(), SessionState::backing_off);
  EXPECT_EQ(figures().not_before_ns.get(), options_.not_before_ns);
  EXPECT_EQ(venue_->connections(), 0);
  stop();
  EXPECT_EQ(*result_, SessionEnd::stopped);
}

TEST_F(SessionTest, WaitsAtLeastAMinuteAfter429WhateverRetryAfterSays) {
  options_.refused_backoff_ns = 60 * kNanosecondsPerSecond;
  const std::int64_t before_ns = wall_clock_ns();
  start([&](VenueConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 429 x\r\nRetry-After: 1\r\n\r\n");
  });
  ASSERT_TRUE(eventually([&] { return figures().not_before_ns.get() != 0; }));
  EXPECT_GE(figures().not_before_ns.get(), before_ns + 60 * kNanosecondsPerSecond);
}

TEST_F(SessionTest, ObeysRetryAfterOfAnyOtherAnswerToo) {
  start([&](VenueConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 503 x\r\nRetry-After: 600\r\n\r\n");
  });
  ASSERT_TRUE(eventually([&] { return figures().not_before_ns.get() != 0; }));
  EXPECT_EQ(figures().refusals.get(), 0U);
}

TEST_F(SessionTest, GivesUpAHandshakeThatTakesTooLongHoweverItIsDragged) {
  options_.handshake_timeout_ns = 30 * kMs;
  start([&](VenueConnection& connection) {
    connection.read_request();
    if (connection.number == 1) {
      connection.wait_gone();  // not a word
    } else if (connection.number == 2) {
      while (connection.send("H")) {  // a byte now and then
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    } else {
      connection.send("HTTP/1.1 200 x\r\n");
      connection.wait_gone();  // it does not go on
    }
  });
  ASSERT_TRUE(eventually([&] { return venue_->connections() >= 4; }));
  EXPECT_GE(figures().connect_failures.get(), 3U);
  EXPECT_THAT(session_->last_trouble(), HasSubstr("handshake failed"));
  stop();
}

TEST_F(SessionTest, DoesNotFollowARedirection) {
  int followed = 0;
  ScriptedVenue other([&](VenueConnection&) { ++followed; });
  start([&](VenueConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 307 x\r\nLocation: ws://" + other.host_and_port() + "/\r\n\r\n");
  });
  ASSERT_TRUE(eventually([&] { return venue_->connections() >= 3; }));
  EXPECT_THAT(session_->last_trouble(), HasSubstr("HTTP 307"));
  stop();
  EXPECT_EQ(followed, 0);
}

TEST_F(SessionTest, AsksAPeerThatSaysNothingAndGivesItUpWhereItDoesNotAnswer) {
  options_.silence_ns = 60 * kMs;
  std::atomic<int> asked{0};
  start([&](VenueConnection& connection) {
    connection.upgrade();
    for (auto one = connection.read_frame(); one.first != 0; one = connection.read_frame()) {
      asked += one.first == kPing ? 1 : 0;
    }
  });
  ASSERT_TRUE(eventually([&] { return figures().connections.get() >= 3; }));
  stop();
  EXPECT_GE(asked.load(), 2);
  const auto ends = sink_.events_of(SessionKind::disconnected);
  ASSERT_GE(ends.size(), 2U);
  EXPECT_EQ(ends[0].text, "silence");
  EXPECT_EQ(ends[0].payload.code, 1006U);
}

TEST_F(SessionTest, IsStaleWherePeerAnswersPingsAndSaysNothingElse) {
  options_.silence_ns = 2000 * kMs;  // the machine may be busy: only an answer to a ping must come in that time
  options_.stale_ns = 50 * kMs;
  std::atomic<int> subscriptions{0};
  start([&](VenueConnection& connection) {
    connection.upgrade();
    for (auto one = connection.read_frame(); one.first != 0; one = connection.read_frame()) {
      subscriptions += one.first == kText ? 1 : 0;
      if (one.first == kPing) {
        connection.send(frame(one.second, kFinal | kPong));
      }
    }
  });
  ASSERT_TRUE(eventually([&] { return subscriptions >= 3; }));
  EXPECT_EQ(figures().state.load(), SessionState::stale);
  EXPECT_EQ(venue_->connections(), 1) << "no reconnect storm";
  EXPECT_GE(figures().stale_periods.get(), 2U);
  stop();
}

TEST_F(SessionTest, IsStaleAlsoInAFloodOfPingsAndNoMoreOnceATradeComes) {
  options_.silence_ns = 900 * kMs;  // the machine may be busy: only an answer to a ping must come in that time
  options_.stale_ns = 20 * kMs;
  std::atomic<bool> trade{false};
  start([&](VenueConnection& connection) {
    connection.upgrade();
    std::thread reader([&] { connection.discard(); });
    std::string flood;
    for (int i = 0; i < 100; ++i) {
      flood += frame(std::string(125, 'x'), kFinal | kPing);
    }
    while (connection.send(trade ? frame(trade_frame(1)) : flood)) {
    }
    reader.join();
  });
  ASSERT_TRUE(eventually([&] { return figures().state.load() == SessionState::stale; }));
  trade = true;
  ASSERT_TRUE(eventually([&] { return figures().state.load() == SessionState::subscribed; }));
  EXPECT_EQ(venue_->connections(), 1);
  stop();
}

TEST_F(SessionTest, KeepsTheBeginningOfWhatIsTooLargeOrNotUtf8OrCutOff) {
  const std::string large(10'000, 'x');
  const std::string text = R"({"data":")";
  std::vector<unsigned> codes;
  start([&](VenueConnection& connection) {
    connection.upgrade();
    connection.read_frame();
    connection.send(frame(trade_frame(connection.number)));
    if (connection.number == 1) {
      connection.send(frame(large));
    } else if (connection.number == 2) {
      connection.send(frame(text, kText) + frame("\xFF\xFE and more", 0));
    } else if (connection.number == 3) {
      connection.send(frame_header(kFinal | kText, 100) + text);
      return;
    } else if (connection.number == 4) {
      connection.send(frame_header(kFinal | kText, UINT64_MAX) + large);
    }
    codes.push_back(connection.wait_gone());
  });
  ASSERT_TRUE(eventually([&] { return figures().trades.get() == 5; }));
  stop();
  ASSERT_THAT(sink_.frames, SizeIs(9));
  EXPECT_THAT(codes, ElementsAre(1009, 1007, 1009, 1000));
  const auto is = [&](std::size_t at, FrameReason reason, const std::string& beginning) {
    const RememberingSink::Frame& frame = sink_.frames[at];
    EXPECT_EQ(frame.kind, FrameKind::bad_truncated) << at;
    EXPECT_EQ(frame.reason, reason) << at;
    EXPECT_EQ(frame.payload, beginning) << at;
  };
  is(1, FrameReason::too_large, large.substr(0, 4096));
  EXPECT_EQ(sink_.frames[3].payload.substr(0, text.size()), text);
  is(3, FrameReason::not_utf8, text + "\xFF\xFE and more");
  is(5, FrameReason::cut_off, text);
  is(7, FrameReason::too_large, large.substr(0, 4096));
  EXPECT_EQ(figures().messages.get(), 9U);
}

TEST_F(SessionTest, DoesNotReadWhileTheSinkHasNoRoomAndLosesNothing) {
  options_.full_retry_ns = kMs / 10;
  std::atomic<bool> again{false};
  start([&](VenueConnection& connection) {
    connection.upgrade();
    connection.read_frame();
    connection.send(frame(trade_frame(1)));
    while (!again) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (int i = 2; i <= 100; ++i) {
      connection.send(frame(trade_frame(i)));
    }
    connection.wait_gone();
  });
  ASSERT_TRUE(eventually([&] { return figures().trades.get() == 1; }));
  sink_.refuse_claims(1'000'000);
  again = true;
  ASSERT_TRUE(eventually([&] { return figures().state.load() == SessionState::held_back; }));
  sink_.refuse_claims(0);
  ASSERT_TRUE(eventually([&] { return figures().trades.get() == 100; }));
  stop();
  EXPECT_EQ(figures().state.load(), SessionState::ended);
  EXPECT_GE(figures().held_back.get(), 1U);
  EXPECT_EQ(sink_.frames[99].payload, trade_frame(100));
}

TEST_F(SessionTest, RepeatsWhatTheVenueComplainsOf) {
  options_.token = Secret(kCanary);
  start([&](VenueConnection& connection) {
    connection.upgrade();
    connection.send(
        frame(R"({"msg":"Subscribing to too many symbols, )" + std::string(kCanary) + R"(","type":"error"})"));
    connection.wait_gone();
  });
  ASSERT_TRUE(eventually([&] { return figures().frames_of(FrameKind::error) == 1; }));
  ASSERT_TRUE(eventually([&] { return !session_->last_complaint().empty(); }));
  EXPECT_THAT(session_->last_complaint(), HasSubstr("Subscribing to too many symbols"));
  EXPECT_THAT(session_->last_complaint(), Not(HasSubstr("canary")));
  stop();
}

TEST_F(SessionTest, NamesTheCertificatesThatAreNotThere) {
  options_.url = "wss://127.0.0.1:1";
  options_.ca_file = "/nowhere/at/all.pem";
  EXPECT_EQ(Session::check(options_).error().code, ErrorCode::environment);
  EXPECT_THAT(Session::check(options_).error().message, HasSubstr("/nowhere/at/all.pem"));
}

}  // namespace
}  // namespace mdpipe::feed
