#pragma once
// The records of a journal between two places, for commands that read it once.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "commands.hpp"
#include "mdpipe/journal/reader.hpp"

namespace mdpipe::tools {

class JournalRange {
 public:
  /// `from` and `to`: places as their options give them; empty = the oldest record, the end.
  [[nodiscard]] static Result<JournalRange> open(const std::string& directory, const std::string& from,
                                                 const std::string& to);

  /// The next record of the range, valid until the next call; nothing at its end. Says on stderr what damage was
  /// skipped.
  [[nodiscard]] std::optional<RecordView> next();
  [[nodiscard]] const SymbolTable& symbols() const { return reader_->symbols(); }

  /// Once all was read and written: ErrorCode::data where damage was skipped, or what else the reader failed with.
  [[nodiscard]] Result<void> end();

 private:
  JournalRange(std::unique_ptr<journal::Reader> reader, std::optional<JournalPlace> from,
               std::optional<JournalPlace> to)
      : reader_(std::move(reader)), from_(from), to_(to) {}
  void say_skips();

  std::unique_ptr<journal::Reader> reader_;
  std::optional<JournalPlace> from_;
  std::optional<JournalPlace> to_;
  std::uint64_t said_places_ = 0;
  bool begun_ = false;
};

}  // namespace mdpipe::tools
