#include "replay/session/line_reader.hpp"

#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace mdpipe::replay {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10U;

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

LineReader::LineReader(std::unique_ptr<ByteSource> source, std::filesystem::path path)
    : source_(std::move(source)), path_(std::move(path)), buffer_(kBufferBytes, '\0') {}

Result<LineReader> LineReader::open(const std::filesystem::path& path, const std::optional<SeekStart>& start) {
  auto source = ByteSource::open(path, start ? start->offset : 0);
  if (!source) {
    return tl::unexpected(source.error());
  }
  LineReader reader(std::move(*source), path);
  reader.line_number_ = start ? start->lines : 0;
  return reader;
}

Result<bool> LineReader::next(std::string_view& line) {
  while (true) {
    if (const void* const found = std::memchr(buffer_.data() + scanned_, '\n', end_ - scanned_)) {
      const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
      line = without_return({buffer_.data() + begin_, at - begin_});
      begin_ = scanned_ = at + 1;
      ++line_number_;
      return true;
    }
    scanned_ = end_;
    auto more = fill();
    if (!more) {
      return more;
    }
    if (!*more) {
      if (begin_ == end_) {
        return false;
      }
      line = without_return({buffer_.data() + begin_, end_ - begin_});
      begin_ = scanned_ = end_;
      ++line_number_;
      return true;
    }
  }
}

/// Makes room behind what is there, and reads into it. False at the end of the file.
Result<bool> LineReader::fill() {
  if (at_end_) {
    return false;
  }
  if (begin_ != 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    if (buffer_.size() >= kLineMaxBytes) {
      ++line_number_;
      return tl::unexpected(damaged(fmt::format("a line of more than {} bytes: not a session", kLineMaxBytes)));
    }
    buffer_.resize(buffer_.size() * 2);
  }
  auto count = source_->read(buffer_.data() + end_, buffer_.size() - end_);
  if (!count) {
    return tl::unexpected(count.error());
  }
  end_ += *count;
  at_end_ = *count == 0;
  return !at_end_;
}

Error LineReader::damaged(std::string_view what) const {
  return {ErrorCode::data, fmt::format("{}:{}: {}", path_.string(), line_number_, what)};
}

}  // namespace mdpipe::replay
