#pragma once
// The thread that does for the writer what takes a system call: allocates and populates ahead, syncs, saves cursors,
// takes away what retention allows.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cursors.hpp"
#include "mdpipe/base/thread.hpp"
#include "mdpipe/journal/options.hpp"
#include "mdpipe/journal/writer.hpp"
#include "recovery.hpp"
#include "segment.hpp"

namespace mdpipe::journal {

/// What the writer's thread and the helper's tell each other.
struct Handover {
  std::atomic<Segment*> prepared{nullptr};  ///< owned by whoever takes it out; set by the helper, taken by the writer
  std::atomic<Segment*> current{nullptr};   ///< set by the writer when it has begun one and linked it to the one before
  std::atomic<Position> position{0};        ///< committed; loaded before a segment's committed_offset
};

class Helper {
 public:
  Helper(const WriterOptions& options, SegmentChain& chain, CursorRegister& cursors, Handover& handover,
         WriterFigures& figures, std::vector<SegmentSummary> segments);
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  /// Precondition: the first segment is begun and current.
  [[nodiscard]] Result<void> start();

  /// Ends the thread, then syncs everything and saves the cursors. Precondition: the writer has stopped.
  [[nodiscard]] Result<void> stop();

 private:
  void run();
  /// What is due; what it throws (no memory) costs this round alone: every step leaves behind what the next one needs.
  void round(std::int64_t now_ns);
  /// Between two looks at cursors, retention and a disk that was full.
  [[nodiscard]] std::int64_t house_interval_ns() const noexcept;
  [[nodiscard]] Result<void> sync_earlier_segments();
  void prepare(std::int64_t now_ns);
  bool populate();
  [[nodiscard]] Result<void> sync(bool everything);
  [[nodiscard]] bool sync_range(Segment& segment, std::uint64_t end);
  void note_durable(const Segment& segment);
  [[nodiscard]] Result<void> checkpoint();
  void keep_house();
  void retain();
  [[nodiscard]] std::uint64_t disk_bytes() const;

  const WriterOptions& options_;
  SegmentChain& chain_;
  CursorRegister& cursors_;
  Handover& handover_;
  WriterFigures& figures_;

  // The rest but the last group is the helper thread's.
  std::deque<SegmentSummary> segments_;  // begun, on disk, oldest first
  Segment* newest_;                      // the one that segments_ ends with

  std::int64_t sync_due_ns_ = 0;
  std::int64_t house_due_ns_ = 0;
  std::chrono::milliseconds nap_{1};
  std::int64_t prepare_after_ns_ = 0;
  std::uint64_t populated_index_ = 0;
  std::uint64_t populated_until_ = 0;
  std::uint64_t warmed_index_ = 0;  // the prepared segment whose beginning was populated

  Segment* syncing_;                     // everything before it is durable
  std::uint64_t synced_until_ = 0;       // of syncing_
  std::uint64_t head_synced_until_ = 0;  // the same, with the page under the pen: what is final in it is on the disk
  std::uint64_t committed_before_ = 0;   // of syncing_, a round ago
  struct Boundary {
    Position position;
    Checkpoint at;
  };
  std::deque<Boundary> boundaries_;  // ends of records, not yet known to be durable
  std::optional<Boundary> durable_;  // the last one that is
  Checkpoint checkpoint_{};          // saved last

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  Worker worker_;
};

/// Makes the pages of [from, to) present and writable, without changing a byte of them. `advise`: by
/// MADV_POPULATE_WRITE where the kernel has it; false: by an atomic addition of nothing to each page.
void populate_pages(std::byte* base, std::uint64_t from, std::uint64_t to, bool advise) noexcept;

}  // namespace mdpipe::journal
