#pragma once
/// \file
/// Every setting of a journal: default, unit, consequence.

#include <cstdint>
#include <filesystem>
#include <string>

namespace mdpipe::journal {

struct WriterOptions {
  std::filesystem::path directory;

  // Behaviour
  std::uint32_t payload_max_bytes = 512U << 10U;  ///< largest frame; larger ones are cut by the feed (close 1009)
  std::uint32_t symbols_max = 100'000;            ///< symbols one journal may name; the table heads every segment
  std::uint64_t keep_bytes = 10ULL << 30U;        ///< retention: older segments beyond this size may go …
  std::int64_t keep_age_s =
      std::int64_t{7} * 24 * 3600;  ///< … or beyond this age, once every registered cursor has passed
  bool force_filesystem = false;    ///< accept copy-on-write and network file systems
  std::string holder = "mdpipe";    ///< who we are, for the next process that finds the lock held
  std::string boot_id;              ///< which life of the machine this is; empty = as the kernel says

  // Performance, durability
  std::uint64_t segment_bytes = 128ULL << 20U;  ///< preallocated; holds the symbols and two claims of the largest size
  std::uint32_t populate_ahead_bytes = 8U << 20U;  ///< touched ahead of the writer by the helper thread
  std::uint32_t sync_interval_ms = 1000;           ///< fdatasync of finished parts; what a power loss may take
  int helper_core = -1;                            ///< -1: any
};

}  // namespace mdpipe::journal
