#include "recovery.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/state_file.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "segment_image.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::string_view kCheckpointName = "checkpoint";
constexpr std::string_view kCheckpointKind = "journal checkpoint";
constexpr Position kNoLimit = std::numeric_limits<Position>::max();

/// Of much damage the first places are enough: verification tells all.
void say(RecoveryReport& report, const std::string& sentence) {
  constexpr std::size_t kWordsMax = 8192;
  if (report.words.size() < kWordsMax) {
    report.words += (report.words.empty() ? "" : "; ") + sentence;
  }
}

Checkpoint checkpoint_or_none(const std::filesystem::path& directory, RecoveryReport& report) {
  const auto checkpoint = load_checkpoint(directory);
  if (!checkpoint) {
    // Without it more is verified, nothing is lost.
    say(report, checkpoint.error().message);
  }
  return checkpoint ? checkpoint->value_or(Checkpoint{}) : Checkpoint{};
}

Result<std::uint64_t> random_journal_id() {
  std::uint64_t id = 0;
  while (id == 0) {
    if (::getrandom(&id, sizeof id, 0) != static_cast<ssize_t>(sizeof id)) {
      return tl::unexpected(system_error("drawing the journal's id", errno));
    }
  }
  return id;
}

/// One recovery, in the order of its functions.
class Recoverer {
 public:
  Recoverer(const std::filesystem::path& directory, const std::string& boot_id)
      : directory_(directory), boot_id_(boot_id) {}

  Result<Recovery> run();

 private:
  [[nodiscard]] std::filesystem::path path(std::uint64_t index) const { return directory_ / segment_name(index); }
  [[nodiscard]] Result<void> read_headers();
  [[nodiscard]] Result<void> take_refused(std::uint64_t index, Error error);
  [[nodiscard]] Result<void> drop_lost_with_power();
  [[nodiscard]] Result<void> drop_unbegun();
  [[nodiscard]] Result<void> remove(std::uint64_t index);
  [[nodiscard]] bool written_in_another_life(const SegmentHeader& header) const;
  [[nodiscard]] bool knows_what_was_synced() const noexcept { return rebooted_ && checkpoint_.segment != 0; }
  [[nodiscard]] bool anything_whole_from(std::size_t which) const;
  [[nodiscard]] Result<void> walk_segments();
  [[nodiscard]] Result<void> walk_segment(std::size_t which);
  [[nodiscard]] Walk::End walk_records(const Segment& segment, std::size_t which, Walk& walk);
  void note_end(std::unique_ptr<Segment> segment, const Walk& walk, Walk::End end);
  [[nodiscard]] bool continues(std::size_t which, const Walk& walk) const;
  [[nodiscard]] Result<void> drop_behind(std::size_t which);
  void restore_symbols();
  void look_for_a_lost_end();
  [[nodiscard]] Result<void> choose_epoch();
  void list_segments_found();

  const std::filesystem::path& directory_;
  const std::string& boot_id_;
  std::vector<SegmentHeader> headers_;
  std::vector<std::uint64_t> unbegun_;
  std::vector<std::uint64_t> refused_;  // ascending; readers skip them
  std::optional<Error> newest_refused_;
  std::uint16_t epoch_max_ = 0;  // positions of it were given away, whatever is dropped
  Checkpoint checkpoint_;
  bool rebooted_ = false;
  bool cut_ = false;
  Walk last_walk_;
  KnownNames names_;
  Recovery found_;
};

Result<Recovery> Recoverer::run() {
  if (auto read = read_headers(); !read) {
    return tl::unexpected(read.error());
  }
  if (!headers_.empty()) {
    epoch_max_ = headers_.back().epoch;
    rebooted_ = written_in_another_life(headers_.back());
  }
  checkpoint_ = checkpoint_or_none(directory_, found_.report);
  for (const auto step : {&Recoverer::drop_lost_with_power, &Recoverer::drop_unbegun}) {
    if (auto dropped = (this->*step)(); !dropped) {
      return tl::unexpected(dropped.error());
    }
  }
  if (headers_.empty()) {
    auto id = random_journal_id();
    if (!id) {
      return tl::unexpected(id.error());
    }
    found_.journal_id = *id;
    found_.report.created = true;
    return std::move(found_);
  }
  found_.journal_id = headers_.back().journal_id;
  if (auto walked = walk_segments(); !walked) {
    return tl::unexpected(walked.error());
  }
  restore_symbols();
  look_for_a_lost_end();
  if (auto chosen = choose_epoch(); !chosen) {
    return tl::unexpected(chosen.error());
  }
  list_segments_found();
  found_.next_index = headers_.back().index + 1;
  found_.report.last_position = last_walk_.position;
  found_.report.last_record_time_ns = last_walk_.time_ns;
  found_.report.connections = last_walk_.connections;
  return std::move(found_);
}

Result<void> Recoverer::read_headers() {
  const auto indices = list_segments(directory_);
  if (!indices) {
    return tl::unexpected(indices.error());
  }
  std::uint64_t before = 0;
  for (const std::uint64_t index : *indices) {
    auto header = read_header(path(index), index);
    if (!header) {
      if (auto taken = take_refused(index, header.error()); !taken) {
        return taken;
      }
      before = index;
      continue;
    }
    if (!*header) {
      unbegun_.push_back(index);
      before = index;
      continue;
    }
    if (!headers_.empty() && headers_.back().journal_id != (*header)->journal_id) {
      return fail(ErrorCode::data, fmt::format("{} is of another journal than the segment before it: move it away",
                                               path(index).string()));
    }
    if (!headers_.empty() && before + 1 != index) {
      say(found_.report, fmt::format("{} is missing: readers go on behind it", path(before + 1).string()));
    }
    if (newest_refused_) {
      say(found_.report, newest_refused_->message + "; readers go on behind it");
      newest_refused_.reset();
    }
    headers_.push_back(**header);
    before = index;
  }
  return {};
}

/// Readers pass over it, if a good one follows. A journal of another version is refused whole: nobody shall write into
/// it what those who read it cannot.
Result<void> Recoverer::take_refused(std::uint64_t index, Error error) {
  if (error.code != ErrorCode::data) {
    return tl::unexpected(std::move(error));
  }
  if (auto image = SegmentImage::open(path(index));
      image && (*image)->load(sizeof(SegmentHeader)) && is_of_another_format((*image)->header())) {
    return tl::unexpected(std::move(error));
  }
  if (newest_refused_) {
    say(found_.report, newest_refused_->message);
  }
  newest_refused_ = std::move(error);
  refused_.push_back(index);
  return {};
}

/// What was begun last and is refused may be what a power loss left of a file: only where it is known that none of it
/// had been synced. Otherwise it is not known which positions it gave away.
Result<void> Recoverer::drop_lost_with_power() {
  while (newest_refused_ && !refused_.empty() && !headers_.empty() && refused_.back() > headers_.back().index) {
    if (!knows_what_was_synced() || refused_.back() <= checkpoint_.segment) {
      break;
    }
    say(found_.report, fmt::format("{} was not on the disk yet and is removed", path(refused_.back()).string()));
    if (auto removed = remove(refused_.back()); !removed) {
      return removed;
    }
    refused_.pop_back();
    cut_ = true;
    if (refused_.empty() || refused_.back() < headers_.back().index) {
      newest_refused_.reset();
    }
  }
  return newest_refused_ ? tl::unexpected(*newest_refused_) : Result<void>();
}

/// At the journal's end those that were prepared, and one that was begun if its header was lost with the machine's
/// memory. Before its end: where it was not synced the journal ends there; else that is damage, and readers pass over
/// it.
Result<void> Recoverer::drop_unbegun() {
  for (std::size_t which = 0; which < unbegun_.size(); ++which) {
    const std::uint64_t index = unbegun_[which];
    if (headers_.empty() || index > headers_.back().index) {
      if (auto removed = remove(index); !removed) {
        return removed;
      }
      continue;
    }
    const auto kept = static_cast<std::size_t>(
        std::count_if(headers_.begin(), headers_.end(), [&](const SegmentHeader& one) { return one.index < index; }));
    const bool never_synced =
        rebooted_ && kept != 0 && (knows_what_was_synced() ? index > checkpoint_.segment : !anything_whole_from(kept));
    if (!never_synced) {
      say(found_.report,
          fmt::format("{} has no header, but segments follow it: readers go on behind it", path(index).string()));
      refused_.insert(std::upper_bound(refused_.begin(), refused_.end(), index), index);
      continue;
    }
    if (auto dropped = drop_behind(kept - 1); !dropped) {
      return dropped;
    }
    if (auto removed = remove(index); !removed) {
      return removed;
    }
  }
  return {};
}

Result<void> Recoverer::remove(std::uint64_t index) {
  if (::unlink(path(index).c_str()) != 0) {
    return tl::unexpected(system_error(fmt::format("removing {}", path(index).string()), errno));
  }
  return {};
}

bool Recoverer::written_in_another_life(const SegmentHeader& header) const {
  return std::strncmp(header.boot_id, boot_id_.c_str(), kBootIdBytes) != 0;
}

/// Whether a segment from there on holds a record that is whole.
bool Recoverer::anything_whole_from(std::size_t which) const {
  return std::any_of(headers_.begin() + static_cast<std::ptrdiff_t>(which), headers_.end(),
                     [&](const SegmentHeader& header) {
                       const auto segment = Segment::open(path(header.index), header.index, false);
                       return segment && *segment != nullptr &&
                              find_whole(**segment, kHeaderBytes, (*segment)->bytes(),
                                         {.first = (*segment)->first_position(), .last = kNoLimit, .restated = false});
                     });
}

Result<void> Recoverer::walk_segments() {
  // The machine did not restart: the page cache has kept everything, and only the last two segments can lack their end
  // (killed between beginning one and closing the one before it).
  std::size_t first = headers_.size() - std::min<std::size_t>(headers_.size(), 2);
  if (rebooted_) {
    const auto at = std::find_if(headers_.begin(), headers_.end(),
                                 [&](const SegmentHeader& header) { return header.index >= checkpoint_.segment; });
    first = at == headers_.end() ? first : static_cast<std::size_t>(at - headers_.begin());
  }
  // Not beyond a cut; one that was made already, of what was not even begun, is no reason to look at less.
  const bool cut_before = std::exchange(cut_, false);
  for (std::size_t which = first; which < headers_.size() && !cut_; ++which) {
    if (auto walked = walk_segment(which); !walked) {
      return walked;
    }
  }
  cut_ = cut_ || cut_before;
  return {};
}

/// Over damage too, where what lies behind it is to be kept: all of it, unless it is known what was synced. Only that
/// can be a torn end; and so can what nothing whole follows.
Walk::End Recoverer::walk_records(const Segment& segment, std::size_t which, Walk& walk) {
  const bool last = which + 1 == headers_.size();
  std::uint64_t kept_until = segment.bytes();
  if (knows_what_was_synced()) {
    kept_until = segment.index() == checkpoint_.segment ? std::min(checkpoint_.offset, segment.bytes()) : 0;
  }
  // Of an earlier life of the machine: it may have been cut, and we killed before its end was written.
  Walk::End end = go_on(segment, written_in_another_life(headers_[which]), walk, names_);
  while (end != Walk::End::closed && walk.offset < kept_until) {
    if (!last && continues(which, walk)) {
      break;
    }
    const std::uint64_t bad_at = walk.offset;
    const Position due = walk.expected;
    const char* const wrong = end == Walk::End::bad ? walk.wrong : "its length is 0 though whole records follow";
    if (!skip_bad(segment, kept_until + 1, last ? kNoLimit : headers_[which + 1].previous_position, walk)) {
      break;
    }
    ++found_.report.skipped_records;
    say(found_.report, fmt::format("{} is damaged at byte {} ({}): {} bytes and {} positions are skipped",
                                   segment.path().string(), bad_at, wrong, walk.offset - bad_at, walk.expected - due));
    end = go_on(segment, true, walk, names_);
  }
  return end;
}

Result<void> Recoverer::walk_segment(std::size_t which) {
  auto opened = Segment::open(path(headers_[which].index), headers_[which].index, true);
  if (!opened || *opened == nullptr) {
    return opened ? fail(ErrorCode::data, fmt::format("{} has lost its header", path(headers_[which].index).string()))
                  : tl::unexpected(opened.error());
  }
  Segment& segment = **opened;
  names_.begin(headers_[which].symbols, segment.bytes() / kRecordAlignment);
  Walk walk = begin_walk(segment);
  const Walk::End end = walk_records(segment, which, walk);
  last_walk_ = walk;
  const bool last = which + 1 == headers_.size();
  if (last && end == Walk::End::closed) {
    cut_ = true;
    say(found_.report, fmt::format("the segment behind {} is lost", segment.path().string()));
    return {};
  }
  // A record that is refused where the next segment goes on was cut off already.
  const bool broken = last ? end == Walk::End::bad : !continues(which, walk);
  if (broken && !last && !knows_what_was_synced() && (!rebooted_ || anything_whole_from(which + 1))) {
    // Damage in the middle. Nothing of it is written to: what readers cannot use, people may.
    ++found_.report.skipped_records;
    say(found_.report, fmt::format("{} is damaged at byte {}: readers go on in the next segment",
                                   segment.path().string(), walk.offset));
    return {};
  }
  if (broken) {
    cut_ = true;
    if (end == Walk::End::bad) {
      say(found_.report, fmt::format("{} is cut at byte {}: {}", segment.path().string(), walk.offset, walk.wrong));
    }
    if (auto dropped = drop_behind(which); !dropped) {
      return dropped;
    }
  }
  note_end(std::move(*opened), walk, end);
  return {};
}

bool Recoverer::continues(std::size_t which, const Walk& walk) const {
  // A gap in the names was said already: the next segment stands for itself.
  return headers_[which + 1].index != headers_[which].index + 1 ||
         headers_[which + 1].previous_position == walk.position;
}

void Recoverer::note_end(std::unique_ptr<Segment> segment, const Walk& walk, Walk::End end) {
  if (end == Walk::End::closed && !cut_) {
    return;
  }
  if (end != Walk::End::closed && (rebooted_ || cut_)) {
    // Behind the end of a journal whose machine lives there may be a claim that nobody committed: nothing was lost.
    const std::uint64_t bytes = bytes_in_use(*segment, walk.offset);
    found_.report.cut_bytes += bytes;
    if (bytes != 0) {
      say(found_.report,
          fmt::format("{} bytes behind the last good record of {} are dropped", bytes, segment->path().string()));
    }
  }
  found_.unclosed.push_back({std::move(segment), walk.offset});
}

Result<void> Recoverer::drop_behind(std::size_t which) {
  const std::uint64_t last = headers_[which].index;
  while (headers_.size() > which + 1) {
    const std::uint64_t index = headers_.back().index;
    if (auto segment = Segment::open(path(index), index, false); segment && *segment != nullptr) {
      found_.report.cut_bytes += bytes_in_use(**segment, kHeaderBytes);
    }
    if (auto removed = remove(index); !removed) {
      return removed;
    }
    say(found_.report, fmt::format("{} lies behind the cut and is removed", path(index).string()));
    headers_.pop_back();
  }
  for (; !refused_.empty() && refused_.back() > last; refused_.pop_back()) {
    if (auto removed = remove(refused_.back()); !removed) {
      return removed;
    }
    say(found_.report, fmt::format("{} lies behind the cut and is removed", path(refused_.back()).string()));
  }
  return {};
}

/// An id that lost its name is not given away again: trades of it are in the journal. Earlier segments may know it.
void Recoverer::restore_symbols() {
  for (std::size_t which = headers_.size() - 1; names_.holes() != 0 && which-- > 0;) {
    const auto segment = Segment::open(path(headers_[which].index), headers_[which].index, false);
    if (!segment || *segment == nullptr) {
      continue;
    }
    KnownNames earlier;
    earlier.begin(0, (*segment)->bytes() / kRecordAlignment);
    Walk walk = begin_walk(**segment);
    while (go_on(**segment, true, walk, earlier) != Walk::End::closed &&
           skip_bad(**segment, (*segment)->bytes(), kNoLimit, walk)) {
    }
    names_.fill_from(earlier);
  }
  if (const std::size_t holes = names_.holes(); holes != 0) {
    say(found_.report, fmt::format("the definitions of {} symbols are lost: trades of them cannot be read", holes));
  }
  found_.symbols = names_.table();
}

/// What was known to be on the disk, or passed by a cursor, and is not there: its positions are not given away again.
void Recoverer::look_for_a_lost_end() {
  const std::uint64_t index = headers_.back().index;
  const bool shorter =
      checkpoint_.segment > index || (checkpoint_.segment == index && last_walk_.offset < checkpoint_.offset);
  if (shorter && !cut_) {
    cut_ = true;
    say(found_.report, fmt::format("the journal ends at byte {} of {}, before what was on the disk once: byte {} of "
                                   "segment {}",
                                   last_walk_.offset, path(index).string(), checkpoint_.offset, checkpoint_.segment));
  }
  const auto cursors = list_cursors(directory_);
  if (!cursors) {
    say(found_.report, cursors.error().message);
    return;
  }
  for (const ListedCursor& cursor : *cursors) {
    if (cursor.position > last_walk_.position && epoch_of(cursor.position) >= headers_.back().epoch) {
      cut_ = true;
      epoch_max_ = std::max(epoch_max_, epoch_of(cursor.position));
      say(found_.report, fmt::format("the cursor {} stands at {}, the journal ends at {}: what was between is lost",
                                     cursor.name, position_text(cursor.position), position_text(last_walk_.position)));
    }
  }
}

Result<void> Recoverer::choose_epoch() {
  const SegmentHeader& last = headers_.back();
  if (!rebooted_ && !cut_) {
    found_.epoch = last.epoch;
    found_.next_sequence = sequence_of(last_walk_.expected);
    return {};
  }
  if (epoch_max_ >= kLastEpoch) {
    return fail(ErrorCode::data,
                fmt::format("the journal {} has used up its epochs: begin a new one beside it", directory_.string()));
  }
  found_.epoch = static_cast<std::uint16_t>(epoch_max_ + 1);
  found_.next_sequence = 1;
  found_.report.new_epoch = true;
  say(found_.report, fmt::format("positions go on in epoch {}: {}", found_.epoch,
                                 rebooted_ ? "the machine was restarted" : "the journal's end was lost"));
  return {};
}

/// Retention goes by them. One that is refused is taken for as long as it can be: up to the one behind it.
void Recoverer::list_segments_found() {
  auto refused = refused_.begin();
  for (const SegmentHeader& header : headers_) {
    for (; refused != refused_.end() && *refused < header.index; ++refused) {
      found_.segments.push_back({*refused, header.previous_position, header.created_ns, true});
    }
    found_.segments.push_back({header.index, header.previous_position, header.created_ns, false});
  }
}

}  // namespace

Result<void> save_checkpoint(const std::filesystem::path& directory, Position position, const Checkpoint& checkpoint) {
  return StateFile(directory / kCheckpointName, std::string(kCheckpointKind))
      .save(position, {reinterpret_cast<const char*>(&checkpoint), sizeof checkpoint});
}

Result<std::optional<Checkpoint>> load_checkpoint(const std::filesystem::path& directory) {
  const auto state = StateFile(directory / kCheckpointName, std::string(kCheckpointKind)).load();
  if (!state) {
    return tl::unexpected(state.error());
  }
  Checkpoint checkpoint;
  if (!*state || (*state)->payload.size() != sizeof checkpoint) {
    return std::nullopt;
  }
  std::memcpy(&checkpoint, (*state)->payload.data(), sizeof checkpoint);
  return checkpoint;
}

Result<Recovery> recover(const std::filesystem::path& directory, const std::string& boot_id) {
  return Recoverer(directory, boot_id).run();
}

}  // namespace mdpipe::journal
