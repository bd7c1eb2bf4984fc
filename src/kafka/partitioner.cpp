#include "mdpipe/kafka/partitioner.hpp"

#include <cstring>

namespace mdpipe::kafka {

std::uint32_t murmur2(std::string_view key) noexcept {
  constexpr std::uint32_t kSeed = 0x9747'B28C;
  constexpr std::uint32_t kMultiplier = 0x5BD1'E995;
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(key.size());
  const char* at = key.data();
  std::size_t left = key.size();
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word;
    std::memcpy(&word, at, 4);
    word *= kMultiplier;
    word ^= word >> 24U;
    hash = (hash * kMultiplier) ^ (word * kMultiplier);
  }
  if (left != 0) {
    std::uint32_t tail = 0;
    std::memcpy(&tail, at, left);
    hash = (hash ^ tail) * kMultiplier;
  }
  hash = (hash ^ (hash >> 13U)) * kMultiplier;
  return hash ^ (hash >> 15U);
}

}  // namespace mdpipe::kafka
