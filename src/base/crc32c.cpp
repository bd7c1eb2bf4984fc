#include "mdpipe/base/crc32c.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

namespace mdpipe {
namespace {

#if !defined(__SSE4_2__)
constexpr std::array<std::uint32_t, 256> make_table() noexcept {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F6'3B78U : 0U);  // the polynomial, reflected
    }
    table[i] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();
#else
constexpr std::size_t kWordBytes = 8;
constexpr std::size_t kLanes = 3;           // the instruction takes three cycles, and one can begin in each
constexpr std::size_t kLaneWordsMax = 64;   // words of a lane in one pass
constexpr std::size_t kLanesFromWords = 9;  // fewer are done before lanes could be put together

/// kShift[n] = x^(64n - 33) modulo the polynomial, reflected: multiplying a checksum by it, and reducing by the CRC
/// instruction (which adds the missing 33), is what n words of zeros would make of it.
constexpr std::array<std::uint32_t, 2 * kLaneWordsMax + 1> make_shifts() noexcept {
  std::array<std::uint32_t, 2 * kLaneWordsMax + 1> shifts{};
  std::uint32_t power = 1;  // x^31, reflected
  for (std::size_t n = 1; n < shifts.size(); ++n) {
    shifts[n] = power;
    for (int bit = 0; bit < 64; ++bit) {
      power = (power >> 1U) ^ ((power & 1U) != 0 ? 0x82F6'3B78U : 0U);
    }
  }
  return shifts;
}
constexpr std::array<std::uint32_t, 2 * kLaneWordsMax + 1> kShift = make_shifts();

std::uint64_t load_word(const std::byte* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

__attribute__((target("sse4.2,pclmul"))) std::uint64_t behind_zeros(std::uint64_t crc, std::size_t words) noexcept {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                                               _mm_cvtsi32_si128(static_cast<int>(kShift[words])), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

/// Three stretches of equal length side by side, then put together. Advances over what it took.
__attribute__((target("sse4.2,pclmul"))) std::uint64_t take_lanes(const std::byte*& at, std::size_t& left,
                                                                  std::uint64_t first) noexcept {
  while (left >= kLanesFromWords * kWordBytes) {
    const std::size_t words = std::min(left / (kLanes * kWordBytes), kLaneWordsMax);
    const std::size_t lane_bytes = words * kWordBytes;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t offset = 0; offset < lane_bytes; offset += kWordBytes) {
      first = _mm_crc32_u64(first, load_word(at + offset));
      second = _mm_crc32_u64(second, load_word(at + lane_bytes + offset));
      third = _mm_crc32_u64(third, load_word(at + 2 * lane_bytes + offset));
    }
    first = behind_zeros(first, 2 * words) ^ behind_zeros(second, words) ^ third;
    at += kLanes * lane_bytes;
    left -= kLanes * lane_bytes;
  }
  return first;
}

const bool kHasCarrylessMultiplication = __builtin_cpu_supports("pclmul") != 0;
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
#if defined(__SSE4_2__)
  std::uint64_t crc = ~seed;
  if (left >= kLanesFromWords * kWordBytes && kHasCarrylessMultiplication) {
    crc = take_lanes(at, left, crc);
  }
  for (; left >= kWordBytes; at += kWordBytes, left -= kWordBytes) {
    crc = _mm_crc32_u64(crc, load_word(at));
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; left != 0; ++at, --left) {
    narrow = _mm_crc32_u8(narrow, std::to_integer<std::uint8_t>(*at));
  }
  return ~narrow;
#else
  std::uint32_t crc = ~seed;
  for (; left != 0; ++at, --left) {
    crc = (crc >> 8U) ^ kTable[(crc ^ std::to_integer<std::uint8_t>(*at)) & 0xFFU];
  }
  return ~crc;
#endif
}

}  // namespace mdpipe
