#pragma once
/// \file
/// Lines of a session file, one after the other; never more of the file in memory than the longest line needs.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "replay/session/byte_source.hpp"
#include "replay/session/seek_index.hpp"

namespace mdpipe::replay {

/// The longest line that is read; a longer one is refused (what is it, if not foreign?).
inline constexpr std::size_t kLineMaxBytes = 32U << 20U;

/// Thread safety: none.
class LineReader {
 public:
  /// `start`: not at the file's beginning but there.
  [[nodiscard]] static Result<LineReader> open(const std::filesystem::path& path,
                                               const std::optional<SeekStart>& start = std::nullopt);

  /// The next line without its end ("\n" or "\r\n"); a last line without one counts. False at the end. `line` is valid
  /// until the next call.
  [[nodiscard]] Result<bool> next(std::string_view& line);

  /// Of the line last returned, from 1.
  [[nodiscard]] std::uint64_t line_number() const noexcept { return line_number_; }

  /// "FILE:LINE: what", as ErrorCode::data.
  [[nodiscard]] Error damaged(std::string_view what) const;

 private:
  LineReader(std::unique_ptr<ByteSource> source, std::filesystem::path path);
  Result<bool> fill();

  std::unique_ptr<ByteSource> source_;
  std::filesystem::path path_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of what is not yet given out
  std::size_t scanned_ = 0;  // up to here there is no line end
  std::size_t end_ = 0;
  std::uint64_t line_number_ = 0;
  bool at_end_ = false;
};

}  // namespace mdpipe::replay
