#include "mdpipe/event/symbol_table.hpp"

#include <cstring>

#include "mdpipe/base/wide.hpp"
#include "mdpipe/event/record.hpp"

namespace mdpipe {
namespace {

constexpr std::size_t kFirstSlots = 256;

std::uint64_t load_up_to_8(const char* at, std::size_t length) noexcept {
  // Two overlapping loads cover 4 to 8 bytes, three single bytes 1 to 3: no loop over the tail.
  if (length >= 4) {
    std::uint32_t first;
    std::uint32_t last;
    std::memcpy(&first, at, 4);
    std::memcpy(&last, at + length - 4, 4);
    return static_cast<std::uint64_t>(first) << 32U | last;
  }
  if (length == 0) {
    return 0;
  }
  const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) << 16U | byte(length / 2) << 8U | byte(length - 1);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

/// Multiply and fold, 8 bytes a step. In memory only: never stored, may change.
std::uint64_t hash_of(std::string_view text) noexcept {
  constexpr std::uint64_t kOdd = 0x9E37'79B9'7F4A'7C15U;
  std::uint64_t hash = text.size() * kOdd;
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left > 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    hash = mix(hash ^ word, kOdd);
  }
  return mix(hash ^ load_up_to_8(at, left), kOdd);
}

}  // namespace

SymbolTable::SymbolTable() : slots_(kFirstSlots, Slot{0, kNone, 0}) {}

SymbolId SymbolTable::find(std::string_view text) const noexcept {
  const std::uint64_t hash = hash_of(text);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id == kNone) {
      return kNone;
    }
    if (slot.hash == hash && slot.length == text.size() && texts_[slot.id] == text) {
      return slot.id;
    }
  }
}

bool SymbolTable::has_room_for(std::string_view text, std::size_t symbols_max) const noexcept {
  return records_bytes_ + symbol_record_length(text.size()) <= std::uint64_t{symbols_max} * kRecordAlignment;
}

SymbolId SymbolTable::add(std::string_view text) {
  if (const SymbolId id = find(text); id != kNone) {
    return id;
  }
  if ((texts_.size() + 1) * 2 > slots_.size()) {
    grow();
  }
  const auto id = static_cast<SymbolId>(texts_.size());
  texts_.push_back(owned_.emplace_back(text));
  records_bytes_ += symbol_record_length(text.size());
  const std::uint64_t hash = hash_of(text);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].id != kNone) {
    at = (at + 1) & mask;
  }
  slots_[at] = Slot{hash, id, static_cast<std::uint32_t>(text.size())};
  return id;
}

void SymbolTable::grow() {
  std::vector<Slot> larger(slots_.size() * 2, Slot{0, kNone, 0});
  const std::size_t mask = larger.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.id != kNone) {
      std::size_t at = slot.hash & mask;
      while (larger[at].id != kNone) {
        at = (at + 1) & mask;
      }
      larger[at] = slot;
    }
  }
  slots_.swap(larger);
}

}  // namespace mdpipe
