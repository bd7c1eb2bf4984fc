#pragma once
// Walking the records of a segment that somebody left behind.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "segment.hpp"

namespace mdpipe::journal {

/// What is known of a journal's symbols where definitions may be lost: by id, with holes.
class KnownNames {
 public:
  /// `ids_max`: more cannot be told at a segment's head.
  void begin(std::uint64_t ids, std::uint64_t ids_max);
  void define(SymbolId id, std::string_view text);
  /// Of an id that something uses, defined or not.
  void use(SymbolId id);
  /// Takes over names for its holes.
  void fill_from(const KnownNames& earlier);
  [[nodiscard]] bool has(SymbolId id) const noexcept { return id < names_.size(); }
  [[nodiscard]] std::size_t holes() const noexcept;
  /// What was lost is called by lost_symbol_text(), so that all others keep their ids.
  [[nodiscard]] SymbolTable table() const;

 private:
  std::vector<std::optional<std::string>> names_;
  std::uint64_t ids_max_ = 0;
};

/// Where a walk stands, and why it stopped there.
struct Walk {
  enum class End : std::uint8_t {
    open,    ///< a commit word of 0
    closed,  ///< a roll record
    bad,     ///< a record that is refused
  };

  std::uint64_t offset = kHeaderBytes;
  Position position = 0;  ///< last_position() of the last record with a position
  Position expected = 0;  ///< of the next one
  std::int64_t time_ns = 0;
  std::uint64_t connections = 0;
  const char* wrong = nullptr;  ///< with bad
};

/// A walk that stands before the first record of a segment.
[[nodiscard]] Walk begin_walk(const Segment& segment) noexcept;

/// Goes on over good records; `verify`: their checksums too. Symbols go into `names`.
[[nodiscard]] Walk::End go_on(const Segment& segment, bool verify, Walk& walk, KnownNames& names);

/// What may follow damage. Positions: of this segment's epoch, from `first`, and none of its trades beyond `last`.
struct Resumption {
  Position first = 0;
  Position last = 0;
  bool restated = false;  ///< a symbol told again at the segment's head will do
};

/// The first place from `from` on, before `end`, where a record stands that is whole and may follow; or the segment's
/// end (a roll record). Bytes of a payload that look like one do not pass: the checksum begins with the journal's id,
/// which no venue knows.
[[nodiscard]] std::optional<std::uint64_t> find_whole(const Segment& segment, std::uint64_t from, std::uint64_t end,
                                                      const Resumption& wanted) noexcept;

/// From where a walk ended to the next record that is whole and comes later, before `end`, none of it beyond `last`.
/// False where there is none.
[[nodiscard]] bool skip_bad(const Segment& segment, std::uint64_t end, Position last, Walk& walk) noexcept;

/// Bytes from `offset` to the last one that is not zero.
[[nodiscard]] std::uint64_t bytes_in_use(const Segment& segment, std::uint64_t offset) noexcept;

}  // namespace mdpipe::journal
