#pragma once
/// \file
/// A cursor on a journal: record after record, in place, in order.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/idle.hpp"
#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe::journal {

class MappedWriter;  // private: makes readers on its own mapping

/// A stretch of damage that a reader went on behind.
struct Skip {
  std::filesystem::path file;
  std::uint64_t offset = 0;  ///< where in the file it begins
  std::uint64_t bytes = 0;   ///< passed over there; 0 where the file is missing or refused
  std::uint64_t positions =
      0;               ///< lost to this reader: a record takes one, each of its trades one. As those around tell
  std::string reason;  ///< what is wrong there
};

/// All that a reader has skipped.
struct SkipFigures {
  std::uint64_t places = 0;
  std::uint64_t bytes = 0;
  std::uint64_t positions = 0;
};

/// "FILE is damaged at byte N: …", for logs and for people.
[[nodiscard]] std::string to_string(const Skip& skip);

/// Thread safety: one thread. Any number of readers, in this process or others, at no cost to the writer.
///
/// Damage (a record whose checksum does not fit, a zeroed page, a segment missing or refused) does not stop a reader:
/// it goes on at the next record that is whole, of this journal, and later than what it has handed out, and says what
/// that cost. What this process wrote itself is not checked.
class Reader {
 public:
  /// On a directory, from outside the writer's process or without one. Starts behind `after`; 0 = at the oldest record.
  /// ErrorCode::environment where there is no journal; ErrorCode::data where no segment is good, or it begins after
  /// `after` (retention has taken what the caller still wants): never a silent skip.
  [[nodiscard]] static Result<std::unique_ptr<Reader>> open(const std::filesystem::path& directory,
                                                            Position after = kBeforeEverything);

  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The next committed record, or nothing for now. Symbol records are taken into symbols() and handed out too; roll
  /// records are not. Allocates nothing and makes no system call when the writer is in this process (but for symbols).
  [[nodiscard]] std::optional<RecordView> next() noexcept;

  /// What ends it: retention has taken what it had yet to read, no memory. next() then returns nothing for good.
  [[nodiscard]] const std::optional<Error>& failure() const noexcept;

  /// Damage that it went on behind, since it was opened.
  [[nodiscard]] const SkipFigures& skipped() const noexcept;
  /// The same one by one, since they were last asked for; those beyond the first few hundred are in skipped() alone.
  [[nodiscard]] std::vector<Skip> take_skips();

  [[nodiscard]] const SymbolTable& symbols() const noexcept;

  /// last_position() of the last record handed out; what `after` was before the first.
  [[nodiscard]] Position position() const noexcept;

  /// Memory of records up to here is no longer needed: their segments may be unmapped. Without a call nothing is.
  void release(Position up_to) noexcept;

  /// The journal's id: the source of its trades in Kafka.
  [[nodiscard]] std::uint64_t journal_id() const noexcept;

  /// Rung at each commit where the writer is in this process; null elsewhere.
  [[nodiscard]] Bell* bell() const noexcept;

 private:
  friend class MappedWriter;
  struct State;
  explicit Reader(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::journal
