#include "read_ahead.hpp"

#include <atomic>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "scripted_transport.hpp"

namespace mdpipe::feed {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

class ReadAheadTest : public testing::Test {
 protected:
  ReadAheadTest() : read_ahead_(std::make_unique<ScriptedTransport>(script_)) {
    read_ahead_.set_read_deadline(kNever);
    read_ahead_.set_write_timeout(1'000'000'000);
  }

  IoResult read(std::size_t size) {
    block_.assign(size, '\0');
    const IoResult result = read_ahead_.read_some(block_.data(), size);
    block_.resize(result.bytes);
    return result;
  }

  ScriptedTransport::Script script_;
  ReadAhead read_ahead_;
  std::string block_;
};

TEST_F(ReadAheadTest, HandsOverTheAnswerOfTheHandshakeAndNotAByteOfTheFramesBehindIt) {
  const std::string answer = "HTTP/1.1 101 x\r\nA: \r\r\n b\r\n\r\n";
  for (std::size_t size : {1U, 3U, 4096U}) {
    ScriptedTransport::Script script;
    script.waiting = answer + frame("{}");
    ReadAhead read_ahead(std::make_unique<ScriptedTransport>(script));
    read_ahead.set_read_deadline(kNever);
    std::string got;
    while (got.size() < answer.size()) {
      std::string block(size, '\0');
      const IoResult result = read_ahead.read_some(block.data(), size);
      ASSERT_EQ(result.status, IoStatus::ok);
      got += block.substr(0, result.bytes);
    }
    EXPECT_EQ(got, answer);
    read_ahead.handshake_done();
    std::string block(64, '\0');
    EXPECT_EQ(read_ahead.read_some(block.data(), 64).bytes, frame("{}").size());
  }
}

TEST_F(ReadAheadTest, NeverHandsOverBytesOfTwoFramesHoweverTheyAreCutAndCountsThoseOfAMessage) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random() % end); };
  struct Piece {
    std::size_t end;            // in the stream
    std::size_t payload_begin;  // the same
    std::uint64_t before;       // bytes of its message in the frames before
    bool counts;
  };
  std::string stream;
  std::vector<Piece> pieces;
  std::uint64_t message_bytes = 0;
  for (int i = 0; i < 400; ++i) {
    const std::size_t sizes[] = {0, below(126), 126 + below(400), below(40) == 0 ? 65'536 + below(300'000) : 3};
    const std::string payload(sizes[below(4)], static_cast<char>('a' + i % 26));
    const bool control = below(4) == 0 && payload.size() < 126;
    const bool continues = !control && below(3) == 0;
    const auto first = static_cast<std::uint8_t>(control ? kFinal | kPing : (continues ? 0 : kText));
    message_bytes = control || continues ? message_bytes : 0;
    stream += frame(payload, first);
    pieces.push_back({stream.size(), stream.size() - payload.size(), message_bytes, !control});
    message_bytes += control ? 0 : payload.size();
  }
  std::size_t given = 0;
  script_.next = [&] {
    const std::size_t count = std::min(stream.size() - given, 1 + below(below(2) == 0 ? 7 : 100'000));
    given += count;
    return stream.substr(given - count, count);
  };
  read_ahead_.handshake_done();
  std::size_t at = 0;
  std::uint64_t counted = 0;
  for (const Piece& piece : pieces) {
    while (at < piece.end) {
      ASSERT_EQ(read(1 + below(below(2) == 0 ? 5 : 100'000)).status, IoStatus::ok);
      ASSERT_GE(block_.size(), 1U);
      ASSERT_EQ(block_, stream.substr(at, block_.size()));
      at += block_.size();
      ASSERT_LE(at, piece.end) << "bytes of two frames at once";
      counted = piece.counts ? piece.before + std::max(at, piece.payload_begin) - piece.payload_begin : counted;
      ASSERT_EQ(read_ahead_.message_bytes(), counted);
    }
  }
  EXPECT_EQ(read(1).status, IoStatus::closed);
}

TEST_F(ReadAheadTest, GoesOnWithTheLargestLengthThatAHeaderCanHold) {
  for (const std::uint64_t length : {UINT64_MAX, UINT64_MAX - 9, std::uint64_t{1} << 63U}) {
    ScriptedTransport::Script script;
    script.waiting = frame_header(kFinal | kText, length) + std::string(100, 'x');
    ReadAhead read_ahead(std::make_unique<ScriptedTransport>(script));
    read_ahead.set_read_deadline(kNever);
    read_ahead.handshake_done();
    char block[128];
    std::size_t total = 0;
    while (total < 110) {
      const IoResult result = read_ahead.read_some(block, sizeof block);
      ASSERT_EQ(result.status, IoStatus::ok);
      ASSERT_GE(result.bytes, 1U) << "a read of nothing that succeeds is a loop without end";
      total += result.bytes;
    }
    EXPECT_EQ(read_ahead.message_bytes(), 100U);
  }
}

TEST_F(ReadAheadTest, AsksAtTheDeadlineWhetherToGoOnWaiting) {
  int asked = 0;
  script_.when_empty = IoStatus::timed_out;
  read_ahead_.handshake_done();
  read_ahead_.set_on_deadline([&] {
    script_.waiting = ++asked == 3 ? frame("x") : "";
    return true;
  });
  EXPECT_EQ(read(64).status, IoStatus::ok);
  EXPECT_EQ(asked, 3);
  read_ahead_.set_on_deadline([&] { return ++asked < 6; });
  EXPECT_EQ(read(64).status, IoStatus::timed_out);
  EXPECT_EQ(asked, 6);
}

TEST_F(ReadAheadTest, AsksAtTheDeadlineAlsoWherePeerNeverPauses) {
  script_.next = [] { return frame("still here", kFinal | kPing); };
  read_ahead_.handshake_done();
  read_ahead_.set_read_deadline(monotonic_clock_ns() - 1);
  EXPECT_EQ(read(64).status, IoStatus::timed_out) << "nobody to ask";
  int asked = 0;
  read_ahead_.set_on_deadline([&] {
    ++asked;
    read_ahead_.set_read_deadline(kNever);
    return true;
  });
  script_.waiting.clear();
  while (asked == 0) {
    ASSERT_EQ(read(64).status, IoStatus::ok);
  }
}

TEST_F(ReadAheadTest, StopsWhenAskedToAlsoWherePeerNeverPauses) {
  std::atomic<bool> stop{false};
  read_ahead_.set_stop(&stop);
  script_.next = [&] {
    stop = true;  // while the venue talks
    return frame("still here", kFinal | kPing);
  };
  read_ahead_.handshake_done();
  IoResult result = read(64);
  while (result.status == IoStatus::ok) {
    result = read(64);
  }
  EXPECT_EQ(result.status, IoStatus::stopped);
}

TEST_F(ReadAheadTest, WritesAllOfItInAsManyPiecesAsThePeerTakes) {
  script_.write_max = 3;
  EXPECT_EQ(read_ahead_.write_all("0123456789", 10).status, IoStatus::ok);
  EXPECT_EQ(script_.written, "0123456789");
  script_.write_status = IoStatus::timed_out;
  EXPECT_EQ(read_ahead_.write_all("0123456789", 10).status, IoStatus::timed_out);
}

}  // namespace
}  // namespace mdpipe::feed
