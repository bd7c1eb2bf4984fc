#include "mdpipe/kafka/message_header.hpp"

#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace mdpipe::kafka {
namespace {

std::string bytes_of(const MessageHeader& header) {
  const auto bytes = encode(header);
  return {bytes.data(), bytes.size()};
}

TEST(MessageHeader, LiesInTwentySixBytesAsTheDrawingHasIt) {
  using namespace std::string_literals;
  const std::string want =
      "\x01\x15"
      "\x08\x07\x06\x05\x04\x03\x02\x01"
      "\x18\x17\x16\x15\x14\x13\x12\x11"
      "\x00\x00\x00\x00\x00\x00\x00\x80"s;
  EXPECT_EQ(bytes_of({kHeaderAfterGap | kHeaderOutOfOrder | kHeaderTruncated, 0x0102030405060708U, 0x1112131415161718U,
                      std::uint64_t{1} << 63U}),
            want);
}

TEST(MessageHeader, ComesBackAsItWent) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (const MessageHeader& header :
       {MessageHeader{}, MessageHeader{0xFF, most, most, most}, MessageHeader{2, 3, 5, 4}}) {
    const auto back = decode(bytes_of(header));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->flags, header.flags);
    EXPECT_EQ(back->source, header.source);
    EXPECT_EQ(back->position, header.position);
    EXPECT_EQ(back->previous, header.previous);
  }
}

TEST(MessageHeader, IsRefusedWhereItIsOfAnotherVersionOrLength) {
  const std::string good = bytes_of({1, 2, 3, 4});
  ASSERT_TRUE(decode(good));
  for (const char version : {'\0', '\2', '\xFF'}) {
    std::string other = good;
    other[0] = version;
    EXPECT_FALSE(decode(other)) << static_cast<int>(version);
  }
  EXPECT_FALSE(decode({}));
  EXPECT_FALSE(decode(good.substr(0, kHeaderBytes - 1)));
  EXPECT_FALSE(decode(good + '\0'));
}

}  // namespace
}  // namespace mdpipe::kafka
