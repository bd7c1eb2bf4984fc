#include "replay/serve/websocket.hpp"

#include <algorithm>
#include <random>

#include "mdpipe/base/secret.hpp"
#include "replay/serve/out_queue.hpp"
#include "replay/serve/upgrade.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

using Event = ClientMessages::Event;

/// As a client sends it: masked.
std::string client_frame(unsigned first_byte, std::string_view payload, std::string_view mask = "\x12\x34\x56\x78") {
  std::string unmasked;
  append_frame(Opcode::text, payload, unmasked);
  std::string frame = unmasked.substr(0, unmasked.size() - payload.size());
  frame[0] = static_cast<char>(first_byte);
  frame[1] = static_cast<char>(static_cast<unsigned char>(frame[1]) | 0x80U);
  frame += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  }
  return frame;
}

TEST(WebSocket, AnswersTheKeyOfTheRfcsExample) {
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, FrameHeadersAreThoseOfTheRfc) {
  const auto header = [](std::size_t size) {
    std::string out = "before";
    const std::size_t begin = append_frame(Opcode::text, std::string(size, 'x'), out);
    EXPECT_EQ(out.substr(begin), std::string(size, 'x'));
    return out.substr(6, begin - 6);
  };
  EXPECT_EQ(header(0), std::string("\x81\x00", 2));
  EXPECT_EQ(header(125), "\x81\x7d");
  EXPECT_EQ(header(126), std::string("\x81\x7e\x00\x7e", 4));
  EXPECT_EQ(header(65'535), "\x81\x7e\xff\xff");
  EXPECT_EQ(header(65'536), std::string("\x81\x7f\0\0\0\0\0\x01\0\0", 10));
}

TEST(WebSocket, MessagesArriveWholeHoweverTheBytesAreCut) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string wire;
    std::vector<std::string> wanted;
    for (int i = 0; i < 5; ++i) {
      wanted.emplace_back(random() % 3 == 0 ? random() % 70'000 % ClientMessages::kMessageMaxBytes : random() % 300,
                          'a');
      const std::string& message = wanted.back();
      const std::size_t cut = random() % (message.size() + 1);
      if (random() % 2 != 0) {
        wire += client_frame(0x81, message);
      } else {
        wire += client_frame(0x01, message.substr(0, cut)) + client_frame(0x8A, "pong") +
                client_frame(0x80, message.substr(cut));
      }
    }
    ClientMessages messages;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < wire.size();) {
      const std::size_t count = 1 + random() % 5'000;
      messages.feed(std::string_view(wire).substr(at, count));
      at += count;
      for (Event event = messages.next(); event != Event::none; event = messages.next()) {
        if (event == Event::text) {
          got.push_back(messages.payload());
        } else {
          ASSERT_EQ(event, Event::pong);
        }
      }
    }
    ASSERT_EQ(got, wanted);
  }
}

TEST(WebSocket, EveryBreachOfTheRfcHasItsCode) {
  const auto judged = [](std::string_view wire) {
    ClientMessages messages;
    messages.feed(wire);
    EXPECT_EQ(messages.next(), Event::violation);
    EXPECT_EQ(messages.next(), Event::none);  // nothing more is read
    return messages.code();
  };
  std::string unmasked;
  append_frame(Opcode::text, "x", unmasked);
  EXPECT_EQ(judged(unmasked), kCloseProtocolError);
  EXPECT_EQ(judged(client_frame(0xC1, "x")), kCloseProtocolError);                    // a reserved bit
  EXPECT_EQ(judged(client_frame(0x83, "x")), kCloseProtocolError);                    // an unknown opcode
  EXPECT_EQ(judged(client_frame(0x80, "x")), kCloseProtocolError);                    // goes on with nothing
  EXPECT_EQ(judged(client_frame(0x09, "x")), kCloseProtocolError);                    // a ping in fragments
  EXPECT_EQ(judged(client_frame(0x89, std::string(126, 'x'))), kCloseProtocolError);  // a ping too long
  EXPECT_EQ(judged(client_frame(0x88, "x")), kCloseProtocolError);                    // half a code
  EXPECT_EQ(judged(client_frame(0x88, "\x03\xed")), kCloseProtocolError);             // 1005 must not be sent
  EXPECT_EQ(judged(client_frame(0x81, "\xff")), kCloseNotUtf8);
  EXPECT_EQ(judged(client_frame(0x88, "\x03\xe8\xff")), kCloseNotUtf8);
  EXPECT_EQ(judged(client_frame(0x81, std::string(ClientMessages::kMessageMaxBytes + 1, 'x')).substr(0, 14)),
            kCloseTooLarge);
  EXPECT_EQ(judged(std::string("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff____", 14)), kCloseTooLarge);
  ClientMessages messages;
  messages.feed(client_frame(0x01, "x"));
  messages.feed(client_frame(0x81, "y"));
  EXPECT_EQ(messages.next(), Event::violation);  // a message within a message
}

TEST(WebSocket, CloseFramesGiveTheirCode) {
  ClientMessages messages;
  messages.feed(client_frame(0x88,
                             "\x03\xe9"
                             "bye"));
  EXPECT_EQ(messages.next(), Event::close);
  EXPECT_EQ(messages.code(), kCloseGoingAway);
  messages.feed(client_frame(0x88, ""));
  EXPECT_EQ(messages.next(), Event::close);
  EXPECT_EQ(messages.code(), kCloseNone);
}

TEST(OutQueue, TellsOfExactlyThoseFramesThatTheKernelTookWholly) {
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    OutQueue queue;
    std::string wire;               // what was queued, by another way
    std::vector<std::size_t> ends;  // of text frames in it
    std::vector<std::string> texts;
    std::string taken;
    std::vector<std::string> told;
    for (int step = 0; step < 60; ++step) {
      if (random() % 2 != 0) {
        texts.emplace_back(random() % 300, static_cast<char>('a' + random() % 26));
        queue.append_text(texts.back(), true, 1);
        append_frame(Opcode::text, texts.back(), wire);
        ends.push_back(wire.size());
      } else if (random() % 4 == 0) {
        queue.append_control(Opcode::pong, "p");
        append_frame(Opcode::pong, "p", wire);
      } else if (const std::string_view front = queue.front(); !front.empty()) {
        const std::size_t count = 1 + random() % front.size();
        taken += front.substr(0, count);
        queue.taken(count, [&](const OutQueue::Sent& sent) { told.emplace_back(sent.text); });
      }
      ASSERT_EQ(queue.size(), wire.size() - taken.size());
      const auto whole = static_cast<std::size_t>(
          std::count_if(ends.begin(), ends.end(), [&](std::size_t end) { return end <= taken.size(); }));
      ASSERT_EQ(told.size(), whole);
      ASSERT_TRUE(std::equal(told.begin(), told.end(), texts.begin()));
    }
    ASSERT_EQ(taken, wire.substr(0, taken.size()));
  }
}

TEST(OutQueue, KnowsHowMuchOfACutFrameWasTaken) {
  OutQueue queue;
  queue.append_text("first", true, 0);
  queue.append_text("second", true, 0);
  (void)queue.front();
  const auto ignore = [](const OutQueue::Sent&) {};
  queue.taken(7, ignore);
  EXPECT_EQ(queue.partly_sent_bytes(), 0U);
  queue.taken(3, ignore);
  EXPECT_EQ(queue.partly_sent_bytes(), 3U);
  queue.append_text("third", true, 0);
  queue.drop_waiting();
  EXPECT_EQ(queue.size(), 5U);
}

std::string request(const std::string& target, const std::string& change_from = "", const std::string& change_to = "") {
  std::string text = "GET " + target +
                     " HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  if (!change_from.empty()) {
    text.replace(text.find(change_from), change_from.size(), change_to);
  }
  return text;
}

TEST(Upgrade, IsAcceptedByteByByteAndLeavesWhatComesBehind) {
  const Secret token;
  Upgrade upgrade(token);
  const std::string text = request("/?token=whatever");
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    ASSERT_EQ(upgrade.feed(text.substr(i, 1)), Upgrade::State::reading);
  }
  EXPECT_EQ(upgrade.feed("\nrest"), Upgrade::State::accepted);
  EXPECT_EQ(upgrade.rest(), "rest");
  EXPECT_NE(upgrade.response().find("101 Switching Protocols\r\n"), std::string::npos);
  EXPECT_NE(upgrade.response().find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
}

TEST(Upgrade, RefusesWhatIsNoneWithAStatus) {
  const Secret token(std::string("s3cret+"));
  const auto status = [&](const std::string& text) {
    Upgrade upgrade(token);
    const auto state = upgrade.feed(text);
    EXPECT_NE(state, Upgrade::State::reading) << text;
    return upgrade.response().substr(9, 3);
  };
  const std::string good = "/?x=1&token=s3cret%2B";
  EXPECT_EQ(status(request(good)), "101");
  EXPECT_EQ(status(request("/")), "401");
  EXPECT_EQ(status(request("/?token=s3cret")), "401");
  EXPECT_EQ(status(request("/?token=S3cret%2B")), "401");
  EXPECT_EQ(status(request("/?token=s3cret%2B%2B")), "401");
  EXPECT_EQ(status(request(good, "GET", "POST")), "426");
  EXPECT_EQ(status(request(good, "HTTP/1.1", "HTTP/1.0")), "426");
  EXPECT_EQ(status(request(good, "WebSocket", "h2c")), "426");
  EXPECT_EQ(status(request(good, "Version: 13", "Version: 8")), "426");
  EXPECT_EQ(status(request(good, "dGhl", "")), "400");
  EXPECT_EQ(status("not http at all\r\n\r\n"), "400");
  EXPECT_EQ(status(request(good, "Host: x", "Host: " + std::string(9000, 'x'))), "431");
  EXPECT_EQ(status(std::string(9000, 'x')), "431");
}

}  // namespace
}  // namespace mdpipe::replay
