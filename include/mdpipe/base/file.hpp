#pragma once
/// \file
/// Files as mdpipe opens them: O_CLOEXEC and O_NOFOLLOW always, owner-only modes, every failure in words.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe {

/// Owns a descriptor; closes it once. -1 = none.
class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

/// open(2) with O_CLOEXEC | O_NOFOLLOW added; mode 0600 where it creates.
[[nodiscard]] Result<FileDescriptor> open_file(const std::filesystem::path& path, int flags);

/// Writes all of it, going on after short writes and EINTR.
[[nodiscard]] Result<void> write_all(int descriptor, std::span<const std::byte> bytes,
                                     const std::filesystem::path& path);
[[nodiscard]] Result<void> write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path);

/// The whole file; refused beyond `max_bytes`.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = 64U << 20U);

/// mkdir -p with mode 0700.
[[nodiscard]] Result<void> make_directories(const std::filesystem::path& path);

/// The names in a folder, in no order. Throws std::bad_alloc where there is no memory: std::filesystem's iterators end
/// the process then.
[[nodiscard]] Result<std::vector<std::string>> list_directory(const std::filesystem::path& path);

/// fsync of a folder, so that names created or renamed in it survive a power loss.
[[nodiscard]] Result<void> sync_directory(const std::filesystem::path& path);

/// Replaces `path` by `bytes` so that after a crash at any instant it holds the old content or the new, whole:
/// write to a temporary name beside it, fsync, rename, fsync the folder.
class ReplacedFile {
 public:
  explicit ReplacedFile(std::filesystem::path path);
  /// Allocates nothing where it succeeds. One thread at a time.
  [[nodiscard]] Result<void> replace(std::span<const std::byte> bytes) const;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::filesystem::path directory_;
};
[[nodiscard]] Result<void> replace_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// An exclusive flock(2), held for the life of the object. The file says who holds it: pid, start time, boot id.
class LockFile {
 public:
  /// Refused with the holder's name, pid and start time (ErrorCode::environment) where another process, or another
  /// LockFile of this one, holds it. `holder` says what we are, for the next one who asks ("mdpipe run").
  [[nodiscard]] static Result<LockFile> acquire(const std::filesystem::path& path, std::string_view holder);

 private:
  explicit LockFile(FileDescriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}
  FileDescriptor descriptor_;
};

/// The kernel's id of this boot (16 bytes as 36 characters of text); empty where the kernel has none.
[[nodiscard]] std::string boot_id();

}  // namespace mdpipe
