/// \file
/// The decoder on recorded messages: what people have published of the venue's, and two recorded sessions.

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "support/decoder_check.hpp"

namespace mdpipe::feed {
namespace {

using testing::DecoderCheck;

std::filesystem::path shared_data() {
  const char* const shared = std::getenv("MDPIPE_SHARED");
  return (shared != nullptr ? std::filesystem::path(shared) : std::filesystem::path(MDPIPE_SOURCE_ROOT) / "../shared") /
         "data";
}

/// Each line of a file, plain or gzip.
void for_each_line(const std::filesystem::path& path, const std::function<void(std::string_view)>& visit) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  ASSERT_NE(file, nullptr) << path;
  std::string line;
  char buffer[65'536];
  while (gzgets(file.get(), buffer, sizeof buffer) != nullptr) {
    line += buffer;
    if (line.back() == '\n') {
      line.pop_back();
      visit(line);
      line.clear();
    }
  }
  if (!line.empty()) {
    visit(line);
  }
}

/// The message of a capture line, or the line itself.
std::string_view message_in(std::string_view line) {
  constexpr std::string_view kFrame = "\"frame\":";
  const std::size_t at = line.find(kFrame);
  if (!line.starts_with("{\"recv_ns\":") || at == std::string_view::npos) {
    return line;
  }
  const std::size_t begin = at + kFrame.size();
  return line.substr(begin, line.rfind('}') - begin);
}

struct Counts {
  std::map<std::string, int> frames;  // by kind
  std::uint64_t trades = 0;
  int fell_back = 0;
};

Counts check_all(const std::filesystem::path& path) {
  DecoderCheck check;
  Counts counts;
  for_each_line(path, [&](std::string_view line) {
    const std::string_view message = message_in(line);
    EXPECT_EQ(check.difference(message, message), "") << message;
    ++counts.frames[std::string(to_string(check.last().kind))];
    counts.trades += check.last().trade_count;
    counts.fell_back += check.last().fell_back ? 1 : 0;
  });
  return counts;
}

class DecoderShared : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(shared_data())) {
      GTEST_SKIP() << shared_data() << " is absent: set MDPIPE_SHARED";
    }
  }
};

using FramesByKind = std::map<std::string, int>;

TEST_F(DecoderShared, ReadsEveryPublishedFrameOfTheVenue) {
  const Counts counts = check_all(shared_data() / "finnhub/frames.jsonl");
  EXPECT_EQ(counts.frames, (FramesByKind{{std::string(to_string(FrameKind::trades)), 45},
                                         {std::string(to_string(FrameKind::ping)), 1},
                                         {std::string(to_string(FrameKind::error)), 1}}));
  EXPECT_EQ(counts.trades, 182U);
  EXPECT_EQ(counts.fell_back, 1) << "the error alone has a key that the quick scanner does not know";
}

TEST_F(DecoderShared, ReadsTheDayOfUsStocksWithoutFallingBack) {
  const Counts counts = check_all(shared_data() / "sessions/us-stocks-2013-10-07.jsonl.gz");
  EXPECT_EQ(counts.frames, (FramesByKind{{std::string(to_string(FrameKind::trades)), 132'663}}));
  EXPECT_EQ(counts.trades, 388'417U);
  EXPECT_EQ(counts.fell_back, 0);
}

TEST_F(DecoderShared, ReadsTheCryptoSessionWithoutFallingBack) {
  const Counts counts = check_all(shared_data() / "sessions/crypto-2024-08-08.jsonl.gz");
  EXPECT_EQ(counts.frames.size(), 1U);
  EXPECT_EQ(counts.trades, 15'863U);
  EXPECT_EQ(counts.fell_back, 0);
}

}  // namespace
}  // namespace mdpipe::feed
