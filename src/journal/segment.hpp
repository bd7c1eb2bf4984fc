#pragma once
// Segments in memory, and the chain of them that the writer and the readers of one process share.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "format.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/idle.hpp"

namespace mdpipe::journal {

/// A mapped segment file.
///
/// Thread safety: the constant members by any thread once the segment can be reached; see each atomic.
class Segment {
 public:
  /// Creates and allocates the file (posix_fallocate: a full disk is an error here, not a SIGBUS later), maps it for
  /// writing. Not begun.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> create(const std::filesystem::path& directory,
                                                               std::uint64_t index, std::uint64_t bytes);

  /// Maps an existing file and judges its header. Nothing where the segment was prepared but not begun; ErrorCode::data
  /// where it is damaged or foreign.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> open(const std::filesystem::path& path, std::uint64_t index,
                                                             bool writable);

  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  /// Writes the header and makes the segment one that is begun. Precondition: everything at its head is written.
  void begin(const SegmentHeader& header) noexcept;

  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t index() const noexcept { return index_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const SegmentHeader& header() const noexcept { return *reinterpret_cast<const SegmentHeader*>(base_); }
  [[nodiscard]] Position first_position() const noexcept {
    return make_position(header().epoch, header().first_sequence);
  }
  [[nodiscard]] std::uint32_t seed() const noexcept { return seed_; }

  /// Where the next bytes lie that are more than a hole of the file, at `offset` or behind; bytes() where none are.
  [[nodiscard]] std::uint64_t skip_hole(std::uint64_t offset) const noexcept;

  /// Gives the disk space behind `offset` back; the file keeps its size. Errors are of no consequence.
  void punch(std::uint64_t offset) const noexcept;

  /// Written in this process's life: its bounds need no check by readers of the same process.
  bool trusted = false;

  /// The segment behind this one: set once, by whoever links it, before this one's roll record is released.
  std::atomic<Segment*> next{nullptr};

  /// End of the last record committed to it: stored by the writer, read by its helper and its readers. In a line of its
  /// own: these looks take nothing else away from the writer.
  alignas(64) std::atomic<std::uint64_t> committed_offset{0};

  /// WriterFigures::bytes when the segment was begun, and where its head ends: set before it is linked.
  alignas(64) std::uint64_t bytes_before = 0;
  std::uint64_t head_end = 0;

 private:
  Segment(std::filesystem::path path, std::uint64_t index, std::byte* base, std::uint64_t bytes,
          FileDescriptor descriptor) noexcept;

  std::filesystem::path path_;
  std::uint64_t index_;
  std::byte* base_;
  std::uint64_t bytes_;
  FileDescriptor descriptor_;
  std::uint32_t seed_ = 0;
};

/// The header of a segment file, judged; nothing where it is not begun.
[[nodiscard]] Result<std::optional<SegmentHeader>> read_header(const std::filesystem::path& path, std::uint64_t index);

/// Why a segment is refused, without its name.
[[nodiscard]] std::string refusal(const std::filesystem::path& path, const Error& error);

/// Which segment a reader starts in that wants what lies behind `after`.
struct Start {
  std::uint64_t index = 0;
  std::optional<Error> refused;  ///< a segment before it in which some of that lay: why it cannot be read
  std::uint64_t refused_index = 0;
};
/// Segments that are refused are passed over. ErrorCode::environment where there is no journal; ErrorCode::data where
/// all are refused, or the journal begins after `after`.
[[nodiscard]] Result<Start> find_start(const std::filesystem::path& directory, Position after);

/// The segments of a directory that are mapped in this process, oldest first, linked by Segment::next: those that are
/// good, so that indices may be missing between.
///
/// Thread safety: all functions, by any thread. Crossing from a segment to the next takes no part of this: readers
/// follow Segment::next. The mutex guards who may be where: the head of the list and the places of the readers.
class SegmentChain {
 public:
  /// The oldest segment that a reader still needs.
  using Place = std::atomic<std::uint64_t>;

  explicit SegmentChain(std::filesystem::path directory) : directory_(std::move(directory)) {}
  ~SegmentChain();
  SegmentChain(const SegmentChain&) = delete;
  SegmentChain& operator=(const SegmentChain&) = delete;

  /// The first segment of a chain.
  void set_head(std::unique_ptr<Segment> segment) noexcept;

  /// The segment in which a reader that wants what lies behind `after` starts, mapped with all behind it. The place
  /// is taken in the same step, so that nothing is unmapped in between.
  struct Entry {
    Segment* segment = nullptr;
    Start start;
  };
  [[nodiscard]] Result<Entry> enter(Position after, Place& place);
  void leave(Place& place) noexcept;

  /// Unmaps the segments before `current` that no reader needs.
  void unmap_unused(std::uint64_t current);

  [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }

  /// Rung by the writer at each commit.
  Bell bell;

 private:
  [[nodiscard]] Result<void> extend_down_to(std::uint64_t index);

  const std::filesystem::path directory_;
  std::mutex mutex_;
  Segment* head_ = nullptr;   // owns the list; guarded by mutex_
  std::list<Place*> places_;  // guarded by mutex_
};

}  // namespace mdpipe::journal
