#include "replay/verify/comparison.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace mdpipe::replay {
namespace {

constexpr std::size_t kMarksMax = 32;
constexpr std::uint64_t kBehindTheSession = std::numeric_limits<std::uint64_t>::max();

std::uint64_t hash_of(std::string_view text, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

/// Calls `take(entry, ordinal)` for each entry, until it returns false.
template <class Take>
Result<std::vector<Finding>> for_each(const OpenEntries& open, Take&& take) {
  auto stream = open();
  if (!stream) {
    return tl::unexpected(stream.error());
  }
  Entry entry;
  for (std::uint64_t ordinal = 1;; ++ordinal) {
    const auto more = (*stream)->next(entry);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more || !take(entry, ordinal)) {
      return (*stream)->findings();
    }
  }
}

/// A key that differs, while it is looked through.
struct Suspect {
  SymbolId id = 0;
  std::uint64_t equal = 0;        // entries at its beginning that are
  std::uint64_t limit = 0;        // entries behind those that are looked at, of each side
  std::uint64_t wanted_size = 0;  // so many are to come
  std::uint64_t found_size = 0;
  std::uint64_t wanted_seen = 0;
  std::uint64_t found_seen = 0;
  std::vector<std::uint64_t> wanted;  // hashes
  std::vector<std::uint64_t> ordinals;
  std::vector<std::uint64_t> found;
};

std::vector<std::uint32_t> by_hash(const std::vector<std::uint64_t>& hashes) {
  std::vector<std::uint32_t> order(hashes.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return hashes[a] != hashes[b] ? hashes[a] < hashes[b] : a < b; });
  return order;
}

/// The length of the longest rising subsequence.
std::uint64_t longest_rise(const std::vector<std::uint32_t>& numbers) {
  std::vector<std::uint32_t> tails;
  for (const std::uint32_t number : numbers) {
    const auto at = std::lower_bound(tails.begin(), tails.end(), number);
    if (at == tails.end()) {
      tails.push_back(number);
    } else {
      *at = number;
    }
  }
  return tails.size();
}

constexpr std::uint32_t kNoPlace = std::numeric_limits<std::uint32_t>::max();

/// For each of `found` the place in `wanted` of the entry that it is: of equal ones the first is the first.
std::vector<std::uint32_t> match(const std::vector<std::uint64_t>& wanted, const std::vector<std::uint64_t>& found) {
  std::vector<std::uint32_t> places(found.size(), kNoPlace);
  const auto wanted_order = by_hash(wanted);
  const auto found_order = by_hash(found);
  for (std::size_t w = 0, f = 0; w < wanted_order.size() && f < found_order.size();) {
    const std::uint64_t a = wanted[wanted_order[w]];
    const std::uint64_t b = found[found_order[f]];
    if (a == b) {
      places[found_order[f++]] = wanted_order[w++];
    } else if (a < b) {
      ++w;
    } else {
      ++f;
    }
  }
  return places;
}

/// The first difference so far, with the place at which the session comes to it.
struct First {
  std::uint64_t ordinal = kBehindTheSession;
  SymbolId id = 0;
  std::uint64_t place = 0;
  bool there = false;
};

void judge(const Suspect& suspect, Comparison& out, First& first) {
  std::vector<std::uint32_t> places = match(suspect.wanted, suspect.found);
  std::vector<bool> present(suspect.wanted.size());
  for (const std::uint32_t place : places) {
    if (place != kNoPlace) {
      present[place] = true;
    }
  }
  std::erase(places, kNoPlace);
  const std::uint64_t common = places.size();
  const std::uint64_t missing = suspect.wanted.size() - common;
  const std::uint64_t extra = suspect.found.size() - common;
  const std::uint64_t pairs = std::min(missing, extra);
  out.differing += pairs;
  out.missing += missing - pairs;
  out.extra += extra - pairs;
  out.out_of_order += common - longest_rise(places);
  for (std::size_t i = 0; i < present.size() && out.absent.size() < kAbsentMax; ++i) {
    if (!present[i]) {
      out.absent.push_back(suspect.ordinals[i]);
    }
  }
  const auto [w, f] =
      std::mismatch(suspect.wanted.begin(), suspect.wanted.end(), suspect.found.begin(), suspect.found.end());
  const auto at = static_cast<std::size_t>(w - suspect.wanted.begin());
  if (w == suspect.wanted.end() && f == suspect.found.end()) {
    out.cut = true;  // behind what could be held; or the target has become another while it was read
  }
  const std::uint64_t ordinal = at < suspect.ordinals.size() ? suspect.ordinals[at] : kBehindTheSession;
  if (!first.there || ordinal < first.ordinal) {
    first = {ordinal, suspect.id, suspect.equal + at + 1, true};
  }
}

/// Reads what the suspects have behind their equal beginnings.
Result<void> gather(const OpenEntries& wanted, const OpenEntries& found, const SymbolTable& keys,
                    std::vector<Suspect>& suspects) {
  std::vector<Suspect*> by_id(keys.size(), nullptr);
  for (Suspect& suspect : suspects) {
    by_id[suspect.id] = &suspect;
    suspect.wanted.reserve(suspect.wanted_size);
    suspect.ordinals.reserve(suspect.wanted_size);
    suspect.found.reserve(suspect.found_size);
  }
  const auto suspect_of = [&](std::string_view key) {
    const SymbolId id = keys.find(key);
    return id < by_id.size() ? by_id[id] : nullptr;
  };
  const auto within = [](const Suspect& suspect, std::uint64_t seen) {
    return seen > suspect.equal && seen - suspect.equal <= suspect.limit;
  };
  auto read = for_each(wanted, [&](const Entry& entry, std::uint64_t ordinal) {
    if (Suspect* const suspect = suspect_of(entry.key);
        suspect != nullptr && within(*suspect, ++suspect->wanted_seen)) {
      suspect->wanted.push_back(hash_of(entry.text, 0));
      suspect->ordinals.push_back(ordinal);
    }
    return true;
  });
  if (!read) {
    return tl::unexpected(read.error());
  }
  read = for_each(found, [&](const Entry& entry, std::uint64_t) {
    if (Suspect* const suspect = suspect_of(entry.key); suspect != nullptr && within(*suspect, ++suspect->found_seen)) {
      suspect->found.push_back(hash_of(entry.text, 0));
    }
    return true;
  });
  return read ? Result<void>() : tl::unexpected(read.error());
}

/// The text of one entry of a key; nothing where there are not so many.
Result<std::optional<std::string>> text_at(const OpenEntries& open, std::string_view key, std::uint64_t place) {
  std::optional<std::string> text;
  std::uint64_t seen = 0;
  auto read = for_each(open, [&](const Entry& entry, std::uint64_t) {
    if (entry.key == key && ++seen == place) {
      text = entry.text;
    }
    return !text;
  });
  return read ? Result<std::optional<std::string>>(std::move(text)) : tl::unexpected(read.error());
}

/// Those that differ, so many at a time as may be held at once.
std::vector<std::vector<Suspect>> suspects_of(const Tally& wanted, const Tally& found, std::uint64_t entries_together) {
  std::vector<std::vector<Suspect>> groups;
  std::uint64_t room = 0;
  const KeyTally none;
  for (SymbolId id = 0; id < std::max(wanted.keys.size(), found.keys.size()); ++id) {
    const KeyTally& want = id < wanted.keys.size() ? wanted.keys[id] : none;
    const KeyTally& have = id < found.keys.size() ? found.keys[id] : none;
    if (want == have) {
      continue;
    }
    Suspect suspect;
    suspect.id = id;
    suspect.equal = want.equal_up_to(have);
    suspect.limit = entries_together / 2;
    const auto behind = [&](const KeyTally& side) { return std::min(side.count() - suspect.equal, suspect.limit); };
    const std::uint64_t cost = behind(want) + behind(have);
    if (groups.empty() || cost > room) {
      groups.emplace_back();
      room = entries_together;
    }
    room -= cost;
    suspect.wanted_size = behind(want);
    suspect.found_size = behind(have);
    groups.back().push_back(std::move(suspect));
  }
  return groups;
}

}  // namespace

void KeyTally::add(std::string_view text) {
  digest_ = hash_of(text, digest_ + 1);
  ++count_;
  if (count_ % stride_ != 0) {
    return;
  }
  marks_.push_back(digest_);
  if (marks_.size() == kMarksMax) {  // every other one stays
    for (std::size_t i = 0; i < kMarksMax / 2; ++i) {
      marks_[i] = marks_[2 * i + 1];
    }
    marks_.resize(kMarksMax / 2);
    stride_ *= 2;
  }
}

const std::uint64_t* KeyTally::digest_at(std::uint64_t count) const noexcept {
  return count % stride_ == 0 && count != 0 && count / stride_ <= marks_.size() ? &marks_[count / stride_ - 1]
                                                                                : nullptr;
}

std::uint64_t KeyTally::equal_up_to(const KeyTally& other) const noexcept {
  const std::uint64_t stride = std::max(stride_, other.stride_);
  std::uint64_t equal = 0;
  while (true) {
    const std::uint64_t* const one = digest_at(equal + stride);
    const std::uint64_t* const two = other.digest_at(equal + stride);
    if (one == nullptr || two == nullptr || *one != *two) {
      return equal;
    }
    equal += stride;
  }
}

Result<Tally> tally(const OpenEntries& open, SymbolTable& keys) {
  Tally out;
  auto read = for_each(open, [&](const Entry& entry, std::uint64_t) {
    const SymbolId id = keys.add(entry.key);
    if (id >= out.keys.size()) {
      out.keys.resize(id + 1);
    }
    out.keys[id].add(entry.text);
    ++out.count;
    return true;
  });
  if (!read) {
    return tl::unexpected(read.error());
  }
  out.findings = std::move(*read);
  return out;
}

Result<Comparison> compare(const OpenEntries& wanted, const Tally& wanted_tally, const OpenEntries& found,
                           SymbolTable& keys, const ComparisonLimits& limits) {
  auto found_tally = tally(found, keys);
  if (!found_tally) {
    return tl::unexpected(found_tally.error());
  }
  Comparison out;
  out.wanted = wanted_tally.count;
  out.found = found_tally->count;
  out.findings = std::move(found_tally->findings);
  auto groups = suspects_of(wanted_tally, *found_tally, std::max<std::uint64_t>(limits.entries_together, 2));
  First first;
  for (auto& group : groups) {
    if (auto gathered = gather(wanted, found, keys, group); !gathered) {
      return tl::unexpected(gathered.error());
    }
    for (const Suspect& suspect : group) {
      ++out.keys_differing;
      out.cut = out.cut || std::max(suspect.wanted_seen, suspect.found_seen) > suspect.equal + suspect.limit;
      judge(suspect, out, first);
    }
    group = {};
  }
  if (!first.there) {
    return out;
  }
  std::sort(out.absent.begin(), out.absent.end());
  Difference& difference = out.first.emplace();
  const std::string_view key = keys.text(first.id);
  difference.key = key_words(key);
  difference.place = first.place;
  difference.ordinal = first.ordinal == kBehindTheSession ? 0 : first.ordinal;
  for (const auto& [open, text] : {std::pair(&wanted, &difference.wanted), std::pair(&found, &difference.found)}) {
    auto read = text_at(*open, key, first.place);
    if (!read) {
      return tl::unexpected(read.error());
    }
    *text = std::move(*read);
  }
  return out;
}

}  // namespace mdpipe::replay
