#include "mdpipe/journal/verify.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "recovery.hpp"
#include "segment_check.hpp"
#include "segment_image.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::size_t kHeaderEnd = offsetof(SegmentHeader, crc32c) + sizeof(SegmentHeader::crc32c);

/// One verification, in the order of its functions.
class Verifier {
 public:
  Verifier(const std::filesystem::path& directory, const VerifyOptions& options)
      : directory_(directory), findings_(report_, options) {}

  Result<VerifyReport> run();

 private:
  /// The segment before, as its records say.
  struct Before {
    std::uint64_t index = 0;
    Position position = 0;
    std::int64_t time_ns = 0;
    std::uint64_t connections = 0;
    bool end_known = false;  // not torn, not refused
    bool grows = false;      // no segment followed it when its end was read
    bool closed = false;
    bool whole = false;
  };

  [[nodiscard]] std::filesystem::path path(std::uint64_t index) const { return directory_ / segment_name(index); }
  [[nodiscard]] Result<void> choose_journal(const std::vector<std::uint64_t>& indices);
  [[nodiscard]] Result<void> check_segment(std::uint64_t index, bool last);
  [[nodiscard]] bool taken_by_retention(std::uint64_t index) const;
  void check_gap(const SegmentHeader& header, std::uint64_t index);
  void check_header(const SegmentHeader& header, const std::filesystem::path& file);
  void check_prepared(SegmentImage& image, SegmentReport& segment, bool last);
  void check_records(SegmentImage& image, SegmentReport& segment, bool last);
  [[nodiscard]] SegmentCheck::End check_open_end(SegmentCheck& check, SegmentReport& segment,
                                                 const std::optional<SegmentHeader>& next);
  void check_gone(std::uint64_t index);
  void lacks_next(std::uint64_t index);
  void refuse(SegmentReport& segment, std::uint64_t offset, std::string reason);
  [[nodiscard]] std::optional<SegmentHeader> begun(std::uint64_t index) const;
  void read_state_files();
  void check_checkpoint();
  void check_cursors();

  const std::filesystem::path& directory_;
  VerifyReport report_;
  Findings findings_;
  std::optional<Checkpoint> checkpoint_;
  std::vector<ListedCursor> cursors_;
  std::optional<Position> oldest_;  // last position before the oldest segment
  std::optional<Before> before_;
  KnownSymbols symbols_;
};

Result<VerifyReport> Verifier::run() {
  // Before the segments: what they say was saved after the records that they speak of were written.
  read_state_files();
  const auto indices = list_segments(directory_);
  if (!indices) {
    return tl::unexpected(indices.error());
  }
  if (indices->empty()) {
    return fail(ErrorCode::environment, fmt::format("there is no journal in {}", directory_.string()));
  }
  if (auto chosen = choose_journal(*indices); !chosen) {
    return tl::unexpected(chosen.error());
  }
  for (const std::uint64_t index : *indices) {
    if (auto checked = check_segment(index, index == indices->back()); !checked) {
      return tl::unexpected(checked.error());
    }
  }
  check_checkpoint();
  check_cursors();
  return std::move(report_);
}

void Verifier::read_state_files() {
  if (auto checkpoint = load_checkpoint(directory_)) {
    checkpoint_ = *checkpoint;
  } else {
    findings_.damage(directory_ / "checkpoint", 0, checkpoint.error().message);
  }
  if (auto cursors = list_cursors(directory_)) {
    cursors_ = std::move(*cursors);
  } else {
    findings_.damage(directory_ / "cursors", 0, cursors.error().message);
  }
  for (const ListedCursor& cursor : cursors_) {
    if (!cursor.trouble.empty()) {
      findings_.damage(cursor.path, 0, cursor.trouble);
    }
  }
}

/// The journal's id is that of most of its segments; of two, the newer one's.
Result<void> Verifier::choose_journal(const std::vector<std::uint64_t>& indices) {
  std::map<std::uint64_t, std::size_t> segments_of;
  std::size_t most = 0;
  for (const std::uint64_t index : indices) {
    auto image = SegmentImage::open(path(index));
    std::error_code ignored;
    if (!image && image.error().code == ErrorCode::environment && std::filesystem::exists(path(index), ignored)) {
      return tl::unexpected(image.error());
    }
    if (image && judge_image(**image, index).state == SegmentState::open) {
      const std::uint64_t id = (*image)->header().journal_id;
      if (++segments_of[id] >= most) {
        most = segments_of[id];
        report_.journal_id = id;
      }
    }
  }
  return {};
}

Result<void> Verifier::check_segment(std::uint64_t index, bool last) {
  const std::uint64_t damages_before = findings_.count();
  auto image = SegmentImage::open(path(index));
  if (!image && image.error().code == ErrorCode::environment) {
    std::error_code ignored;
    if (std::filesystem::exists(path(index), ignored)) {
      image = SegmentImage::open(path(index));  // one of that name may have been made anew in between
      if (!image && image.error().code == ErrorCode::environment) {
        return tl::unexpected(image.error());  // no damage: no descriptors, no permission
      }
    } else {
      check_gone(index);
      return {};
    }
  }
  SegmentReport segment;
  segment.index = index;
  segment.path = path(index);
  if (!image) {
    refuse(segment, 0, image.error().message);
  } else {
    segment.file_bytes = (*image)->bytes();
    segment.disk_bytes = (*image)->disk_bytes();
    auto judged = judge_image(**image, index);
    segment.state = judged.state;
    if (judged.state == SegmentState::open && before_ && before_->grows && before_->index + 1 == index) {
      // It was begun since that one's end was read, and what was written there meanwhile is not: the journal as it was
      // at that moment is what is verified.
      return {};
    }
    if (judged.state == SegmentState::refused) {
      refuse(segment, 0, std::move(judged.trouble));
    } else if (judged.state == SegmentState::prepared) {
      check_prepared(**image, segment, last);
    } else if (const std::uint64_t id = (*image)->header().journal_id; id != report_.journal_id) {
      refuse(segment, offsetof(SegmentHeader, journal_id),
             fmt::format("it is of another journal, {:016x}: this one is {:016x}", id, report_.journal_id));
    } else {
      check_records(**image, segment, last);
    }
  }
  segment.damages = findings_.count() - damages_before;
  // What was looked for beside its records may have been gone with it.
  if (segment.damages != 0 && taken_by_retention(index)) {
    findings_.take_back(damages_before);
    before_.reset();
    return {};
  }
  if (segment.state != SegmentState::prepared) {
    before_->whole = segment.damages == 0;
  }
  report_.segments.push_back(std::move(segment));
  return {};
}

/// It was there when the journal was listed.
void Verifier::check_gone(std::uint64_t index) {
  if (taken_by_retention(index)) {
    before_.reset();
  } else if (before_ && before_->closed && before_->index + 1 == index) {
    lacks_next(index);
  }
  // Else it was prepared: whoever ends in good order, starts again or finds the disk full takes it away.
}

void Verifier::lacks_next(std::uint64_t index) {
  findings_.damage(path(index), 0, "the segment is missing: the one before it ends as one that another follows");
}

void Verifier::refuse(SegmentReport& segment, std::uint64_t offset, std::string reason) {
  segment.state = SegmentState::refused;
  findings_.damage(segment.path, offset, std::move(reason));
  const Position position = before_ ? before_->position : 0;
  before_ = Before{.index = segment.index, .position = position};
  symbols_.complete = false;
}

bool Verifier::taken_by_retention(std::uint64_t index) const {
  std::error_code ignored;
  if (std::filesystem::exists(path(index), ignored)) {
    return false;
  }
  const auto now = list_segments(directory_);
  return now && (now->empty() || now->front() > index);
}

void Verifier::check_gap(const SegmentHeader& header, std::uint64_t index) {
  if (!before_ || before_->index + 1 == index) {
    return;
  }
  const std::uint64_t first = before_->index + 1;
  const auto now = list_segments(directory_);
  if (now && !now->empty() && now->front() > before_->index) {
    return;  // retention took them while we were reading
  }
  findings_.damage(path(first), 0,
                   fmt::format("{} missing: what lies between positions {} and {} is lost",
                               first + 1 == index ? "the segment is" : fmt::format("{} segments are", index - first),
                               position_text(before_->position), position_text(header.previous_position)));
}

/// What a segment's header says of what was before it.
void Verifier::check_header(const SegmentHeader& header, const std::filesystem::path& file) {
  const Position previous = header.previous_position;
  const Position first = make_position(header.epoch, header.first_sequence);
  const bool goes_on = previous != 0 && header.epoch == epoch_of(previous);
  if (first <= previous || header.first_sequence != (goes_on ? sequence_of(previous) + 1 : 1)) {
    findings_.damage(file, offsetof(SegmentHeader, first_sequence),
                     fmt::format("its header says that it begins at position {}, which does not follow {}",
                                 position_text(first), position_text(previous)));
  }
  if (header.index == 1 && previous != 0) {
    findings_.damage(file, offsetof(SegmentHeader, previous_position), "the first segment says that one was before it");
  }
  if (!before_) {
    return;
  }
  const bool continues = before_->end_known && before_->index + 1 == header.index;
  if (continues ? previous != before_->position : previous < before_->position) {
    findings_.damage(file, offsetof(SegmentHeader, previous_position),
                     fmt::format("it does not continue the segment before it: its header says that position {} is the "
                                 "last before it, that one ends at {}",
                                 position_text(previous), position_text(before_->position)));
    symbols_.complete = false;
  } else if (continues && before_->whole &&
             (header.previous_time_ns != before_->time_ns || header.connections != before_->connections)) {
    findings_.damage(file, offsetof(SegmentHeader, previous_time_ns),
                     "its header does not say the time and the connections that the segment before it ends with");
  } else if (continues && before_->whole && symbols_.complete && header.symbols != symbols_.table.size()) {
    findings_.damage(file, offsetof(SegmentHeader, symbols),
                     fmt::format("its header says {} symbols, the segment before it ends with {}", header.symbols,
                                 symbols_.table.size()));
  }
  if (!continues) {
    symbols_.complete = false;
  }
}

/// A segment that was begun may not look like one that was not: its header was there before its records, and before
/// the end of the segment before it.
void Verifier::check_prepared(SegmentImage& image, SegmentReport& segment, bool last) {
  SegmentHeader unknown{};
  unknown.journal_id = report_.journal_id;
  unknown.index = segment.index;
  SegmentReport ignored;
  KnownSymbols none;
  const bool lost = !last || (before_ && before_->closed && before_->index + 1 == segment.index) ||
                    SegmentCheck(image, unknown, ignored, none, findings_).has_records();
  // The writer may have begun it while we were looking.
  if (lost && !begun(segment.index)) {
    refuse(segment, 0, "it has no header, though it was begun: its records are lost");
  }
}

void Verifier::check_records(SegmentImage& image, SegmentReport& segment, bool last) {
  if (!image.load(kHeaderBytes)) {
    refuse(segment, 0, image.trouble());
    return;
  }
  const SegmentHeader header = image.header();
  segment.begun_ns = header.created_ns;
  const auto* const rest = image.at(kHeaderEnd);
  if (std::any_of(rest, image.at(kHeaderBytes), [](std::byte byte) { return byte != std::byte{0}; })) {
    findings_.damage(segment.path, kHeaderEnd, "the bytes behind its header are not zero");
  }
  check_gap(header, segment.index);
  check_header(header, segment.path);
  if (!oldest_ && !before_) {
    oldest_ = header.previous_position;
  }
  SegmentCheck check(image, header, segment, symbols_, findings_);
  auto end = check.run();
  bool grows = false;
  if (end == SegmentCheck::End::open) {
    const auto next = begun(segment.index + 1);
    grows = !next;
    end = check_open_end(check, segment, next);
  }
  check.finish();
  std::error_code ignored;
  if (end == SegmentCheck::End::closed) {
    segment.state = SegmentState::closed;
    if (last && !std::filesystem::exists(path(segment.index + 1), ignored)) {
      lacks_next(segment.index + 1);
    }
  } else if (end == SegmentCheck::End::torn) {
    segment.state = SegmentState::torn;
    symbols_.complete = false;
  }
  before_ = Before{.index = segment.index,
                   .position = check.position(),
                   .time_ns = check.time_ns(),
                   .connections = check.connections(),
                   .end_known = end != SegmentCheck::End::torn,
                   .grows = grows,
                   .closed = end == SegmentCheck::End::closed};
}

/// The end of the journal; or of a segment that the writer is leaving, or was killed leaving; or damage.
SegmentCheck::End Verifier::check_open_end(SegmentCheck& check, SegmentReport& segment,
                                           const std::optional<SegmentHeader>& next) {
  auto end = SegmentCheck::End::open;
  if (next) {
    // All of this one was written before the next one was begun.
    end = check.run_again();
  }
  if (end == SegmentCheck::End::open) {
    end = check.look_behind();
  }
  if (end != SegmentCheck::End::open || !next) {
    return end;
  }
  if (begun(segment.index + 2)) {
    end = check.run_again();
    if (end == SegmentCheck::End::open) {
      findings_.damage(segment.path, segment.end_offset, "it has no end, but segments follow it");
    }
  } else if (next->previous_position == check.position()) {
    findings_.note(fmt::format("{} lacks its end, as after a kill: readers wait there until the next start",
                               segment.path.string()));
  }
  return end;
}

std::optional<SegmentHeader> Verifier::begun(std::uint64_t index) const {
  auto image = SegmentImage::open(path(index));
  if (!image || judge_image(**image, index).state != SegmentState::open) {
    return std::nullopt;
  }
  return (*image)->header();
}

/// What was on the disk once must be there: only the newest segments can be missing without another sign of it.
void Verifier::check_checkpoint() {
  const auto newest = std::find_if(report_.segments.rbegin(), report_.segments.rend(),
                                   [](const SegmentReport& one) { return one.state != SegmentState::prepared; });
  if (!checkpoint_ || !before_ || newest == report_.segments.rend()) {
    return;  // or retention took the newest that was listed
  }
  if (checkpoint_->segment > newest->index) {
    findings_.damage(path(checkpoint_->segment), 0,
                     fmt::format("the checkpoint says that it was on the disk up to byte {}; the journal ends with "
                                 "segment {}",
                                 checkpoint_->offset, newest->index));
  } else if (checkpoint_->segment == newest->index && newest->state == SegmentState::open &&
             newest->end_offset < checkpoint_->offset) {
    ++newest->damages;
    findings_.damage(
        newest->path, newest->end_offset,
        fmt::format("it ends here; the checkpoint says that it was on the disk up to byte {}", checkpoint_->offset));
  }
}

void Verifier::check_cursors() {
  if (before_ && before_->end_known) {
    for (const ListedCursor& cursor : cursors_) {
      if (cursor.trouble.empty() && cursor.position > before_->position) {
        findings_.damage(cursor.path, 0,
                         fmt::format("it stands at {}, the journal ends at {}: what was between is lost",
                                     position_text(cursor.position), position_text(before_->position)));
      }
    }
  }
  // Anew: while we were reading, retention may have taken what a cursor has passed meanwhile.
  const auto cursors = list_cursors(directory_);
  if (!cursors || !oldest_) {
    return;
  }
  for (const ListedCursor& cursor : *cursors) {
    if (cursor.trouble.empty() && cursor.position != 0 && cursor.position < *oldest_) {
      findings_.damage(cursor.path, 0,
                       fmt::format("it stands at {}, the journal begins behind {}: what it has yet to pass is gone",
                                   position_text(cursor.position), position_text(*oldest_)));
    }
  }
}

}  // namespace

Result<VerifyReport> verify(const std::filesystem::path& directory, const VerifyOptions& options) {
  return Verifier(directory, options).run();
}

}  // namespace mdpipe::journal
