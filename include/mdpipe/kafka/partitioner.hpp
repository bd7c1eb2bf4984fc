#pragma once
/// \file
/// Which partition a key goes to, as Kafka's Java client has it: librdkafka's own default (CRC32) disagrees with it.

#include <cstdint>
#include <string_view>

namespace mdpipe::kafka {

/// 32-bit MurmurHash2 (Austin Appleby, public domain) with the seed of Kafka's clients, 0x9747b28c.
[[nodiscard]] std::uint32_t murmur2(std::string_view key) noexcept;

/// (murmur2(key) & 0x7fffffff) mod partitions. Precondition: partitions > 0.
[[nodiscard]] constexpr std::int32_t partition_of_hash(std::uint32_t hash, std::int32_t partitions) noexcept {
  return static_cast<std::int32_t>(hash & 0x7FFF'FFFFU) % partitions;
}
[[nodiscard]] inline std::int32_t partition_of(std::string_view key, std::int32_t partitions) noexcept {
  return partition_of_hash(murmur2(key), partitions);
}

}  // namespace mdpipe::kafka
