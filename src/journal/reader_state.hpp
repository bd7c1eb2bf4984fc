#pragma once
// What a reader is made of; the writer makes those on its own mapping.

#include <algorithm>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/journal/reader.hpp"
#include "segment.hpp"

namespace mdpipe::journal {

/// Thread safety: one thread, but for `place`, which the chain reads.
struct Reader::State {
  /// Puts the reader before the first record of a segment.
  void enter(Segment& segment) noexcept;
  /// The first time.
  void begin(Segment& segment, const Start& start);

  /// Asks for the lines that come next, while those before them are used: where a record ends is known only from its
  /// first line, and a line takes as long from another core as a record takes to be written.
  void fetch_ahead(std::uint32_t length) noexcept {
    if (offset >= committed) {
      // Not for the first record of a run: who waited for it shall not wait for the writer's cursor too.
      committed = in_run ? current->committed_offset.load(std::memory_order_acquire) : 0;
      committed = std::max(committed, offset + length);
      in_run = true;
    }
    constexpr std::uint64_t kFetchAheadBytes = 4096;
    const std::uint64_t until = std::min(committed, offset + kFetchAheadBytes);
    for (fetched = std::max(fetched, offset + kRecordAlignment); fetched < until; fetched += kRecordAlignment) {
      __builtin_prefetch(base + fetched);
    }
  }

  /// Judges a record of a segment that this process did not write: bounds, checksum, position. Null where all is well.
  [[nodiscard]] const char* judge(const std::byte* record, std::uint32_t length) noexcept;
  /// Whether the reader stands before a good record of such a segment. Otherwise it has moved behind damage, or there
  /// is nothing for now.
  enum class Sight : std::uint8_t { record, moved, nothing };
  [[nodiscard]] Sight look(const std::byte* record, std::uint32_t length) noexcept;
  [[nodiscard]] bool names_known_symbols(const std::byte* record, std::uint32_t length) const noexcept;

  [[nodiscard]] bool take_symbol(const RecordView& record) noexcept;

  /// Behind a roll record: into the next segment, if it is there yet.
  [[nodiscard]] bool cross() noexcept;

  // Of mend.cpp: going on behind damage.
  /// Why the reader cannot simply go on, in a segment that this process did not write.
  enum class Stop : std::uint8_t {
    open,  ///< a commit word of 0
    bad,   ///< a record that is refused
    end,   ///< a roll record
  };
  /// To the next record that is whole and later, in this segment or behind it. False where there is none yet.
  /// `wrong`: what to say of it; null with open.
  [[nodiscard]] bool mend(Stop stop, const char* wrong) noexcept;
  [[nodiscard]] bool mend_or_throw(Stop stop, const char* wrong);
  [[nodiscard]] bool may_search(std::int64_t now_ns) noexcept;
  [[nodiscard]] bool resume(const Segment* next, const char* wrong, std::uint64_t& end);
  /// The next begun segment that goes on behind what was read, whatever lies between; null where there is none yet.
  [[nodiscard]] Segment* following();
  [[nodiscard]] Segment* map_following();
  [[nodiscard]] Segment* map_if_following(std::uint64_t index, std::uint64_t oldest, bool& gone);
  [[nodiscard]] bool may_follow(const SegmentHeader& header) const noexcept;
  void enter_behind_damage(Segment& next, Stop stop, const char* wrong, std::uint64_t bytes);
  void adopt_symbols(const Segment& next);
  void note(Skip skip);
  /// Of a whole record that cannot be handed out for want of its symbols' names.
  void pass_over(const std::byte* record, std::uint32_t length) noexcept;
  /// Positions behind what was handed out, up to `last`, of which nothing was seen.
  [[nodiscard]] std::uint64_t lost_up_to(Position last) const noexcept;

  void fail_with(Error error) noexcept;
  void fail_for_want(const char* what, const std::exception& exception) noexcept;

  // Looked at for each record
  const std::byte* base = nullptr;
  std::uint64_t offset = 0;
  Position position = 0;        // of what was handed out last
  std::uint64_t committed = 0;  // of `current`, where it is trusted: up to here all can be read
  std::uint64_t fetched = 0;    // and up to here it was asked for
  bool in_run = false;          // the last look found a record
  bool trusted = false;

  // In segments that are not trusted: last_position() of the record before, and what must come next
  Position walked = 0;
  Position expected = 0;
  bool in_head = false;            // no record with a position yet
  std::int64_t look_again_ns = 0;  // monotonic: not before is it looked for what lies behind a commit word of 0
  std::uint64_t searched_at = 0;   // the offset behind which whole records were searched last
  std::int64_t search_interval_ns = 0;
  std::int64_t search_again_ns = 0;
  std::uint64_t adopted_index = 0;    // the segment whose restated symbols were taken ahead of time
  const Segment* waits_in = nullptr;  // at damage behind which nothing whole lay, which was said
  std::uint64_t waits_at = 0;
  bool passing_over = false;  // the last skip is of records whose symbols are not known

  SkipFigures skipped;
  std::vector<Skip> skips;  // not yet taken

  Segment* current = nullptr;
  Segment* held = nullptr;  // the oldest not released
  SymbolTable symbols;
  std::optional<Error> failure;
  std::uint64_t journal_id = 0;

  // In the writer's process
  std::shared_ptr<SegmentChain> chain;
  SegmentChain::Place place{0};

  // Elsewhere
  std::filesystem::path directory;
  std::deque<std::unique_ptr<Segment>> mapped;
};

}  // namespace mdpipe::journal
