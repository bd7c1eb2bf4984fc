#pragma once
/// \file
/// A file of lines that is written in blocks: what the logs of a server are made of. Thread safety: none.

#include <cstddef>
#include <filesystem>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"

namespace mdpipe::replay {

class LineFile {
 public:
  LineFile() = default;  ///< keeps nothing
  /// What was there is gone. ErrorCode::environment where it cannot be written.
  [[nodiscard]] static Result<LineFile> create(const std::filesystem::path& path);

  [[nodiscard]] bool enabled() const noexcept { return static_cast<bool>(file_); }
  /// Where lines are put. Only where it is enabled.
  [[nodiscard]] std::string& buffer() noexcept { return buffer_; }

  /// To the file with what is kept back.
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] bool wants_flush() const noexcept { return buffer_.size() >= kBufferBytes; }

 private:
  static constexpr std::size_t kBufferBytes = 1U << 20U;

  FileDescriptor file_;
  std::filesystem::path path_;
  std::string buffer_;
};

}  // namespace mdpipe::replay
