#include "replay/serve/line_file.hpp"

#include <fcntl.h>

#include <utility>

namespace mdpipe::replay {

Result<LineFile> LineFile::create(const std::filesystem::path& path) {
  auto file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) {
    return tl::unexpected(file.error());
  }
  LineFile lines;
  lines.file_ = std::move(*file);
  lines.path_ = path;
  return lines;
}

Result<void> LineFile::flush() {
  if (buffer_.empty()) {
    return {};
  }
  auto written = write_all(file_.get(), buffer_, path_);
  if (written) {
    buffer_.clear();
  }
  return written;
}

}  // namespace mdpipe::replay
