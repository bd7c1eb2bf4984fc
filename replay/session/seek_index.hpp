#pragma once
/// \file
/// Where to begin in a large .zst: what we pack is zstd's seekable format, so that every zstd reads it from the start
/// and those who know the format from anywhere.
///
///     block, block, …        zstd frames of whole lines, each readable alone
///     skippable 0x184D2A5D   "mdrs", u32 version, then of each block: i64 schedule, u64 lines before it
///     skippable 0x184D2A5E   zstd's seek table: of each frame before it u32 packed, u32 unpacked bytes; u32 frames,
///                            u8 0, u32 0x8F92EAB1
///
/// Little-endian. A block's schedule is that of the last line before it: no line before it has a later time.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mdpipe::replay {

struct SeekBlock {
  std::uint32_t packed_bytes = 0;
  std::uint32_t bytes = 0;
  std::int64_t schedule_ns = 0;  ///< kNoTime: nothing before it tells a time
  std::uint64_t lines = 0;       ///< before it
};

[[nodiscard]] std::string encode_seek_index(const std::vector<SeekBlock>& blocks);

/// A place from which a file can be read.
struct SeekStart {
  std::uint64_t offset = 0;  ///< in the file
  std::int64_t schedule_ns = 0;
  std::uint64_t lines = 0;
};

/// The last block before which no line has this time or a later one; nothing where that is the first, or the file has
/// no index that fits it (it is then read from its beginning).
[[nodiscard]] std::optional<SeekStart> find_seek_start(const std::filesystem::path& path, std::int64_t from_ns);

}  // namespace mdpipe::replay
