#pragma once
// A disk that can lose its power: it knows of each page of a folder's files what was synced, by what the process asks
// the kernel for, and makes from that what the next start may find.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace mdpipe::testing {

inline constexpr std::size_t kPageBytes = 4096;

/// Bytes by page; what was never synced is not there.
struct SyncedFile {
  std::map<std::uint64_t, std::string> pages;
  bool size_synced = false;
};

/// A folder at one moment: what a process would read, and what is on the disk for certain.
struct Moment {
  std::map<std::string, std::string> files;  ///< by name, relative to the folder
  std::map<std::string, SyncedFile> synced;
  std::map<std::string, std::string> small_before;  ///< state files, as they were when their folder was synced last
  std::map<std::string, std::string> earlier;       ///< files as they were at some moment before
  std::map<std::string, std::string> removed;       ///< files that were unlinked since their folder was synced
};

/// While it lives, msync(2), fsync(2) and fdatasync(2) of the process are taken down for the files of one folder.
/// Thread safety: all functions by any thread; a step of the writer holds pause().
class PowerLossDisk {
 public:
  /// What lies in the folder already is on the disk.
  explicit PowerLossDisk(std::filesystem::path directory);
  ~PowerLossDisk();
  PowerLossDisk(const PowerLossDisk&) = delete;
  PowerLossDisk& operator=(const PowerLossDisk&) = delete;

  /// No sync is taken down meanwhile: what is written in between is not half in it.
  [[nodiscard]] std::unique_lock<std::mutex> pause() { return std::unique_lock(mutex_); }

  /// Precondition: paused.
  [[nodiscard]] Moment look();

  // Called by the system calls
  void memory_synced(const std::byte* from, std::size_t bytes);
  void descriptor_synced(int descriptor);

 private:
  [[nodiscard]] std::string name_of(const std::string& path) const;
  void know(const std::string& name);
  void take_pages(const std::string& name, std::uint64_t from, const std::string& content);

  const std::filesystem::path directory_;
  std::mutex mutex_;
  std::map<std::string, SyncedFile> synced_;      // guarded by mutex_, as all below
  std::map<std::string, std::string> small_;      // state files, at the last sync of their folder
  std::map<std::string, std::string> last_seen_;  // segments
  std::map<std::string, std::uint64_t> inodes_;
  std::size_t segment_bytes_ = 0;
};

/// What may be on the disk after the power went: each page that was not synced old, new or zero; files that were made
/// or removed since their folder was synced there or not; state files as they were before their last replacement.
void make_image(const Moment& moment, std::mt19937_64& random, const std::filesystem::path& to);

/// The same, where nothing of what was not synced has reached the disk.
[[nodiscard]] std::map<std::string, std::string> synced_alone(const Moment& moment);

}  // namespace mdpipe::testing
