#pragma once
// What a disk does once in a machine's life, on demand: the system calls that the journal makes in this process.

#include <cstddef>
#include <functional>

namespace mdpipe::journal {

/// While it lives, each msync(2) of the process asks it first: 0 lets the call through, an errno value makes it fail.
/// Asked on the thread that calls, several at a time.
class SyncWatch {
 public:
  explicit SyncWatch(std::function<int(const std::byte* from, std::size_t bytes)> answer);
  ~SyncWatch();  ///< waits for those who are asking
  SyncWatch(const SyncWatch&) = delete;
  SyncWatch& operator=(const SyncWatch&) = delete;
};

/// While it lives, told of each folder that the thread which made it lists: before, and when that is done. Not of those
/// that it lists itself.
class ListWatch {
 public:
  enum class When { before, after };
  explicit ListWatch(std::function<void(When)> told);
  ~ListWatch();
  ListWatch(const ListWatch&) = delete;
  ListWatch& operator=(const ListWatch&) = delete;
};

/// While it lives, every folder lies on a file system with this magic.
class FileSystemMagic {
 public:
  explicit FileSystemMagic(long magic) noexcept;
  ~FileSystemMagic();
  FileSystemMagic(const FileSystemMagic&) = delete;
  FileSystemMagic& operator=(const FileSystemMagic&) = delete;
};

}  // namespace mdpipe::journal
