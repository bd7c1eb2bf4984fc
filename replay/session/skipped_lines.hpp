#pragma once
/// \file
/// What was passed over of damaged sessions, where that is wished (--skip-bad).

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace mdpipe::replay {

/// A session may be read several times, by several threads: each place counts once. Thread safety: any thread.
class SkippedLines {
 public:
  /// `place`: rises along the file. `words`: where and what, for the first of all.
  void add(const std::string& file, std::uint64_t place, const std::string& words) {
    const std::scoped_lock lock(mutex_);
    std::uint64_t& last_place = last_places_[file];
    if (place <= last_place) {
      return;
    }
    last_place = place;
    if (count_++ == 0) {
      first_ = words;
    }
  }

  [[nodiscard]] std::uint64_t count() const {
    const std::scoped_lock lock(mutex_);
    return count_;
  }
  /// "3 damaged or foreign lines were left out, first …"; empty where none was.
  [[nodiscard]] std::string words() const {
    const std::scoped_lock lock(mutex_);
    if (count_ == 0) {
      return {};
    }
    return std::to_string(count_) +
           (count_ == 1 ? " damaged or foreign line was left out: "
                        : " damaged or foreign lines were left out, first ") +
           first_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> last_places_;  // by file
  std::uint64_t count_ = 0;
  std::string first_;
};

}  // namespace mdpipe::replay
