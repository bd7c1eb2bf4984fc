#include "helper.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23  // Linux 5.14; the kernel says EINVAL where it has it not
#endif

namespace mdpipe::journal {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::int64_t kHouseIntervalMaxNs = kNanosecondsPerSecond;
constexpr std::chrono::milliseconds kNapMin{1};
constexpr std::chrono::milliseconds kNapMax{16};

std::uint64_t page_floor(std::uint64_t offset) noexcept {
  return offset / kPageBytes * kPageBytes;
}
std::uint64_t page_ceiling(std::uint64_t offset) noexcept {
  return page_floor(offset + kPageBytes - 1);
}

/// Thread-sanitizer is right that this meets the writer's plain stores; an atomic or of nothing changes none of them.
__attribute__((no_sanitize("thread"))) void touch_pages(std::byte* base, std::uint64_t from,
                                                        std::uint64_t to) noexcept {
  for (std::uint64_t at = from; at < to; at += kPageBytes) {
    std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(base + at)).fetch_or(0, std::memory_order_relaxed);
  }
}

}  // namespace

void populate_pages(std::byte* base, std::uint64_t from, std::uint64_t to, bool advise) noexcept {
  from = page_floor(from);
  to = page_ceiling(to);
  if (from < to && (!advise || ::madvise(base + from, to - from, MADV_POPULATE_WRITE) != 0)) {
    touch_pages(base, from, to);
  }
}

Helper::Helper(const WriterOptions& options, SegmentChain& chain, CursorRegister& cursors, Handover& handover,
               WriterFigures& figures, std::vector<SegmentSummary> segments)
    : options_(options),
      chain_(chain),
      cursors_(cursors),
      handover_(handover),
      figures_(figures),
      segments_(segments.begin(), segments.end()),
      newest_(handover.current.load(std::memory_order_acquire)),
      syncing_(newest_) {}

Helper::~Helper() {
  try {
    static_cast<void>(stop());
  } catch (const std::exception&) {
    // No memory to sync the rest: what a power loss may take is what it was.
    figures_.helper_failures.add();
  }
  // The one that was prepared in vain: no reader has seen it, it was never begun.
  if (const std::unique_ptr<Segment> unused(handover_.prepared.exchange(nullptr, std::memory_order_acq_rel)); unused) {
    ::unlink(unused->path().c_str());
  }
}

Result<void> Helper::start() {
  if (auto synced = sync_earlier_segments(); !synced) {
    return synced;
  }
  keep_house();
  populate();
  auto worker = Worker::start("journal-helper", options_.helper_core, [this] { run(); });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  worker_ = std::move(*worker);
  return {};
}

/// A checkpoint says that all before it is on the disk. What a life that was killed had not synced yet, and the ends
/// that recovery wrote, are in the page cache alone.
Result<void> Helper::sync_earlier_segments() {
  for (const SegmentSummary& segment : segments_) {
    if (segment.index == syncing_->index()) {
      break;
    }
    if (segment.refused) {
      continue;  // nothing of it is promised
    }
    const auto path = chain_.directory() / segment_name(segment.index);
    auto descriptor = open_file(path, O_RDONLY);
    if (!descriptor) {
      return tl::unexpected(descriptor.error());
    }
    if (::fdatasync(descriptor->get()) != 0) {
      return tl::unexpected(system_error(fmt::format("syncing {}", path.string()), errno));
    }
  }
  return {};
}

Result<void> Helper::stop() {
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(stopping_, true)) {
      return {};
    }
  }
  wake_.notify_all();
  if (auto error = worker_.join()) {
    return tl::unexpected(*error);
  }
  auto synced = sync(true);
  auto saved = cursors_.save();
  return synced ? saved : synced;
}

void Helper::run() {
  for (;;) {
    try {
      round(monotonic_clock_ns());
    } catch (const std::exception&) {
      // Without this thread nothing would be synced any more, and nobody would know.
      figures_.helper_failures.add();
      nap_ = kNapMax;
    }
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, nap_, [this] { return stopping_; })) {
      return;
    }
  }
}

void Helper::round(std::int64_t now_ns) {
  prepare(now_ns);
  // Quick while the writer runs ahead; a nap of an idle journal costs next to nothing.
  nap_ = populate() ? kNapMin : std::min(nap_ * 2, kNapMax);
  if (now_ns >= sync_due_ns_) {
    static_cast<void>(sync(false));
    // Twice in an interval: a page that is still written to waits for the second time.
    sync_due_ns_ = now_ns + std::int64_t{options_.sync_interval_ms} * kNanosecondsPerMillisecond / 2;
  }
  if (now_ns >= house_due_ns_) {
    if (!cursors_.save()) {
      figures_.sync_failures.add();
    }
    keep_house();
    house_due_ns_ = now_ns + house_interval_ns();
  }
}

std::int64_t Helper::house_interval_ns() const noexcept {
  return std::min(kHouseIntervalMaxNs, std::int64_t{options_.sync_interval_ms} * kNanosecondsPerMillisecond);
}

void Helper::prepare(std::int64_t now_ns) {
  if (handover_.prepared.load(std::memory_order_acquire) != nullptr || now_ns < prepare_after_ns_) {
    return;
  }
  // Nobody but us sets `prepared`, and the writer makes it current before it takes it out: this is the newest index.
  const std::uint64_t index = handover_.current.load(std::memory_order_acquire)->index() + 1;
  auto segment = Segment::create(chain_.directory(), index, options_.segment_bytes);
  if (!segment) {
    figures_.allocation_failures.add();
    prepare_after_ns_ = now_ns + house_interval_ns();
    return;
  }
  populate_pages((*segment)->base(), 0, std::min<std::uint64_t>(options_.populate_ahead_bytes, (*segment)->bytes()),
                 true);
  warmed_index_ = 0;
  handover_.prepared.store(segment->release(), std::memory_order_release);
}

bool Helper::populate() {
  Segment* const current = handover_.current.load(std::memory_order_acquire);
  const std::uint64_t pen = current->committed_offset.load(std::memory_order_acquire);
  const std::uint64_t window_end = pen + options_.populate_ahead_bytes;
  if (std::exchange(populated_index_, current->index()) != current->index()) {
    populated_until_ = 0;
  }
  if (pen + options_.populate_ahead_bytes / 2 <= populated_until_ || populated_until_ >= current->bytes()) {
    return false;
  }
  const std::uint64_t until = std::min(window_end, current->bytes());
  populate_pages(current->base(), std::max(pen, populated_until_), until, true);
  populated_until_ = until;
  // Pages populated long ago have been cleaned by writeback since, and would fault again: once more, just before use.
  Segment* const prepared = handover_.prepared.load(std::memory_order_acquire);
  if (window_end > current->bytes() && prepared != nullptr && warmed_index_ != prepared->index()) {
    // The writer may take it meanwhile; it stays mapped, since only this thread unmaps.
    populate_pages(prepared->base(), 0, std::min<std::uint64_t>(options_.populate_ahead_bytes, prepared->bytes()),
                   true);
    warmed_index_ = prepared->index();
  }
  return true;
}

bool Helper::sync_range(Segment& segment, std::uint64_t end) {
  if (end <= synced_until_) {
    return true;
  }
  // msync of a range is fdatasync of that range: the page under the pen is left alone.
  if (::msync(segment.base() + synced_until_, end - synced_until_, MS_SYNC) == 0) {
    synced_until_ = end;
    head_synced_until_ = std::max(head_synced_until_, end);
    return true;
  }
  figures_.sync_failures.add();
  // The kernel takes pages that it failed to write for clean: make them dirty, so that the next try writes them.
  touch_pages(segment.base(), synced_until_, end);
  return false;
}

Result<void> Helper::sync(bool everything) {
  const Position position = handover_.position.load(std::memory_order_acquire);
  Segment* const current = handover_.current.load(std::memory_order_acquire);
  while (syncing_ != current) {
    const std::uint64_t committed = syncing_->committed_offset.load(std::memory_order_acquire);
    if (!sync_range(*syncing_, page_ceiling(committed))) {
      return fail(ErrorCode::environment, "syncing " + syncing_->path().string() + " failed");
    }
    note_durable(*syncing_);
    syncing_->punch(committed);
    syncing_ = syncing_->next.load(std::memory_order_acquire);
    synced_until_ = 0;
    head_synced_until_ = 0;
    committed_before_ = 0;
  }
  const std::uint64_t committed = current->committed_offset.load(std::memory_order_acquire);
  if (boundaries_.empty() || boundaries_.back().position != position) {
    boundaries_.push_back({position, {current->index(), committed}});
  }
  // A page that the pen has not left since the last round is synced under it: a quiet feed's last record must not stay
  // unsynced for long.
  const bool lingering = committed != synced_until_ && page_floor(committed) == page_floor(committed_before_);
  committed_before_ = committed;
  const std::uint64_t end = everything || lingering ? page_ceiling(committed) : page_floor(committed);
  if (!sync_range(*current, end)) {
    return fail(ErrorCode::environment, "syncing " + current->path().string() + " failed");
  }
  if (everything || lingering) {
    // The rest of that page is yet to be written: it is not done with.
    figures_.synced_bytes.set(current->bytes_before + committed - current->head_end);
    durable_ = boundaries_.back();
    boundaries_.clear();
    synced_until_ = page_floor(committed);
  }
  note_durable(*current);
  return checkpoint();
}

void Helper::note_durable(const Segment& segment) {
  const std::uint64_t end = std::min(synced_until_, segment.committed_offset.load(std::memory_order_acquire));
  if (end > segment.head_end) {
    figures_.synced_bytes.set(std::max(figures_.synced_bytes.get(), segment.bytes_before + end - segment.head_end));
  }
  while (!boundaries_.empty() &&
         (boundaries_.front().at.segment < segment.index() || boundaries_.front().at.offset <= synced_until_)) {
    durable_ = boundaries_.front();
    boundaries_.pop_front();
  }
}

Result<void> Helper::checkpoint() {
  if (!durable_) {
    return {};
  }
  const Boundary boundary = *std::exchange(durable_, std::nullopt);
  if (boundary.at == checkpoint_) {
    return {};  // an idle journal does not keep the disk awake
  }
  auto saved = save_checkpoint(chain_.directory(), boundary.position, boundary.at);
  if (saved) {
    checkpoint_ = boundary.at;
  } else {
    figures_.sync_failures.add();
  }
  return saved;
}

void Helper::keep_house() {
  while (Segment* const next = newest_->next.load(std::memory_order_acquire)) {
    segments_.push_back({next->index(), next->header().previous_position, next->header().created_ns, false});
    newest_ = next;
  }
  retain();
  figures_.segments.set(segments_.size());
  struct statvfs status {};
  if (::statvfs(chain_.directory().c_str(), &status) == 0) {
    figures_.disk_free_bytes.set(std::uint64_t{status.f_bavail} * status.f_frsize);
  }
  chain_.unmap_unused(std::min(syncing_->index(), newest_->index()));
}

std::uint64_t Helper::disk_bytes() const {
  constexpr std::uint64_t kBlockBytes = 512;  // what st_blocks counts, on every file system
  std::uint64_t total = 0;
  for (const SegmentSummary& segment : segments_) {
    struct stat status {};
    if (::stat((chain_.directory() / segment_name(segment.index)).c_str(), &status) == 0) {
      total += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
    }
  }
  return total;
}

void Helper::retain() {
  if (segments_.size() < 2) {
    return;
  }
  const std::uint64_t bytes = disk_bytes();
  const std::int64_t too_old_ns = wall_clock_ns() - options_.keep_age_s * kNanosecondsPerSecond;
  std::uint64_t freed = 0;
  std::optional<Position> needed;
  while (segments_.size() > 1) {
    const SegmentSummary& next = segments_[1];  // begun when the oldest ended
    if (bytes - freed <= options_.keep_bytes && next.created_ns > too_old_ns) {
      return;
    }
    if (!needed) {
      needed = cursors_.lowest_saved();
    }
    if (*needed < next.previous_position) {
      return;
    }
    // A power loss must find a head that is on the disk, with all the symbols that it tells: without one, what it
    // leaves would be another journal, or one that does not know what its trades are of.
    if (next.index > syncing_->index() ||
        (next.index == syncing_->index() && head_synced_until_ < syncing_->head_end)) {
      return;
    }
    const auto path = chain_.directory() / segment_name(segments_.front().index);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      freed += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return;
    }
    segments_.pop_front();
  }
}

}  // namespace mdpipe::journal
