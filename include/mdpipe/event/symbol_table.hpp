#pragma once
/// \file
/// Symbols and their dense ids.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/event/trade.hpp"

namespace mdpipe {

/// Text → id in a flat table of 16-byte slots (hash, id), linear probing, at most half full; id → text by index.
/// Texts stay where they are: a view from text() is valid for the table's life.
///
/// Thread safety: none. Each thread that needs one keeps its own (readers fill theirs from symbol records).
/// find() allocates nothing; add() does.
class SymbolTable {
 public:
  static constexpr SymbolId kNone = 0xFFFF'FFFFU;

  SymbolTable();

  /// The id of `text`, or kNone.
  [[nodiscard]] SymbolId find(std::string_view text) const noexcept;

  /// The id of `text`, given the next free one where it has none.
  SymbolId add(std::string_view text);

  /// Precondition: id < size().
  [[nodiscard]] std::string_view text(SymbolId id) const noexcept { return texts_[id]; }
  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
  /// What a journal needs to define all of them at the head of a segment.
  [[nodiscard]] std::uint64_t records_bytes() const noexcept { return records_bytes_; }
  /// Whether `text`, which it does not hold, still fits into `symbols_max` records of 64 bytes: a long text counts as
  /// several, so that no venue can make the table too large for a segment's head.
  [[nodiscard]] bool has_room_for(std::string_view text, std::size_t symbols_max) const noexcept;

 private:
  struct Slot {
    std::uint64_t hash;
    SymbolId id;  // kNone = empty
    std::uint32_t length;
  };
  static_assert(sizeof(Slot) == 16);

  void grow();

  std::vector<Slot> slots_;
  std::deque<std::string> owned_;
  std::vector<std::string_view> texts_;
  std::uint64_t records_bytes_ = 0;
};

}  // namespace mdpipe
