#pragma once
// The durable cursors of a journal: who has got how far, so that retention knows what may go.

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mdpipe/base/state_file.hpp"
#include "mdpipe/journal/writer.hpp"

namespace mdpipe::journal {

/// Thread safety: register_cursor() by any thread; save() and lowest_saved() by the helper's.
class CursorRegister {
 public:
  /// `directory`: the journal's cursors/ folder, where others keep state files too.
  explicit CursorRegister(std::filesystem::path directory) : directory_(std::move(directory)) {}

  [[nodiscard]] Result<std::unique_ptr<RegisteredCursor>> register_cursor(const std::string& name);

  /// Saves those that moved. The first failure, after all were tried.
  [[nodiscard]] Result<void> save();

  /// The lowest position saved in the folder, by whomever; the largest position where there is none. A state file that
  /// cannot be read holds everything back: what it needed is not known.
  [[nodiscard]] Position lowest_saved() const;

 private:
  class Handle;

  struct Entry {
    Entry(std::string entry_name, const std::filesystem::path& path)
        : name(std::move(entry_name)), file(path, "cursor " + name) {}

    std::string name;
    StateFile file;
    std::atomic<Position> settled{0};  // written by the cursor's owner
    std::atomic<bool> alive{true};
    Position saved = 0;  // guarded by mutex_
  };

  const std::filesystem::path directory_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;  // guarded by mutex_
};

}  // namespace mdpipe::journal
