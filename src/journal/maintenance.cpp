#include "mdpipe/journal/maintenance.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cursors.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/state_file.hpp"
#include "segment_check.hpp"
#include "segment_image.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::string_view kTemporarySuffix = ".new";  // of ReplacedFile

ListedSegment list_segment(const std::filesystem::path& path, std::uint64_t index) {
  ListedSegment listed;
  listed.index = index;
  listed.path = path;
  auto image = SegmentImage::open(path);
  if (!image) {
    listed.trouble = image.error().message;
    return listed;
  }
  listed.file_bytes = (*image)->bytes();
  listed.disk_bytes = (*image)->disk_bytes();
  const auto judged = judge_image(**image, index);
  listed.state = judged.state;
  listed.trouble = judged.trouble;
  if (judged.state == SegmentState::open) {
    const SegmentHeader& header = (*image)->header();
    listed.journal_id = header.journal_id;
    listed.begun_ns = header.created_ns;
    listed.previous_position = header.previous_position;
    listed.first_position = make_position(header.epoch, header.first_sequence);
    listed.last_position = header.previous_position;
    listed.last_time_ns = header.previous_time_ns;
  }
  return listed;
}

/// Where the newest segment ends, only its records can say.
void read_end(ListedSegment& newest) {
  auto image = SegmentImage::open(newest.path);
  if (!image || judge_image(**image, newest.index).state != SegmentState::open) {
    return;  // gone or damaged since
  }
  VerifyReport ignored;
  const VerifyOptions options{.damages_max = 0, .on_record = {}};
  Findings findings(ignored, options);
  SegmentReport report;
  KnownSymbols symbols;
  SegmentCheck check(**image, (*image)->header(), report, symbols, findings);
  const auto end = check.run();
  newest.state = end == SegmentCheck::End::torn     ? SegmentState::torn
                 : end == SegmentCheck::End::closed ? SegmentState::closed
                                                    : SegmentState::open;
  newest.last_position = check.position();
  newest.last_time_ns = check.time_ns();
}

bool may_go(const ListedSegment& oldest, const ListedSegment& next, const PruneOptions& options, std::uint64_t bytes,
            std::int64_t now_ns) {
  return (options.keep_bytes && bytes > *options.keep_bytes) ||
         (options.keep_age_s && next.begun_ns <= now_ns - *options.keep_age_s * kNanosecondsPerSecond) ||
         (options.before && oldest.last_position < *options.before) ||
         (options.before_ns && oldest.last_time_ns < *options.before_ns);
}

/// The cursor that holds back what ends at `last`, in words; nothing where none does.
std::string holder_of(const std::vector<ListedCursor>& cursors, const ListedSegment& segment) {
  for (const ListedCursor& cursor : cursors) {
    if (!cursor.trouble.empty()) {
      return fmt::format("the cursor {} cannot be read, and what it needs is not known: {}", cursor.name,
                         cursor.trouble);
    }
    if (cursor.position < segment.last_position) {
      return fmt::format("the cursor {} stands at {}, in or before segment {}", cursor.name,
                         position_text(cursor.position), segment.index);
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(SegmentState state) noexcept {
  switch (state) {
    case SegmentState::closed:
      return "closed";
    case SegmentState::open:
      return "open";
    case SegmentState::prepared:
      return "prepared";
    case SegmentState::torn:
      return "torn";
    case SegmentState::refused:
      return "refused";
  }
  return "unknown";
}

Result<std::vector<ListedSegment>> list_journal(const std::filesystem::path& directory) {
  const auto indices = list_segments(directory);
  if (!indices) {
    return tl::unexpected(indices.error());
  }
  std::vector<ListedSegment> segments;
  for (const std::uint64_t index : *indices) {
    ListedSegment segment = list_segment(directory / segment_name(index), index);
    std::error_code ignored;
    if (segment.state == SegmentState::refused && !std::filesystem::exists(segment.path, ignored)) {
      continue;  // retention took it since
    }
    segments.push_back(std::move(segment));
  }
  if (segments.empty()) {
    return fail(ErrorCode::environment, fmt::format("there is no journal in {}", directory.string()));
  }
  ListedSegment* before = nullptr;
  for (ListedSegment& segment : segments) {
    if (segment.state == SegmentState::prepared) {
      continue;
    }
    if (segment.state == SegmentState::refused) {
      if (before != nullptr) {
        read_end(*std::exchange(before, nullptr));
      }
      continue;
    }
    if (before != nullptr && before->index + 1 == segment.index) {
      before->state = SegmentState::closed;
      before->last_position = segment.previous_position;
      before->last_time_ns = segment.last_time_ns;
    } else if (before != nullptr) {
      read_end(*before);
    }
    before = &segment;
  }
  if (before != nullptr) {
    read_end(*before);
  }
  for (ListedSegment& segment : segments) {
    if (segment.last_position < segment.first_position) {
      segment.first_position = 0;
      segment.last_position = segment.previous_position;
    }
  }
  return segments;
}

Result<Position> position_before(const std::filesystem::path& directory, std::int64_t time_ns) {
  const auto segments = list_journal(directory);
  if (!segments) {
    return tl::unexpected(segments.error());
  }
  Position last = kBeforeEverything;
  for (const ListedSegment& segment : *segments) {
    if (segment.state == SegmentState::prepared || segment.state == SegmentState::refused) {
      continue;
    }
    if (segment.last_time_ns >= time_ns) {
      // 0 is "from the oldest"; the oldest segment may begin later than that.
      return segment.path == segments->front().path ? kBeforeEverything : segment.previous_position;
    }
    last = segment.last_position;
  }
  return last;
}

Result<std::vector<ListedCursor>> list_cursors(const std::filesystem::path& directory) {
  std::vector<ListedCursor> cursors;
  std::error_code error;
  const auto folder = directory / "cursors";
  if (!std::filesystem::exists(folder, error)) {
    return cursors;
  }
  const auto names = list_directory(folder);
  if (!names) {
    return tl::unexpected(names.error());
  }
  for (const std::string& name : *names) {
    ListedCursor cursor;
    cursor.name = name;
    cursor.path = folder / name;
    if (cursor.name.ends_with(kTemporarySuffix)) {
      continue;
    }
    struct stat status {};
    if (::lstat(cursor.path.c_str(), &status) != 0) {
      continue;  // taken off the register since
    }
    cursor.saved_ns = status.st_mtim.tv_sec * kNanosecondsPerSecond + status.st_mtim.tv_nsec;
    if (!S_ISREG(status.st_mode)) {
      cursor.trouble = fmt::format("{} is no regular file", cursor.path.string());
    } else if (const auto state = load_any_state(cursor.path)) {
      cursor.position = state->state.position;
    } else {
      cursor.trouble = state.error().message;
    }
    cursors.push_back(std::move(cursor));
  }
  std::sort(cursors.begin(), cursors.end(),
            [](const ListedCursor& left, const ListedCursor& right) { return left.name < right.name; });
  return cursors;
}

Result<void> remove_cursor(const std::filesystem::path& directory, const std::string& name) {
  const auto cursors = list_cursors(directory);
  if (!cursors) {
    return tl::unexpected(cursors.error());
  }
  const auto found =
      std::find_if(cursors->begin(), cursors->end(), [&](const ListedCursor& cursor) { return cursor.name == name; });
  if (found == cursors->end()) {
    std::vector<std::string_view> names;
    for (const ListedCursor& cursor : *cursors) {
      names.push_back(cursor.name);
    }
    return fail(ErrorCode::environment,
                fmt::format("{} has no cursor \"{}\"; {}", directory.string(), name,
                            names.empty() ? "it has none" : fmt::format("it has: {}", fmt::join(names, ", "))));
  }
  const auto lock = LockFile::acquire(directory / "lock", "mdpipe journal cursors remove");
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  if (::unlink(found->path.c_str()) != 0) {
    return tl::unexpected(system_error(fmt::format("removing {}", found->path.string()), errno));
  }
  return sync_directory(found->path.parent_path());
}

Result<PruneReport> prune(const std::filesystem::path& directory, const PruneOptions& options) {
  std::optional<LockFile> lock;
  if (!options.dry_run) {
    // First, whether there is a journal: a lock file is not made in any folder that is named.
    if (const auto listed = list_journal(directory); !listed) {
      return tl::unexpected(listed.error());
    }
    auto acquired = LockFile::acquire(directory / "lock", "mdpipe journal prune");
    if (!acquired) {
      return tl::unexpected(acquired.error());
    }
    lock.emplace(std::move(*acquired));
  }
  auto segments = list_journal(directory);
  if (!segments) {
    return tl::unexpected(segments.error());
  }
  const auto cursors = list_cursors(directory);
  if (!cursors) {
    return tl::unexpected(cursors.error());
  }
  std::erase_if(*segments, [](const ListedSegment& segment) { return segment.state == SegmentState::prepared; });
  std::uint64_t bytes = 0;
  for (const ListedSegment& segment : *segments) {
    if (segment.state == SegmentState::refused) {
      return fail(ErrorCode::data,
                  fmt::format("{} is refused: {}; nothing was removed", segment.path.string(), segment.trouble));
    }
    if (segment.journal_id != segments->back().journal_id) {
      return fail(ErrorCode::data, fmt::format("{} is of another journal than {}; nothing was removed",
                                               segment.path.string(), segments->back().path.string()));
    }
    bytes += segment.disk_bytes;
  }
  PruneReport report;
  const std::int64_t now_ns = wall_clock_ns();
  std::size_t which = 0;
  for (; which + 1 < segments->size(); ++which) {
    ListedSegment& oldest = (*segments)[which];
    if (!may_go(oldest, (*segments)[which + 1], options, bytes, now_ns)) {
      break;
    }
    report.held = holder_of(*cursors, oldest);
    if (!report.held.empty()) {
      break;
    }
    if (!options.dry_run && ::unlink(oldest.path.c_str()) != 0) {
      return tl::unexpected(system_error(fmt::format("removing {}", oldest.path.string()), errno));
    }
    bytes -= oldest.disk_bytes;
    report.freed_bytes += oldest.disk_bytes;
    report.gone.push_back(std::move(oldest));
  }
  report.kept = segments->size() - which;
  report.kept_bytes = bytes;
  if (!options.dry_run && !report.gone.empty()) {
    if (auto synced = sync_directory(directory); !synced) {
      return tl::unexpected(synced.error());
    }
  }
  return report;
}

}  // namespace mdpipe::journal
