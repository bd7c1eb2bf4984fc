#include "mdpipe/base/base64.hpp"

#include <random>

#include <gtest/gtest.h>

namespace mdpipe {
namespace {

TEST(Base64, GivesBackWhatItTookAndRefusesTheRest) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) {
      c = static_cast<char>(random());
    }
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
  EXPECT_EQ(base64_encode("Ma"), "TWE=");
  for (const char* bad : {"A", "A===", "AA=A", "AB==", "A*AA", "AAA"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace mdpipe
