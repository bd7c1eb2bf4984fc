#pragma once
/// \file
/// One session file, line by line.

#include <string>

#include "replay/session/line_reader.hpp"
#include "replay/session/session.hpp"
#include "replay/session/timeline.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class SessionFile final : public FrameSource {
 public:
  /// `from_ns`: nothing before that time is wanted; where the file has an index, it is not read either.
  [[nodiscard]] static Result<std::unique_ptr<SessionFile>> open(const std::filesystem::path& path,
                                                                 SymbolTable& symbols,
                                                                 std::shared_ptr<SkippedLines> skipped = nullptr,
                                                                 std::optional<std::int64_t> from_ns = std::nullopt);

  [[nodiscard]] Result<bool> next(SessionFrame& out) override;

 private:
  SessionFile(LineReader lines, SymbolTable& symbols, std::filesystem::path path, std::shared_ptr<SkippedLines> skipped)
      : lines_(std::move(lines)), parser_(symbols), path_(std::move(path)), skipped_(std::move(skipped)) {}

  Result<void> read_line(std::string_view line, SessionFrame& out);
  Result<void> read_capture(std::string_view line, SessionFrame& out);
  Result<void> read_trade(std::string_view line, SessionFrame& out);

  LineReader lines_;
  FrameParser parser_;
  std::string text_;  // where a frame's bytes are not those of the line
  Timeline timeline_;
  std::filesystem::path path_;
  std::shared_ptr<SkippedLines> skipped_;  // null: damage ends it
};

}  // namespace mdpipe::replay
