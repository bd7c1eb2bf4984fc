// CRC-32C: the vectors of RFC 3720, and every short length at every alignment against one bit after the other.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "mdpipe/base/crc32c.hpp"

namespace mdpipe {
namespace {

std::uint32_t bit_by_bit(std::span<const std::byte> bytes, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F6'3B78U : 0U);
    }
  }
  return ~crc;
}

TEST(Crc32c, IsWhatRfc3720Says) {
  std::vector<std::byte> bytes(32, std::byte{0});
  EXPECT_EQ(crc32c(bytes), 0x8A91'36AAU);
  bytes.assign(32, std::byte{0xFF});
  EXPECT_EQ(crc32c(bytes), 0x62A8'AB43U);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i);
  }
  EXPECT_EQ(crc32c(bytes), 0x46DD'794EU);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(31 - i);
  }
  EXPECT_EQ(crc32c(bytes), 0x113F'DB5CU);
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c({}, 77), 77U);
}

TEST(Crc32c, IsTheSameAtEveryShortLengthAndAlignment) {
  std::mt19937 random(3720);
  std::vector<std::byte> bytes(2000);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(random());
  }
  for (std::size_t alignment = 0; alignment < 8; ++alignment) {
    for (std::size_t length = 0; length < 300; ++length) {
      const auto part = std::span(bytes).subspan(alignment, length);
      const auto seed = static_cast<std::uint32_t>(length % 3 == 0 ? 0 : random());
      ASSERT_EQ(crc32c(part, seed), bit_by_bit(part, seed)) << length << " bytes at " << alignment;
    }
  }
  // Several passes of full lanes, and what is left behind them.
  for (std::size_t length = 1500; length < 1990; ++length) {
    const auto part = std::span(bytes).subspan(length % 8, length);
    ASSERT_EQ(crc32c(part, 1), bit_by_bit(part, 1)) << length;
  }
}

TEST(Crc32c, GoesOnFromWhereItStopped) {
  const std::string text = "a text that is checked in two pieces, wherever it is cut, long enough for lanes of its own";
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), crc32c(bytes)) << cut;
  }
}

}  // namespace
}  // namespace mdpipe
