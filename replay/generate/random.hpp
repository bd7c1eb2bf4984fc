#pragma once
/// \file
/// Chance that is the same everywhere: the standard's distributions may differ from library to library.

#include <array>
#include <bit>
#include <cstdint>

#include "mdpipe/base/wide.hpp"

namespace mdpipe::replay {

/// xoshiro256** (Blackman and Vigna), seeded by splitmix64. Thread safety: none.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) {
      seed += 0x9E37'79B9'7F4A'7C15U;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ mixed >> 30U) * 0xBF58'476D'1CE4'E5B9U;
      mixed = (mixed ^ mixed >> 27U) * 0x94D0'49BB'1331'11EBU;
      word = mixed ^ mixed >> 31U;
    }
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// 0 … bound - 1. Precondition: bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>(static_cast<Uint128>(next()) * bound >> 64U);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace mdpipe::replay
