#pragma once
/// \file
/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the processor's instruction where it has one.

#include <cstddef>
#include <cstdint>
#include <span>

namespace mdpipe {

/// The checksum of `bytes`, going on from `seed` (0 to begin): crc32c(b, crc32c(a)) = crc32c(a followed by b).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0) noexcept;

}  // namespace mdpipe
