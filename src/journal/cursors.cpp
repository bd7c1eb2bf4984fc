#include "cursors.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace mdpipe::journal {
namespace {

constexpr std::string_view kTemporarySuffix = ".new";

bool is_name(std::string_view name) noexcept {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 100 && name.front() != '.' && !name.ends_with(kTemporarySuffix) &&
         std::all_of(name.begin(), name.end(), good);
}

}  // namespace

class CursorRegister::Handle final : public RegisteredCursor {
 public:
  Handle(std::shared_ptr<Entry> entry, Position saved) noexcept : entry_(std::move(entry)), saved_(saved) {}
  ~Handle() override { entry_->alive.store(false, std::memory_order_release); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void advance(Position settled) noexcept override { entry_->settled.store(settled, std::memory_order_relaxed); }
  [[nodiscard]] Position saved() const noexcept override { return saved_; }

 private:
  std::shared_ptr<Entry> entry_;
  Position saved_;
};

Result<std::unique_ptr<RegisteredCursor>> CursorRegister::register_cursor(const std::string& name) {
  if (!is_name(name)) {
    return fail(ErrorCode::usage, fmt::format("\"{}\" cannot name a cursor: letters, digits, dashes and dots", name));
  }
  const std::scoped_lock lock(mutex_);
  for (auto& entry : entries_) {
    if (entry->name == name) {
      if (entry->alive.exchange(true, std::memory_order_acq_rel)) {
        return fail(ErrorCode::usage, fmt::format("the cursor {} is in use by another part of this process", name));
      }
      return std::make_unique<Handle>(entry, std::max(entry->saved, entry->settled.load(std::memory_order_relaxed)));
    }
  }
  auto entry = std::make_shared<Entry>(name, directory_ / name);
  auto state = entry->file.load();
  if (!state) {
    return tl::unexpected(state.error());
  }
  if (*state) {
    entry->saved = (*state)->position;
  } else if (auto saved = entry->file.save(kBeforeEverything, {}); !saved) {
    // A new cursor holds retention back from now on, also if we die before it moves.
    return tl::unexpected(saved.error());
  }
  entry->settled.store(entry->saved, std::memory_order_relaxed);
  entries_.push_back(entry);
  return std::make_unique<Handle>(entry, entry->saved);
}

Result<void> CursorRegister::save() {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::scoped_lock lock(mutex_);
    entries = entries_;
  }
  Result<void> outcome;
  for (auto& entry : entries) {
    const Position settled = entry->settled.load(std::memory_order_relaxed);
    if (settled == entry->saved) {
      continue;
    }
    // Not under the lock: a slow disk must not hold up a thread that registers a cursor.
    if (auto saved = entry->file.save(settled, {}); !saved) {
      outcome = saved;
      continue;
    }
    const std::scoped_lock lock(mutex_);
    entry->saved = settled;
  }
  return outcome;
}

Position CursorRegister::lowest_saved() const {
  const auto names = list_directory(directory_);
  if (!names) {
    return kBeforeEverything;
  }
  Position lowest = std::numeric_limits<Position>::max();
  for (const std::string& name : *names) {
    if (!name.ends_with(kTemporarySuffix)) {
      const auto state = load_any_state(directory_ / name);
      lowest = std::min(lowest, state ? state->state.position : kBeforeEverything);
    }
  }
  return lowest;
}

}  // namespace mdpipe::journal
