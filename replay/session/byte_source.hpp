#pragma once
/// \file
/// The bytes of a session file, unpacked: plain, gzip (RFC 1952, any number of members) or zstd (RFC 8878, any number
/// of frames), told apart by their first bytes, not by name.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "mdpipe/base/error.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// ErrorCode::environment where there is no such file. A symbolic link is followed: the user named it.
  /// `offset`: where in the file to begin, at a member or frame of its own.
  [[nodiscard]] static Result<std::unique_ptr<ByteSource>> open(const std::filesystem::path& path,
                                                                std::uint64_t offset = 0);

  /// At most `capacity` bytes; 0 = the end. ErrorCode::data where the packing is damaged or cut off.
  [[nodiscard]] virtual Result<std::size_t> read(char* out, std::size_t capacity) = 0;
};

/// The other direction, for what we generate: packed as the name's ending says (.gz, .zst), "-" = plain to stdout.
class ByteSink {
 public:
  virtual ~ByteSink() = default;

  /// Writes beside `path` under a temporary name; only finish() gives it its name, so that nothing half-written is ever
  /// left in place of something good. A link is followed; what is no file (/dev/null, a pipe) is written in place.
  [[nodiscard]] static Result<std::unique_ptr<ByteSink>> create(const std::filesystem::path& path);

  [[nodiscard]] virtual Result<void> write(std::string_view bytes) = 0;
  /// Here a line ends, and no line so far has a later time: a .zst may begin a block, from which it can be read.
  [[nodiscard]] virtual Result<void> mark(std::int64_t /*schedule_ns*/) { return {}; }
  [[nodiscard]] virtual Result<void> finish() = 0;
};

}  // namespace mdpipe::replay
