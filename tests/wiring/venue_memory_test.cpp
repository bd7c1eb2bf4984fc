#include "venue_memory.hpp"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

namespace mdpipe::wiring {
namespace {

class VenueMemoryTest : public testing::Test {
 protected:
  VenueMemoryTest() : directory_(testing::TempDir() + "mdpipe-venue-" + std::to_string(::getpid())) {}
  ~VenueMemoryTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(VenueMemoryTest, KnowsInItsNextLifeWhatTheVenueHasSaidLast) {
  EXPECT_EQ(VenueMemory(directory_).not_before_ns("wss://a"), 0);
  {
    VenueMemory memory(directory_);
    memory.keep("wss://a", 0);
    EXPECT_FALSE(std::filesystem::exists(directory_)) << "nothing to keep";
    memory.keep("wss://a", 7);
    memory.keep("wss://a", 9);
  }
  EXPECT_EQ(VenueMemory(directory_).not_before_ns("wss://a"), 9);
  EXPECT_EQ(VenueMemory(directory_).not_before_ns("wss://b"), 0) << "another venue has said nothing";
}

TEST_F(VenueMemoryTest, AsksWhereWhatItKeptIsDamaged) {
  VenueMemory(directory_).keep("wss://a", 7);
  std::ofstream(directory_ / "venue") << "rubbish";
  EXPECT_EQ(VenueMemory(directory_).not_before_ns("wss://a"), 0);
}

}  // namespace
}  // namespace mdpipe::wiring
