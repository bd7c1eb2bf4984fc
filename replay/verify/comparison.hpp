#pragma once
/// \file
/// Does a target hold exactly what a session has, key by key, in order? In memory that depends on the number of keys,
/// not on that of trades.
///
/// First both sides are read once, and of each key its count and a running digest are kept. Where all are equal, that
/// is all. Otherwise what differs is read again, so many keys at a time as fit, from the last place on up to which a
/// key's digests agree (a few are kept on the way); what is missing, extra or out of order there is found exactly.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "replay/verify/entry_stream.hpp"

namespace mdpipe::replay {

/// What is kept of a key: how many entries, and their digest in order, now and on the way.
class KeyTally {
 public:
  void add(std::string_view text);
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] bool operator==(const KeyTally& other) const noexcept {
    return count_ == other.count_ && digest_ == other.digest_;
  }
  /// Up to how many entries both are known to be equal.
  [[nodiscard]] std::uint64_t equal_up_to(const KeyTally& other) const noexcept;

 private:
  [[nodiscard]] const std::uint64_t* digest_at(std::uint64_t count) const noexcept;

  std::uint64_t count_ = 0;
  std::uint64_t digest_ = 0;
  std::uint64_t stride_ = 1024;  // entries between two marks
  std::vector<std::uint64_t> marks_;
};

/// One side, read once.
struct Tally {
  std::uint64_t count = 0;
  std::vector<KeyTally> keys;  ///< by id
  std::vector<Finding> findings;
};

/// Where a key differs first. Numbers count from 1.
struct Difference {
  std::string key;
  std::uint64_t place = 0;            ///< within its key
  std::uint64_t ordinal = 0;          ///< in the session; 0: the session has no more of this key
  std::optional<std::string> wanted;  ///< the session's text
  std::optional<std::string> found;   ///< the target's
};

struct Comparison {
  std::uint64_t wanted = 0;        ///< entries of the session
  std::uint64_t found = 0;         ///< of the target
  std::uint64_t missing = 0;       ///< are not in the target
  std::uint64_t extra = 0;         ///< the session has no such entry (or not so often)
  std::uint64_t differing = 0;     ///< pairs of the two: another text in its place; counted in neither
  std::uint64_t out_of_order = 0;  ///< are in both, and would have to be moved
  std::uint64_t keys_differing = 0;
  bool cut = false;                 ///< a key was too large to be looked through to its end
  std::optional<Difference> first;  ///< in the order of the session; what the session has not comes last
  /// Ordinals of the session's entries that are not in the target; the first kAbsentMax of them.
  std::vector<std::uint64_t> absent;
  std::vector<Finding> findings;

  [[nodiscard]] bool equal() const noexcept { return !first; }
};

/// So many ordinals of absent entries are kept.
inline constexpr std::size_t kAbsentMax = 1'000'000;

struct ComparisonLimits {
  std::uint64_t entries_together = 4'000'000;  ///< of both sides, held at once; 16 bytes each at most
};

[[nodiscard]] Result<Tally> tally(const OpenEntries& open, SymbolTable& keys);

/// `wanted_tally` is that of `wanted` with the same `keys`.
[[nodiscard]] Result<Comparison> compare(const OpenEntries& wanted, const Tally& wanted_tally, const OpenEntries& found,
                                         SymbolTable& keys, const ComparisonLimits& limits = {});

}  // namespace mdpipe::replay
