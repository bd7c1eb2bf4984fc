#pragma once
// What a reader of a topic's partition remembers of those who wrote there, and how that is saved.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/position.hpp"
#include "mdpipe/stage/publish.hpp"

namespace mdpipe::wiring {

/// FNV-1a, 64 bits: who is meant where there is no journal to name.
[[nodiscard]] std::uint64_t hash_of_words(std::string_view words) noexcept;

/// Thread safety: one thread.
class SourceFilter {
 public:
  enum class Verdict : std::uint8_t {
    next,       ///< as it should be
    after_gap,  ///< what came before it in this partition is missing: an alarm, and used all the same
    duplicate,  ///< had already
  };

  [[nodiscard]] Verdict judge(std::uint64_t source, Position position, Position previous) const noexcept;
  void take(std::uint64_t source, Position position) { last_[source] = position; }
  [[nodiscard]] bool knows(std::uint64_t source) const noexcept { return last_.find(source) != last_.end(); }

  /// From the first offset that the partition ever had: then the first message of a source has no previous one.
  bool from_beginning = false;
  /// Of the topic: a symbol's partition depends on it.
  std::int32_t partitions = 0;
  /// Sources whose metrics were there before we had any state: another's.
  std::set<std::uint64_t> rivals;
  /// Where the scans of what we publish begin.
  stage::PublishCursor tails;

  /// One line: words of letters and numbers. Of `tails` only what sources of ours, or `more`, have put there.
  void append(std::uint64_t more, std::string& out) const;
  /// ErrorCode::data where it is no such line.
  [[nodiscard]] static Result<SourceFilter> parse(std::string_view text, const std::string& where);

 private:
  std::map<std::uint64_t, Position> last_;
};

/// The lower offsets and the higher positions of both.
void merge(const stage::PublishCursor& one, stage::PublishCursor& into);

}  // namespace mdpipe::wiring
