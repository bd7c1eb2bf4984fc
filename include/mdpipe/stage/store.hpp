#pragma once
/// \file
/// Trades as JSON lines, byte for byte as the venue sent them (a line break within a trade becomes a blank), in one
/// file a UTC day of the exchange time: trades_2013-10-07.jsonl (of a topic's partition:
/// trades_2013-10-07.partition-0.jsonl).
///
/// Exactly once in the files: the state file says up to which position of the journal everything is on disk, and how
/// long each file is then. A start cuts the files back to those lengths and goes on from there, so what an earlier life
/// had written behind it is written again, not twice. A file is entered there before its first byte, so nothing is ever
/// cut that the store did not write.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/event/stage.hpp"
#include "mdpipe/stage/source_state.hpp"

namespace mdpipe::stage {

struct StoreOptions {
  // Behaviour
  std::filesystem::path directory;
  std::uint64_t source = 0;                        ///< the journal's id; files of another one are refused
  std::int64_t flush_interval_ns = 1'000'000'000;  ///< written and synced at this age …
  std::int64_t retry_ns = 200'000'000;             ///< between two attempts to write where there was no room

  // Where the trades are not a journal's: several stores then share the folder, each with its own state and files
  std::string part;                      ///< "partition-0"; the caller holds its lock. Empty: the folder's one store
  std::string source_words = "journal";  ///< what `source` is, for refusals
  Position start_after = kBeforeEverything;  ///< where there is no state yet: saved at once
  SourceState source_state;

  // Performance, limits
  std::uint64_t flush_bytes = 1U << 20U;  ///< … or written at this size
  std::uint32_t open_files_max = 8;       ///< each with a buffer of flush_bytes
};

/// Readable from any thread.
struct StoreFigures {
  SingleWriterCounter trades;  ///< taken into buffers
  SingleWriterCounter bytes;   ///< written
  SingleWriterCounter syncs;
  SingleWriterCounter held_back;  ///< times that the disk had no room
  SingleWriterGauge<std::uint64_t> files;
};

class Store : public Stage {
 public:
  /// Takes the folder's lock, loads its state, cuts the files back. ErrorCode::environment names who holds the lock;
  /// ErrorCode::data where the folder holds files of another journal, or files that are not as they were left.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(StoreOptions options);

  [[nodiscard]] virtual const StoreFigures& figures() const noexcept = 0;
  /// What SourceState::append gave to the state that it goes on from; nothing where there was no state.
  [[nodiscard]] virtual const std::optional<std::string>& source_state() const noexcept = 0;
};

}  // namespace mdpipe::stage
