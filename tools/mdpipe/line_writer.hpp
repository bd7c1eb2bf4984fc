#pragma once
// Lines for a file or standard output.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "mdpipe/base/file.hpp"

namespace mdpipe::tools {

/// Lines, gathered into large writes.
class LineWriter {
 public:
  explicit LineWriter(std::string output) : path_(std::move(output)) { block_.reserve(2 * kBlockBytes); }

  Result<void> open() {
    if (path_ == "-") {
      path_ = "standard output";
      descriptor_ = FileDescriptor(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
      return {};
    }
    auto descriptor = open_file(path_, O_WRONLY | O_CREAT | O_TRUNC);
    if (!descriptor) {
      return tl::unexpected(descriptor.error());
    }
    descriptor_ = std::move(*descriptor);
    return {};
  }

  /// JSON whose line breaks (white space between its tokens: JSON has no others) become blanks.
  void put_json(std::string_view json) {
    const std::size_t begin = block_.size();
    block_.append(json);
    std::replace_if(
        block_.begin() + static_cast<std::ptrdiff_t>(begin), block_.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
  }
  void put(std::string_view text) { block_.append(text); }

  Result<void> end_line() {
    block_.push_back('\n');
    return block_.size() < kBlockBytes ? Result<void>{} : flush();
  }
  Result<void> flush() {
    auto written = write_all(descriptor_.get(), std::string_view(block_), path_);
    block_.clear();
    return written;
  }

 private:
  static constexpr std::size_t kBlockBytes = 1U << 20U;

  std::string path_;
  FileDescriptor descriptor_;
  std::string block_;
};

}  // namespace mdpipe::tools
