// Positions as text, and back.

#include "mdpipe/event/position.hpp"

#include <gtest/gtest.h>

namespace mdpipe {
namespace {

TEST(PositionText, IsEpochAndSequenceAndReadsBack) {
  EXPECT_EQ(position_text(0), "0.0");
  EXPECT_EQ(position_text(make_position(1, 500)), "1.500");
  for (const Position position : {Position{0}, Position{1}, make_position(1, 0), make_position(7, 123'456'789),
                                  make_position(65'535, (Position{1} << kSequenceBits) - 1)}) {
    EXPECT_EQ(parse_position(position_text(position)), position);
  }
}

TEST(PositionText, NothingElseIsAPosition) {
  for (const char* const text :
       {"", ".", "1", "1.", ".1", "1.2.3", "-1.2", "1.-2", "1,2", " 1.2", "1.2 ", "65536.1", "1.281474976710656",
        "1.99999999999999999999", "2013-10-07T14:30:00Z", "1381132800.25"}) {
    EXPECT_FALSE(parse_position(text)) << text;
  }
}

}  // namespace
}  // namespace mdpipe
