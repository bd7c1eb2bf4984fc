#pragma once
/// \file
/// A journal as its owner sees it: what lies there, whose cursors hold it, what may go.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/position.hpp"

namespace mdpipe::journal {

enum class SegmentState : std::uint8_t {
  closed,    ///< ends with a roll record: the next segment goes on
  open,      ///< ends at a commit word of 0: the writer writes on here, or was killed here
  prepared,  ///< allocated ahead, not begun
  torn,      ///< damaged, and nothing whole was found behind: where it ends is not known
  refused,   ///< its header is damaged or foreign, or the file cannot be read: nothing of it was looked at
};
[[nodiscard]] std::string_view to_string(SegmentState state) noexcept;

/// A segment by its header and the next one's.
struct ListedSegment {
  std::uint64_t index = 0;
  std::filesystem::path path;
  SegmentState state = SegmentState::refused;
  std::string trouble;  ///< with refused: why
  std::uint64_t file_bytes = 0;
  std::uint64_t disk_bytes = 0;  ///< what the file takes on the disk
  std::uint64_t journal_id = 0;
  std::int64_t begun_ns = 0;
  Position previous_position = 0;  ///< of the record before it; 0 = none
  Position first_position = 0;     ///< of its own; 0 = it has none
  Position last_position = 0;
  std::int64_t last_time_ns = 0;  ///< receive time of the last record up to its end; 0 = none
};

/// All segments, oldest first. Takes no lock: the writer may run. ErrorCode::environment where there is no journal.
[[nodiscard]] Result<std::vector<ListedSegment>> list_journal(const std::filesystem::path& directory);

/// Behind which position to begin so that nothing is passed over that was received at or behind a time; as long as the
/// clock was not set back meanwhile. kBeforeEverything where that is the oldest segment.
[[nodiscard]] Result<Position> position_before(const std::filesystem::path& directory, std::int64_t time_ns);

/// A cursor on the register.
struct ListedCursor {
  std::string name;
  std::filesystem::path path;
  Position position = 0;
  std::int64_t saved_ns = 0;  ///< wall clock when it was saved last
  std::string trouble;        ///< why it cannot be read: it holds everything back then; empty where it can
};

/// In the order of their names.
[[nodiscard]] Result<std::vector<ListedCursor>> list_cursors(const std::filesystem::path& directory);

/// Takes a cursor off the register: retention no longer waits for it. ErrorCode::environment where there is none of
/// that name, and, with the holder's name, while the process runs whose cursor it may be.
[[nodiscard]] Result<void> remove_cursor(const std::filesystem::path& directory, const std::string& name);

/// Which of the oldest segments go: those that any of the limits given here is against.
struct PruneOptions {
  std::optional<std::uint64_t> keep_bytes;  ///< beyond this size on the disk
  std::optional<std::int64_t> keep_age_s;   ///< ended longer ago than this
  std::optional<Position> before;           ///< nothing in it at or behind this position
  std::optional<std::int64_t> before_ns;    ///< its last record received before this time
  bool dry_run = false;                     ///< say it only
};

struct PruneReport {
  std::vector<ListedSegment> gone;  ///< or, in a dry run, what would be
  std::uint64_t freed_bytes = 0;
  std::size_t kept = 0;          ///< segments that stay
  std::uint64_t kept_bytes = 0;  ///< on the disk
  std::string held;              ///< what would go too, but for a cursor: which; empty where none holds
};

/// Removes the oldest segments as retention does: never the newest, never what a registered cursor has yet to pass.
/// ErrorCode::environment, with the holder's name, while a writer has the journal (it prunes by itself).
[[nodiscard]] Result<PruneReport> prune(const std::filesystem::path& directory, const PruneOptions& options);

}  // namespace mdpipe::journal
