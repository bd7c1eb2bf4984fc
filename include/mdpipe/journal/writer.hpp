#pragma once
/// \file
/// The one writer of a journal: claims room, lets the feed write in place, commits.

#include <memory>
#include <string>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/event/frame_sink.hpp"
#include "mdpipe/journal/options.hpp"
#include "mdpipe/journal/reader.hpp"

namespace mdpipe::journal {

/// What opening found: for the log, and for who must know that something was lost.
struct RecoveryReport {
  bool created = false;                  ///< there was no journal here
  bool new_epoch = false;                ///< machine restarted or the tail was cut: positions go on in a new epoch
  Position last_position = 0;            ///< where the journal ended
  std::int64_t last_record_time_ns = 0;  ///< receive time of the last record; 0 = none
  std::uint64_t connections = 0;      ///< largest connection number of its session records: the feed counts on from it
  std::uint64_t cut_bytes = 0;        ///< bytes behind the last good record that were not zero (power loss)
  std::uint64_t skipped_records = 0;  ///< damage in the middle: reported, what is good behind it is kept
  std::string words;                  ///< the above, for people; empty where there is nothing to say
};

/// Figures for metrics, readable from any thread.
struct WriterFigures {
  SingleWriterCounter records;
  SingleWriterCounter trades;
  SingleWriterCounter bytes;                         ///< committed, records whole
  SingleWriterGauge<Position> position;              ///< last_position() of the last record
  SingleWriterCounter rolls;                         ///< segments filled
  SingleWriterCounter full_claims;                   ///< claims refused for want of room
  SingleWriterGauge<std::uint64_t> synced_bytes;     ///< of `bytes`, durable (helper thread)
  SingleWriterGauge<std::uint64_t> disk_free_bytes;  ///< helper thread
  SingleWriterCounter sync_failures;                 ///< helper thread
  SingleWriterCounter allocation_failures;           ///< helper thread: next segment could not be allocated
  SingleWriterCounter helper_failures;               ///< helper thread: rounds that an exception (no memory) ended
  SingleWriterGauge<std::uint64_t> segments;         ///< helper thread: on disk now
};

/// A durable cursor on the register: retention keeps what lies behind it.
/// Thread safety: advance() by one thread. The writer's helper saves it (write, fsync, rename, fsync) once a second
/// and when the writer closes, so advance() is one relaxed store.
class RegisteredCursor {
 public:
  virtual ~RegisteredCursor() = default;
  virtual void advance(Position settled) noexcept = 0;
  /// What was saved when it was registered; 0 for a new one.
  [[nodiscard]] virtual Position saved() const noexcept = 0;
};

/// Thread safety: FrameSink's functions by one thread; reader(), register_cursor() and figures() by any, before and
/// while the writer runs. Readers keep the mapping alive; destroy them before the writer all the same.
class Writer : public FrameSink {
 public:
  /// Opens or creates. Takes the directory's lock (ErrorCode::environment names the holder), recovers what a crash left
  /// (see FORMAT.md), starts the helper thread.
  [[nodiscard]] static Result<std::unique_ptr<Writer>> open(const WriterOptions& options);

  [[nodiscard]] virtual const RecoveryReport& recovery() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t journal_id() const noexcept = 0;
  [[nodiscard]] virtual const WriterFigures& figures() const noexcept = 0;

  /// A reader in this process, on the writer's own mapping. Same errors as Reader::open().
  [[nodiscard]] virtual Result<std::unique_ptr<Reader>> reader(Position after) = 0;

  /// `name`: letters, digits, dash, dot. The same name again is the same cursor: refused while one is alive.
  [[nodiscard]] virtual Result<std::unique_ptr<RegisteredCursor>> register_cursor(const std::string& name) = 0;

  /// Syncs everything, saves the cursors, stops the helper. The destructor does it too, without telling what failed.
  [[nodiscard]] virtual Result<void> close() = 0;
};

}  // namespace mdpipe::journal
