#pragma once
// A segment file for those who trust nothing in it: read, not mapped, so that a file that is cut short or a disk that
// fails under it is an error value and no SIGBUS.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "format.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/journal/maintenance.hpp"

namespace mdpipe::journal {

/// Thread safety: one thread. What it has read may be older than the file: see forget().
class SegmentImage {
 public:
  /// ErrorCode::data where it is no regular file.
  [[nodiscard]] static Result<std::unique_ptr<SegmentImage>> open(const std::filesystem::path& path);

  ~SegmentImage();
  SegmentImage(const SegmentImage&) = delete;
  SegmentImage& operator=(const SegmentImage&) = delete;

  /// Bytes up to `end` are there to be looked at. False where the file is shorter or cannot be read: see trouble().
  [[nodiscard]] bool load(std::uint64_t end);

  /// Bytes from `offset` on are read anew when they are asked for next: a writer may have gone on since.
  void forget(std::uint64_t offset) noexcept { loaded_ = offset < loaded_ ? offset : loaded_; }

  /// Where the next bytes lie that are more than a hole of the file, at `offset` or behind; bytes() where none are.
  /// What lies in the hole need not be loaded: it is zero.
  [[nodiscard]] std::uint64_t skip_hole(std::uint64_t offset) noexcept;

  [[nodiscard]] const std::byte* at(std::uint64_t offset) const noexcept { return base_ + offset; }
  /// Precondition: load(kHeaderBytes).
  [[nodiscard]] const SegmentHeader& header() const noexcept { return *reinterpret_cast<const SegmentHeader*>(base_); }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t disk_bytes() const noexcept { return disk_bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Why load() failed.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

 private:
  SegmentImage(std::filesystem::path path, FileDescriptor descriptor, std::byte* base, std::uint64_t bytes,
               std::uint64_t disk_bytes) noexcept;

  std::filesystem::path path_;
  FileDescriptor descriptor_;
  std::byte* base_;
  std::uint64_t bytes_;
  std::uint64_t disk_bytes_;
  std::uint64_t loaded_ = 0;
  std::string trouble_;
};

/// What an image's header says: `open` where it is good, or prepared, or refused and why.
struct JudgedImage {
  SegmentState state;
  std::string trouble;
};
[[nodiscard]] JudgedImage judge_image(SegmentImage& image, std::uint64_t index);

}  // namespace mdpipe::journal
