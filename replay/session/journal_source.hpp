#pragma once
/// \file
/// A journal of mdpipe as a session: its frames with the times at which they were received.

#include <filesystem>
#include <memory>
#include <optional>

#include "mdpipe/journal/reader.hpp"
#include "replay/session/session.hpp"
#include "replay/session/timeline.hpp"

namespace mdpipe::replay {

/// Ends where the journal ended when it got there, be it written on or not. `from_ns`: segments that end before it need
/// not be read; some frames before it may come. Thread safety: none.
class JournalSource final : public FrameSource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<JournalSource>> open(const std::filesystem::path& directory,
                                                                   SymbolTable& symbols,
                                                                   std::shared_ptr<SkippedLines> skipped = nullptr,
                                                                   std::optional<std::int64_t> from_ns = std::nullopt);

  [[nodiscard]] Result<bool> next(SessionFrame& out) override;

 private:
  JournalSource(std::unique_ptr<journal::Reader> reader, SymbolTable& symbols, std::filesystem::path directory,
                std::shared_ptr<SkippedLines> skipped)
      : reader_(std::move(reader)), parser_(symbols), directory_(std::move(directory)), skipped_(std::move(skipped)) {}

  std::unique_ptr<journal::Reader> reader_;
  FrameParser parser_;
  Timeline timeline_;
  std::filesystem::path directory_;
  std::uint64_t places_ = 0;               // of damage
  std::shared_ptr<SkippedLines> skipped_;  // null: damage is an error, at the end
};

}  // namespace mdpipe::replay
