// A reader before damage: how it goes on, and what it says of that. FORMAT.md has the rules.

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "reader_state.hpp"
#include "scan.hpp"

namespace mdpipe::journal {
namespace {

/// Between two looks at what lies behind a commit word that stays 0: most often it is the journal's living end.
constexpr std::int64_t kLookAgainNs = kNanosecondsPerSecond / 2;
/// … and at most this long between two searches of all that is populated behind it, while nothing comes.
constexpr std::int64_t kSearchAgainMaxNs = 16 * kNanosecondsPerSecond;
constexpr std::size_t kSkipsMax = 256;

/// Why the segments between two that were read cannot be.
std::string why_not_between(const std::filesystem::path& directory, std::uint64_t first, std::uint64_t end) {
  const auto path = directory / segment_name(first);
  const auto header = read_header(path, first);
  std::error_code ignored;
  std::string words = !std::filesystem::exists(path, ignored) ? "it is missing"
                      : !header                               ? refusal(path, header.error())
                      : !*header                              ? "it has no header, though segments follow it"
                                                              : "it does not go on where the one before it ends";
  if (first + 1 < end) {
    words += fmt::format("; {} more behind it neither", end - first - 1);
  }
  return words;
}

}  // namespace

std::string to_string(const Skip& skip) {
  return fmt::format("{} is damaged at byte {}: {}; {} bytes and {} positions are skipped", skip.file.string(),
                     skip.offset, skip.reason, skip.bytes, skip.positions);
}

std::uint64_t Reader::State::lost_up_to(Position last) const noexcept {
  const Position from = std::max(walked, position);
  if (last <= from) {
    return 0;
  }
  // How long another epoch was nobody knows: at least all of the later one.
  return sequence_of(last) - (epoch_of(from) == epoch_of(last) ? sequence_of(from) : 0);
}

void Reader::State::note(Skip skip) {
  passing_over = false;
  skipped.places += std::exchange(waits_in, nullptr) == current && waits_at == skip.offset ? 0U : 1U;
  skipped.bytes += skip.bytes;
  skipped.positions += skip.positions;
  if (skips.size() < kSkipsMax) {
    skips.push_back(std::move(skip));
  }
}

bool Reader::State::may_follow(const SegmentHeader& header) const noexcept {
  return header.journal_id == journal_id &&
         (header.previous_position >= walked || make_position(header.epoch, header.first_sequence) > walked);
}

Segment* Reader::State::following() {
  if (chain == nullptr) {
    return map_following();
  }
  Segment* next = current->next.load(std::memory_order_acquire);
  while (next != nullptr && !may_follow(next->header())) {
    next = next->next.load(std::memory_order_acquire);
  }
  if (next == nullptr) {
    fail_with(Error{ErrorCode::data, fmt::format("nothing in {} goes on behind position {}", directory.string(),
                                                 position_text(walked))});
  }
  return next;
}

Segment* Reader::State::map_following() {
  if (Segment* const known = current->next.load(std::memory_order_relaxed)) {
    return known;
  }
  // What was listed may be gone when it is opened: then what is left decides. Not for ever: a link may lead nowhere.
  constexpr int kListings = 5;
  bool gone = true;
  for (int listing = 0; gone && listing < kListings; ++listing) {
    gone = false;
    const auto indices = list_segments(directory);
    if (!indices) {
      fail_with(indices.error());
      return nullptr;
    }
    for (auto index = std::upper_bound(indices->begin(), indices->end(), current->index());
         index != indices->end() && (!gone || listing + 1 == kListings); ++index) {
      Segment* const next = map_if_following(*index, indices->front(), gone);
      if (next != nullptr || failure) {
        return next;
      }
    }
  }
  return nullptr;
}

/// Null, without a failure, where it does not follow; `gone` is set where it is not there any more.
Segment* Reader::State::map_if_following(std::uint64_t index, std::uint64_t oldest, bool& gone) {
  const auto path = directory / segment_name(index);
  auto segment = Segment::open(path, index, false);
  if (!segment && segment.error().code == ErrorCode::environment) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      gone = true;
      return nullptr;
    }
    segment = Segment::open(path, index, false);  // one of that name may have been made anew in between
    if (!segment && segment.error().code == ErrorCode::environment) {
      fail_with(segment.error());  // no damage: no descriptors, no permission
      return nullptr;
    }
  }
  if (!segment || *segment == nullptr || !may_follow((*segment)->header())) {
    return nullptr;
  }
  const Position previous = (*segment)->header().previous_position;
  // Where it is the very next one, whatever lies between is in the segment that we have.
  if (previous > walked && oldest > current->index() && index != current->index() + 1) {
    fail_with(Error{ErrorCode::data,
                    fmt::format("{} begins behind position {}: what this reader had yet to read was removed by "
                                "retention",
                                directory.string(), position_text(previous))});
    return nullptr;
  }
  Segment* const next = segment->get();
  mapped.push_back(std::move(*segment));
  current->next.store(next, std::memory_order_release);
  return next;
}

bool Reader::State::mend(Stop stop, const char* wrong) noexcept {
  try {
    return mend_or_throw(stop, wrong);
  } catch (const std::exception& exception) {
    fail_for_want("looking for what lies behind in the journal failed", exception);
  }
  return false;
}

bool Reader::State::mend_or_throw(Stop stop, const char* wrong) {
  const std::int64_t now_ns = monotonic_clock_ns();
  if (stop != Stop::end && now_ns < look_again_ns) {
    return false;
  }
  Segment* const next = following();
  if (failure) {
    return false;
  }
  // The next one was begun when all of this one had been committed: what is 0 now stays 0.
  if (stop == Stop::open && load_length(base + offset) != 0) {
    return true;
  }
  if (next != nullptr && next->index() == current->index() + 1 && next->header().previous_position == walked) {
    enter(*next);  // also where the end was never written, or what stands there was cut off
    return true;
  }
  std::uint64_t end = offset;
  const bool search = next != nullptr || wrong != nullptr || may_search(now_ns);
  if (stop != Stop::end && search && resume(next, wrong, end)) {
    return true;
  }
  if (next != nullptr) {
    enter_behind_damage(*next, stop, wrong, end - offset);
    return true;
  }
  if (stop != Stop::open && (waits_in != current || waits_at != offset)) {
    note({current->path(), offset, 0, 0, fmt::format("{}; nothing whole follows yet", wrong)});
    waits_in = current;
    waits_at = offset;
  }
  look_again_ns = now_ns + kLookAgainNs;
  return false;
}

/// At a commit word of 0 with nothing behind this segment: at once, then ever more seldom.
bool Reader::State::may_search(std::int64_t now_ns) noexcept {
  if (searched_at != offset) {
    searched_at = offset;
    search_interval_ns = kLookAgainNs;
  } else if (now_ns < search_again_ns) {
    return false;
  }
  search_again_ns = now_ns + search_interval_ns;
  search_interval_ns = std::clamp(2 * search_interval_ns, kLookAgainNs, kSearchAgainMaxNs);
  return true;
}

/// In the same segment. A later one says what none of its positions can exceed: what was cut off stays so. Where that
/// fails, `end` is behind all that there is.
bool Reader::State::resume(const Segment* next, const char* wrong, std::uint64_t& end) {
  const Resumption wanted{
      .first = expected,
      .last = next != nullptr ? next->header().previous_position : std::numeric_limits<Position>::max(),
      .restated = in_head};
  const auto found = find_whole(*current, offset, current->bytes(), wanted);
  if (wrong == nullptr && load_length(base + offset) != 0) {
    return true;  // the living end: it was written while we looked, and what was found is behind it
  }
  if (!found) {
    // Most often this is the living end, where nobody asks: it would look at all of the segment twice a second.
    end = offset + (next != nullptr ? bytes_in_use(*current, offset) : 0);
    return false;
  }
  const RecordView record(base + *found);
  const bool roll = record.kind() == RecordKind::roll;
  if (roll && next != nullptr) {
    end = *found;  // the next one says how much is lost
    return false;
  }
  const Position last = roll ? record.position() : record.position() - (record.position() == 0 ? 0 : 1);
  if (position <= walked || last > position) {
    note({current->path(), offset, *found - offset, lost_up_to(last),
          wrong != nullptr ? wrong : "its length is 0 though whole records follow"});
  }
  if (next != nullptr) {
    adopt_symbols(*next);
  }
  offset = *found;
  walked = std::max(walked, last);
  expected = std::max(expected, last + 1);
  return true;
}

void Reader::State::enter_behind_damage(Segment& next, Stop stop, const char* wrong, std::uint64_t bytes) {
  const Position last = next.header().previous_position;
  if (position <= walked || last > position) {
    const bool here = next.index() == current->index() + 1;
    if (here || stop != Stop::end) {
      // What lies between is counted with what is lost of this one: where the one ends and the other begins is not
      // known.
      note({current->path(), offset, bytes, lost_up_to(last),
            stop == Stop::end
                ? (last < walked ? "the next segment does not continue it" : "records before its end are missing")
            : wrong != nullptr ? wrong
                               : "its length is 0 though the next segment says that more came"});
    }
    if (!here) {
      const std::uint64_t first = current->index() + 1;
      note({directory / segment_name(first), 0, 0, stop == Stop::end ? lost_up_to(last) : 0,
            why_not_between(directory, first, next.index())});
    }
  }
  enter(next);
}

/// The next segment tells all symbols again: also those whose definition in this one is lost.
void Reader::State::adopt_symbols(const Segment& next) {
  if (std::exchange(adopted_index, next.index()) == next.index()) {
    return;
  }
  for (std::uint64_t at = kHeaderBytes; at + kRollBytes < next.bytes();) {
    const std::byte* const record = next.base() + at;
    const std::uint32_t length = load_length(record);
    if (length == 0 || judge_record(record, length, next.bytes() - at, next.seed()) != nullptr) {
      return;
    }
    const RecordView view(record);
    if (view.kind() != RecordKind::symbol || view.position() != 0 || view.symbol_id() > symbols.size()) {
      return;
    }
    if (view.symbol_id() == symbols.size() && symbols.find(view.symbol_text()) == SymbolTable::kNone) {
      symbols.add(view.symbol_text());
    }
    at += length;
  }
}

void Reader::State::pass_over(const std::byte* record, std::uint32_t length) noexcept {
  const RecordView view(record);
  const Position last = view.last_position();
  const std::uint64_t lost = last > std::max(walked, position) ? lost_up_to(last) : 0;
  try {
    if (lost != 0 && passing_over && !skips.empty()) {
      skips.back().bytes += length;
      skips.back().positions += lost;
      skipped.bytes += length;
      skipped.positions += lost;
    } else if (lost != 0) {
      note({current->path(), offset, length, lost,
            "it holds a trade of a symbol that was not defined, or whose definition is lost"});
      passing_over = true;
    }
  } catch (const std::exception& exception) {
    fail_for_want("no memory to say what is lost", exception);
    return;
  }
  walked = last;
  expected = last + 1;
  in_head = false;
  offset += length;
}

}  // namespace mdpipe::journal
