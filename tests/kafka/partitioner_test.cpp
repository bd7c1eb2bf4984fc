#include "mdpipe/kafka/partitioner.hpp"

#include <string>

#include <gtest/gtest.h>

namespace mdpipe::kafka {
namespace {

struct Vector {
  std::string_view key;
  std::int32_t hash;  // as Java has it: signed
};

// The first six are those of Kafka's own UtilsTest.testMurmur2; the rest was computed by an independent port of it.
constexpr Vector kVectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
    {"", 275646681},
    {"SPY", 1772639735},
    {"IBM", -1427187213},
    {"BINANCE:BTCUSDT", -1639137464},
    {"\xC3\x84", -732574636},
    {"\xE6\x97\xA5\xE7\xB5\x8C", 1706541395},
    {"\xFF\xFE\xFD", 998637092},
};

TEST(Partitioner, HashesAsKafkasJavaClientDoes) {
  for (const auto& [key, hash] : kVectors) {
    EXPECT_EQ(static_cast<std::int32_t>(murmur2(key)), hash) << key;
  }
}

TEST(Partitioner, TakesTheHashWithoutItsSignModuloThePartitions) {
  EXPECT_EQ(partition_of("SPY", 3), 2);
  EXPECT_EQ(partition_of("BINANCE:BTCUSDT", 3), 0);
  EXPECT_EQ(partition_of("SPY", 12), 11);
  EXPECT_EQ(partition_of("foobar", 12), 6);  // a negative hash
  EXPECT_EQ(partition_of("IBM", 1), 0);
}

TEST(Partitioner, HashesAKeyThatLiesAnywhereInMemoryAlike) {
  const std::string key = "a-little-bit-longer-string";
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const std::string padded = std::string(shift, 'x') + key;
    EXPECT_EQ(murmur2(std::string_view(padded).substr(shift)), murmur2(key)) << shift;
  }
}

}  // namespace
}  // namespace mdpipe::kafka
