#pragma once
// The files of a store: which there are, how long they are for certain, and the few that are open.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/state_file.hpp"
#include "mdpipe/event/position.hpp"
#include "mdpipe/stage/store.hpp"

namespace mdpipe::stage {

/// What became of an attempt to write.
enum class WriteOutcome : std::uint8_t {
  done,
  no_room,  ///< the disk or a quota is full: nothing is lost, try again
  failed,   ///< see failure(): this life of the store can claim nothing more
};

/// Thread safety: one thread.
class StoreFiles {
 public:
  explicit StoreFiles(const StoreOptions& options);

  /// Loads the state and cuts the files back to it.
  [[nodiscard]] Result<void> recover();
  /// Where there is no state: says so on disk, that everything begins behind `position`.
  [[nodiscard]] Result<void> begin(Position position);
  /// Of the state that was loaded; nothing where there was none.
  [[nodiscard]] const std::optional<std::string>& source_state() const noexcept { return loaded_source_state_; }

  /// Makes the file of this day the current one.
  [[nodiscard]] WriteOutcome choose(std::int64_t day);
  [[nodiscard]] bool is_current(std::int64_t day) const noexcept { return current_ != nullptr && current_->day == day; }

  /// A line into the current file's buffer, its line breaks as blanks; written where the buffer is full.
  [[nodiscard]] WriteOutcome append(std::string_view line);

  /// Writes all buffers.
  [[nodiscard]] WriteOutcome write();

  /// Writes, syncs, and says in the state file that everything up to `position` is there.
  [[nodiscard]] WriteOutcome settle(Position position);

  [[nodiscard]] Position settled() const noexcept { return settled_; }
  [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }
  [[nodiscard]] std::uint64_t syncs() const noexcept { return syncs_; }
  [[nodiscard]] std::size_t count() const noexcept { return known_.size(); }

  /// Why there was no room, in words.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  [[nodiscard]] const Error& failure() const noexcept { return failure_; }

 private:
  struct Known {
    std::string name;
    std::uint64_t length = 0;   // as the state has it
    std::uint64_t written = 0;  // when it was last closed or settled: what the next state will have
  };
  struct Open {
    std::int64_t day = 0;
    std::filesystem::path path;
    FileDescriptor descriptor;
    std::string buffer;
    std::size_t buffer_written = 0;
    std::uint64_t length = 0;  // written
    bool unsynced = false;
    std::uint64_t used = 0;  // when, in calls of choose()
  };

  [[nodiscard]] Result<void> cut_back(Known& known);
  [[nodiscard]] WriteOutcome write(Open& file);
  [[nodiscard]] WriteOutcome sync(Open& file);
  [[nodiscard]] WriteOutcome open(std::int64_t day, Open& file);
  [[nodiscard]] WriteOutcome save(Position position, std::uint64_t Known::*length, const std::string& source_state);
  [[nodiscard]] std::string file_name(std::int64_t day) const;
  [[nodiscard]] WriteOutcome lost(int error_number, const char* action, const std::filesystem::path& path);
  [[nodiscard]] WriteOutcome fail_for_good(Error error);
  [[nodiscard]] WriteOutcome judge(int error_number, const char* action, const std::filesystem::path& path);

  const std::filesystem::path directory_;
  const std::uint64_t source_;
  const std::string part_;  // of the files' names
  const std::string source_words_;
  const SourceState source_state_;
  const std::size_t flush_bytes_;
  const std::size_t open_files_max_;
  StateFile state_;
  std::string payload_;
  std::optional<std::string> loaded_source_state_;
  std::string settled_source_state_;  // as the state has it
  std::string next_source_state_;

  std::map<std::int64_t, Known> known_;  // by day: all that the state names
  std::vector<std::unique_ptr<Open>> open_;
  Open* current_ = nullptr;
  std::uint64_t uses_ = 0;
  bool created_ = false;  // a file, since the folder was last synced
  Position settled_ = kBeforeEverything;
  std::uint64_t bytes_written_ = 0;
  std::uint64_t syncs_ = 0;
  std::string trouble_;
  Error failure_{ErrorCode::environment, {}};
};

/// Days since 1970-01-01 of an exchange time.
[[nodiscard]] constexpr std::int64_t day_of(std::int64_t time_ns) noexcept {
  constexpr std::int64_t kDayNs = 86'400'000'000'000;
  return time_ns / kDayNs - (time_ns % kDayNs < 0 ? 1 : 0);
}

}  // namespace mdpipe::stage
