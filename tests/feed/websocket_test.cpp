#include "websocket.hpp"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "request.hpp"
#include "scripted_transport.hpp"

namespace mdpipe::feed {
namespace {

using testing::HasSubstr;

/// A client's frame of at most 125 bytes, unmasked: first byte, then payload.
struct ClientFrame {
  std::uint8_t opcode;
  std::string payload;
  friend bool operator==(const ClientFrame& a, const ClientFrame& b) {
    return a.opcode == b.opcode && a.payload == b.payload;
  }
};

std::vector<ClientFrame> frames_of(const std::string& written) {
  std::vector<ClientFrame> frames;
  for (std::size_t at = written.find("\r\n\r\n") + 4; at + 6 <= written.size();) {
    const std::size_t length = static_cast<std::uint8_t>(written[at + 1]) & 0x7FU;
    EXPECT_NE(static_cast<std::uint8_t>(written[at + 1]) & 0x80U, 0U) << "a client masks what it sends";
    std::string payload = written.substr(at + 6, length);
    for (std::size_t i = 0; i < payload.size(); ++i) {
      payload[i] = static_cast<char>(payload[i] ^ written[at + 2 + i % 4]);
    }
    frames.push_back({static_cast<std::uint8_t>(static_cast<std::uint8_t>(written[at]) & 0x0FU), payload});
    at += 6 + length;
  }
  return frames;
}

/// A venue that upgrades, then says what the test says.
class WebSocketTest : public testing::Test {
 protected:
  WebSocketTest() : socket_(std::make_unique<ScriptedTransport>(script_)) {
    socket_.layer().set_read_deadline(std::numeric_limits<std::int64_t>::max());
    socket_.layer().set_write_timeout(kNanosecondsPerSecond);
  }

  HandshakeAnswer answered_by(const std::string& answer) {
    script_.next = [this, answer, given = false]() mutable {
      return std::exchange(given, true) ? std::string() : answer.empty() ? upgrade_answer(script_.written) : answer;
    };
    return socket_.handshake("host", "/?token=x");
  }
  void say(const std::string& bytes, IoStatus then = IoStatus::closed) {
    if (!accepted_) {
      accepted_ = true;
      ASSERT_TRUE(answered_by("").accepted);
    }
    script_.waiting += bytes;
    script_.when_empty = then;
  }
  /// One message, or what ended it.
  std::pair<ReadStatus, std::string> read() {
    std::string message(4096, '\0');
    std::size_t length = 0;
    for (;;) {
      const ReadResult result = socket_.read_some(message.data() + length, message.size() - length);
      length += result.bytes;
      if (result.status != ReadStatus::some) {
        message.resize(length);
        return {result.status, message};
      }
    }
  }

  ScriptedTransport::Script script_;
  WebSocket socket_;
  bool accepted_ = false;
};

TEST_F(WebSocketTest, AsksForNoExtension) {
  EXPECT_TRUE(answered_by("").accepted);
  EXPECT_THAT(script_.written, HasSubstr("GET /?token=x HTTP/1.1\r\n"));
  EXPECT_THAT(script_.written, HasSubstr("Host: host\r\n"));
  EXPECT_THAT(script_.written, HasSubstr("Sec-WebSocket-Version: 13\r\n"));
  EXPECT_EQ(script_.written.find("Extensions"), std::string::npos);
}

TEST_F(WebSocketTest, SaysHowAVenueRefusedButNothingThatWouldBreakALogLine) {
  const HandshakeAnswer answer =
      answered_by("HTTP/1.1 429 Too\tMany\xFF.\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(answer.accepted);
  EXPECT_EQ(answer.status, 429U);
  EXPECT_EQ(answer.retry_after_s, 90);
  EXPECT_EQ(answer.words, "HTTP 429 Too?Many?.");
}

TEST_F(WebSocketTest, HoldsAVenuesWishToWaitWithinADay) {
  EXPECT_EQ(answered_by("HTTP/1.1 429 x\r\nRetry-After: 9223372036854775807\r\n\r\n").retry_after_s, kRetryAfterMaxS);
}

TEST_F(WebSocketTest, AcceptsNoUpgradeThatDoesNotKnowOurKey) {
  const HandshakeAnswer answer = answered_by(
      "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
      "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
  EXPECT_FALSE(answer.accepted);
  EXPECT_EQ(answer.status, 0U);
  EXPECT_FALSE(answer.words.empty());
}

TEST_F(WebSocketTest, RefusesAnAnswerWithoutEnd) {
  script_.next = [] { return "HTTP/1.1 101 x\r\nX: " + std::string(1000, 'x') + "\r\n"; };
  EXPECT_FALSE(socket_.handshake("host", "/").accepted);
}

TEST_F(WebSocketTest, PutsFragmentsTogetherAndAnswersPingsBetweenThem) {
  say(frame("{\"a\"", kText) + frame("now?", kFinal | kPing) + frame(":", 0) + frame("", 0) + frame("1}", kFinal) +
      frame("", kFinal | kText) + frame("\x01\xFF", kFinal | kBinary));
  EXPECT_EQ(read(), std::pair(ReadStatus::message_done, std::string("{\"a\":1}")));
  EXPECT_EQ(read(), std::pair(ReadStatus::message_done, std::string()));
  EXPECT_FALSE(socket_.message_is_binary());
  EXPECT_EQ(read(), std::pair(ReadStatus::message_done, std::string("\x01\xFF")));
  EXPECT_TRUE(socket_.message_is_binary());
  EXPECT_THAT(frames_of(script_.written), testing::ElementsAre(ClientFrame{kPong, "now?"}));
}

TEST_F(WebSocketTest, ClosesWith1007WhereTextIsNotUtf8AlsoWhereACharacterIsCutByAFrame) {
  say(frame("\xE2\x82", kText) + frame("\xAC ok", kFinal) + frame("\xE2\x82", kText) + frame("x", kFinal));
  EXPECT_EQ(read(), std::pair(ReadStatus::message_done, std::string("\xE2\x82\xAC ok")));
  EXPECT_EQ(read().first, ReadStatus::not_utf8);
  EXPECT_EQ(socket_.close_code(), 1007);
  EXPECT_THAT(frames_of(script_.written), testing::ElementsAre(ClientFrame{kClose, std::string("\x03\xEF", 2)}));
}

TEST_F(WebSocketTest, ClosesWith1002WherePeerBreaksTheProtocol) {
  const std::string masked = std::string("\x81\x83", 2) + "mask" + "abc";
  for (const std::string& wire : {frame("x", kFinal | 3), frame("", kFinal | 11), frame("{}", kFinal | kText | 0x40),
                                  frame("{}", kFinal | kText | 0x20), frame("{}", kFinal | kText | 0x10),
                                  frame(std::string(126, 'x'), kFinal | kPing), frame("x", kPing), frame("x", kFinal),
                                  frame("a", kText) + frame("b", kFinal | kText), frame("x", kFinal | kClose),
                                  frame(std::string("\x03\xEC", 2), kFinal | kClose), masked}) {
    ScriptedTransport::Script script;
    WebSocket socket(std::make_unique<ScriptedTransport>(script));
    socket.layer().set_read_deadline(std::numeric_limits<std::int64_t>::max());
    socket.layer().set_write_timeout(kNanosecondsPerSecond);
    script.next = [&, given = false]() mutable {
      return std::exchange(given, true) ? std::string() : upgrade_answer(script.written) + wire;
    };
    ASSERT_TRUE(socket.handshake("host", "/").accepted);
    char block[256];
    ReadResult result = socket.read_some(block, sizeof block);
    while (result.status == ReadStatus::some) {
      result = socket.read_some(block, sizeof block);
    }
    SCOPED_TRACE(testing::PrintToString(wire.substr(0, 10)));
    EXPECT_EQ(result.status, ReadStatus::lost);
    EXPECT_EQ(socket.close_code(), 1002);
    EXPECT_THAT(frames_of(script.written), testing::Contains(ClientFrame{kClose, std::string("\x03\xEA", 2)}));
  }
}

TEST_F(WebSocketTest, AnswersAClose) {
  say(frame(std::string("\x03\xF4", 2) + "restart\n", kFinal | kClose));
  EXPECT_EQ(read().first, ReadStatus::closed);
  EXPECT_EQ(socket_.close_code(), 1012);
  EXPECT_EQ(socket_.close_words(), "restart?");
  EXPECT_THAT(frames_of(script_.written), testing::ElementsAre(testing::Field(&ClientFrame::opcode, kClose)));
}

TEST_F(WebSocketTest, KnowsACloseWithoutACodeFromNoCloseAtAll) {
  say(frame("", kFinal | kClose));
  EXPECT_EQ(read().first, ReadStatus::closed);
  EXPECT_EQ(socket_.close_code(), 1005);
  ScriptedTransport::Script script;
  WebSocket other(std::make_unique<ScriptedTransport>(script));
  other.layer().set_read_deadline(std::numeric_limits<std::int64_t>::max());
  other.layer().set_write_timeout(kNanosecondsPerSecond);
  script.next = [&, given = false]() mutable {
    return std::exchange(given, true) ? std::string() : upgrade_answer(script.written);
  };
  ASSERT_TRUE(other.handshake("host", "/").accepted);
  char block[16];
  EXPECT_EQ(other.read_some(block, sizeof block).status, ReadStatus::lost);
  EXPECT_EQ(other.close_code(), 1006);
}

TEST_F(WebSocketTest, DoesNotWaitForTheAnswerToItsCloseBeyondTheDeadlineHoweverMuchComesInItsPlace) {
  say("");
  script_.next = [] { return frame(std::string(60'000, ' '), 0); };
  script_.waiting = frame("{", kText);
  char block[64];
  ASSERT_EQ(socket_.read_some(block, sizeof block).status, ReadStatus::some);
  socket_.close(1009, monotonic_clock_ns() + kNanosecondsPerMillisecond);
  EXPECT_THAT(frames_of(script_.written), testing::ElementsAre(ClientFrame{kClose, std::string("\x03\xF1", 2)}));
}

TEST_F(WebSocketTest, SaysGoodbyeAlsoAfterAReadThatWasStopped) {
  say("", IoStatus::stopped);
  EXPECT_EQ(read().first, ReadStatus::stopped);
  socket_.close(1000, monotonic_clock_ns() + kNanosecondsPerMillisecond);
  EXPECT_THAT(frames_of(script_.written), testing::ElementsAre(ClientFrame{kClose, std::string("\x03\xE8", 2)}));
}

}  // namespace
}  // namespace mdpipe::feed
