#pragma once
// What a journal's directory holds when a writer opens it, and how the writer goes on.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/journal/writer.hpp"
#include "scan.hpp"
#include "segment.hpp"

namespace mdpipe::journal {

/// A begun segment, as retention sees it.
struct SegmentSummary {
  std::uint64_t index;
  Position previous_position;
  std::int64_t created_ns;
  bool refused = false;  ///< its header is not good: the others are of the segment behind it, the latest they can be
};

/// How far a journal was known to be on the disk, written by the helper each time it has synced.
struct Checkpoint {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;

  bool operator==(const Checkpoint&) const = default;
};
[[nodiscard]] Result<void> save_checkpoint(const std::filesystem::path& directory, Position position,
                                           const Checkpoint& checkpoint);
/// Nothing where there is none; ErrorCode::data where it is damaged.
[[nodiscard]] Result<std::optional<Checkpoint>> load_checkpoint(const std::filesystem::path& directory);

struct Recovery {
  /// A segment that ends without a roll record, and where.
  struct Unclosed {
    std::unique_ptr<Segment> segment;
    std::uint64_t offset;
  };

  RecoveryReport report;
  std::uint64_t journal_id = 0;
  std::uint64_t next_index = 1;
  std::uint16_t epoch = kFirstEpoch;
  std::uint64_t next_sequence = 1;
  SymbolTable symbols;
  std::vector<SegmentSummary> segments;
  std::vector<Unclosed> unclosed;  ///< to be closed once the next segment is begun
};

/// Reads what is there. Precondition: the directory's lock is held. Removes segments that were prepared and never
/// begun, and those behind a cut.
[[nodiscard]] Result<Recovery> recover(const std::filesystem::path& directory, const std::string& boot_id);

}  // namespace mdpipe::journal
