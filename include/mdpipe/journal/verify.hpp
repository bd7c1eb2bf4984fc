#pragma once
/// \file
/// A journal looked at from outside: is every byte of it what its writer wrote, and if not, what is wrong and where?

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "mdpipe/journal/maintenance.hpp"

namespace mdpipe::journal {

struct Damage {
  std::filesystem::path file;
  std::uint64_t offset = 0;  ///< where in the file
  std::string reason;        ///< what is wrong there, and what it costs
};

/// What is good in a segment. Positions are of all records that have one, times of frames and session events; 0 where
/// there is none.
struct SegmentReport {
  std::uint64_t index = 0;
  std::filesystem::path path;
  SegmentState state = SegmentState::refused;
  std::uint64_t file_bytes = 0;
  std::uint64_t disk_bytes = 0;  ///< what the file takes on the disk
  std::uint64_t end_offset = 0;  ///< behind its last good record
  std::int64_t begun_ns = 0;
  std::uint64_t records = 0;  ///< frames, symbols, session events; not what restates the symbols at its head
  std::uint64_t trades = 0;
  std::uint64_t symbols = 0;  ///< known at its end
  Position first_position = 0;
  Position last_position = 0;
  std::int64_t first_time_ns = 0;
  std::int64_t last_time_ns = 0;
  std::uint64_t damages = 0;
};

struct VerifyReport {
  std::uint64_t journal_id = 0;
  std::vector<SegmentReport> segments;
  std::vector<Damage> damages;      ///< the first VerifyOptions::damages_max
  std::uint64_t damages_count = 0;  ///< all of them
  std::vector<std::string> notes;   ///< what a kill leaves and the next start mends: no damage

  [[nodiscard]] bool whole() const noexcept { return damages_count == 0; }
};

struct VerifyOptions {
  std::size_t damages_max = 1000;
  /// Called with each good record that has a position, in order; the view is valid during the call. Behind damage
  /// `symbols` may lack those whose definition was lost.
  std::function<void(const RecordView& record, const SymbolTable& symbols)> on_record;
};

/// Reads all of it: headers, checksums, the chain of segments and positions, symbols, trades, the checkpoint, cursors.
/// Skips what is damaged and goes on behind it. Takes no lock: a journal may be verified while its writer runs, all of
/// it up to where the writer is when its end is read, and while retention takes its oldest segments.
/// ErrorCode::environment where there is no journal, or where it may not be read.
[[nodiscard]] Result<VerifyReport> verify(const std::filesystem::path& directory, const VerifyOptions& options = {});

}  // namespace mdpipe::journal
