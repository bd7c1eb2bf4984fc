#include "segment.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace mdpipe::journal {
namespace {

constexpr std::string_view kRefused = " is refused: ";

tl::unexpected<Error> damaged(const std::filesystem::path& path, std::string_view what) {
  return fail(ErrorCode::data, fmt::format("{}{}{}", path.string(), kRefused, what));
}

Result<std::byte*> map(const std::filesystem::path& path, int descriptor, std::uint64_t bytes, bool writable) {
  void* const base = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
  if (base == MAP_FAILED) {
    return tl::unexpected(system_error(fmt::format("mapping {}", path.string()), errno));
  }
  return static_cast<std::byte*>(base);
}

/// Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which ends the process, before it says EFBIG: held off meanwhile,
/// taken if it came.
class FileSizeSignalHold {
 public:
  FileSizeSignalHold() noexcept {
    ::sigemptyset(&held_);
    ::sigaddset(&held_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  ~FileSizeSignalHold() {
    const timespec at_once{};
    ::sigtimedwait(&held_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  FileSizeSignalHold(const FileSizeSignalHold&) = delete;
  FileSizeSignalHold& operator=(const FileSizeSignalHold&) = delete;

 private:
  sigset_t held_{};
  sigset_t before_{};
};

int allocate(int descriptor, std::uint64_t bytes) noexcept {
  const FileSizeSignalHold hold;
  return ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
}

/// A file that was made in vain does not stay: also where memory ran out, which is no error value.
class MadeInVain {
 public:
  explicit MadeInVain(const std::filesystem::path& path) noexcept : path_(path) {}
  ~MadeInVain() {
    if (base != nullptr) {
      ::munmap(base, bytes);
    }
    if (!kept_) {
      ::unlink(path_.c_str());
    }
  }
  MadeInVain(const MadeInVain&) = delete;
  MadeInVain& operator=(const MadeInVain&) = delete;

  void keep() noexcept {
    kept_ = true;
    base = nullptr;
  }

  std::byte* base = nullptr;
  std::uint64_t bytes = 0;

 private:
  const std::filesystem::path& path_;
  bool kept_ = false;
};

}  // namespace

Segment::Segment(std::filesystem::path path, std::uint64_t index, std::byte* base, std::uint64_t bytes,
                 FileDescriptor descriptor) noexcept
    : path_(std::move(path)), index_(index), base_(base), bytes_(bytes), descriptor_(std::move(descriptor)) {}

Segment::~Segment() {
  if (base_ != nullptr) {
    ::munmap(base_, bytes_);
  }
}

Result<std::unique_ptr<Segment>> Segment::create(const std::filesystem::path& directory, std::uint64_t index,
                                                 std::uint64_t bytes) {
  const auto path = directory / segment_name(index);
  auto descriptor = open_file(path, O_RDWR | O_CREAT | O_EXCL);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  MadeInVain made(path);
  const int error = allocate(descriptor->get(), bytes);
  if (error != 0) {
    return tl::unexpected(system_error(fmt::format("allocating {} bytes for {}", bytes, path.string()), error));
  }
  auto base = map(path, descriptor->get(), bytes, true);
  if (!base) {
    return tl::unexpected(base.error());
  }
  made.base = *base;
  made.bytes = bytes;
  if (auto synced = sync_directory(directory); !synced) {
    return tl::unexpected(synced.error());
  }
  std::unique_ptr<Segment> segment(new Segment(path, index, *base, bytes, std::move(*descriptor)));
  made.keep();
  return segment;
}

Result<std::unique_ptr<Segment>> Segment::open(const std::filesystem::path& path, std::uint64_t index, bool writable) {
  auto descriptor = open_file(path, writable ? O_RDWR : O_RDONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  struct stat status {};
  if (::fstat(descriptor->get(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || bytes < kHeaderBytes) {
    return damaged(path, "it is too short to be a segment");
  }
  std::unique_ptr<Segment> segment(new Segment(path, index, nullptr, bytes, FileDescriptor()));
  auto base = map(path, descriptor->get(), bytes, writable);
  if (!base) {
    return tl::unexpected(base.error());
  }
  segment->base_ = *base;
  segment->descriptor_ = std::move(*descriptor);
  // Acquire: with the magic comes the head that was written before it.
  auto& magic = const_cast<std::uint64_t&>(segment->header().magic);
  if (std::atomic_ref<std::uint64_t>(magic).load(std::memory_order_acquire) == 0) {
    return nullptr;
  }
  if (const auto wrong = judge_header(segment->header(), bytes, index)) {
    return damaged(path, *wrong);
  }
  segment->seed_ = segment_seed(segment->header().journal_id, index);
  return segment;
}

void Segment::begin(const SegmentHeader& header) noexcept {
  SegmentHeader whole = header;
  whole.crc32c = header_checksum(header);
  constexpr std::size_t kAfterMagic = sizeof whole.magic;
  std::memcpy(base_ + kAfterMagic, reinterpret_cast<const std::byte*>(&whole) + kAfterMagic,
              sizeof whole - kAfterMagic);
  seed_ = segment_seed(header.journal_id, index_);
  // Release: whoever sees the magic sees the header and the segment's head.
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(base_))
      .store(kSegmentMagic, std::memory_order_release);
}

std::uint64_t Segment::skip_hole(std::uint64_t offset) const noexcept {
  const off_t found = ::lseek(descriptor_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (found < 0) {
    return errno == ENXIO ? bytes_ : offset;  // a file system that knows of no holes: it may be here
  }
  return static_cast<std::uint64_t>(found);
}

void Segment::punch(std::uint64_t offset) const noexcept {
  const std::uint64_t from = (offset + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes;
  if (from < bytes_) {
    static_cast<void>(::fallocate(descriptor_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  static_cast<off_t>(from), static_cast<off_t>(bytes_ - from)));
  }
}

SegmentChain::~SegmentChain() {
  while (head_ != nullptr) {
    delete std::exchange(head_, head_->next.load(std::memory_order_acquire));
  }
}

void SegmentChain::set_head(std::unique_ptr<Segment> segment) noexcept {
  const std::scoped_lock lock(mutex_);
  head_ = segment.release();
}

Result<SegmentChain::Entry> SegmentChain::enter(Position after, Place& place) {
  constexpr int kLooksMax = 5;
  const std::scoped_lock lock(mutex_);
  auto start = find_start(directory_, after);
  for (int looks = 1; start; ++looks) {
    if (auto extended = extend_down_to(start->index); !extended) {
      return tl::unexpected(extended.error());
    }
    if (head_->index() <= start->index) {
      break;
    }
    // Retention took it in between: beginning behind it would be a silent skip.
    start = looks < kLooksMax
                ? find_start(directory_, after)
                : fail(ErrorCode::environment,
                       fmt::format("{}: segments are removed faster than a reader can begin", directory_.string()));
  }
  if (!start) {
    return tl::unexpected(start.error());
  }
  Segment* segment = head_;
  while (segment->index() < start->index) {
    Segment* const next = segment->next.load(std::memory_order_acquire);
    if (next == nullptr) {
      break;  // begun on disk, not linked yet: what lies behind `after` is found from the one before it too
    }
    segment = next;
  }
  place.store(segment->index(), std::memory_order_relaxed);
  places_.push_back(&place);
  return Entry{segment, std::move(*start)};
}

void SegmentChain::leave(Place& place) noexcept {
  const std::scoped_lock lock(mutex_);
  places_.remove(&place);
}

Result<void> SegmentChain::extend_down_to(std::uint64_t index) {
  const auto indices = list_segments(directory_);
  if (!indices) {
    return tl::unexpected(indices.error());
  }
  for (auto at = indices->rbegin(); at != indices->rend() && *at >= index; ++at) {
    if (*at >= head_->index()) {
      continue;
    }
    const auto path = directory_ / segment_name(*at);
    auto segment = Segment::open(path, *at, false);
    if (!segment && segment.error().code == ErrorCode::environment && std::filesystem::exists(path)) {
      return tl::unexpected(segment.error());  // no damage: no descriptors, no permission
    }
    // One that is refused is passed over: its readers see that the next one does not continue the one before it.
    if (segment && *segment != nullptr && (*segment)->header().journal_id == head_->header().journal_id) {
      (*segment)->next.store(head_, std::memory_order_release);
      head_ = segment->release();
    }
  }
  return {};
}

void SegmentChain::unmap_unused(std::uint64_t current) {
  const std::scoped_lock lock(mutex_);
  std::uint64_t oldest = current;
  for (const Place* place : places_) {
    // Acquire: what the reader read of a segment it has let go happened before we unmap it.
    oldest = std::min(oldest, place->load(std::memory_order_acquire));
  }
  while (head_ != nullptr && head_->index() < oldest) {
    delete std::exchange(head_, head_->next.load(std::memory_order_acquire));
  }
}

Result<std::optional<SegmentHeader>> read_header(const std::filesystem::path& path, std::uint64_t index) {
  auto descriptor = open_file(path, O_RDONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  struct stat status {};
  SegmentHeader header{};
  if (::fstat(descriptor->get(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return damaged(path, "it is no regular file");
  }
  // The magic first: it was stored last, so what is read after it is whole.
  ssize_t count = ::pread(descriptor->get(), &header.magic, sizeof header.magic, 0);
  if (count == 0 || (count == sizeof header.magic && header.magic == 0)) {
    return std::nullopt;
  }
  if (count > 0) {
    count = ::pread(descriptor->get(), &header, sizeof header, 0);
    ::fstat(descriptor->get(), &status);  // anew: it may have been allocated in between
  }
  if (count < 0) {
    return tl::unexpected(system_error(fmt::format("reading {}", path.string()), errno));
  }
  if (static_cast<std::size_t>(count) < sizeof header) {
    return damaged(path, "it is too short to be a segment");
  }
  if (const auto wrong = judge_header(header, static_cast<std::uint64_t>(status.st_size), index)) {
    return damaged(path, *wrong);
  }
  return header;
}

std::string refusal(const std::filesystem::path& path, const Error& error) {
  const std::string prefix = fmt::format("{}{}", path.string(), kRefused);
  return error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
}

Result<Start> find_start(const std::filesystem::path& directory, Position after) {
  auto indices = list_segments(directory);
  if (!indices) {
    return tl::unexpected(indices.error());
  }
  Start start;
  SegmentHeader oldest{};
  for (auto index = indices->rbegin(); index != indices->rend(); ++index) {
    const auto path = directory / segment_name(*index);
    auto header = read_header(path, *index);
    if (!header && !std::filesystem::exists(path)) {
      continue;  // retention took it since we listed it
    }
    if (!header && header.error().code == ErrorCode::environment) {
      return tl::unexpected(header.error());  // no damage: no descriptors, no permission
    }
    if (header && *header && start.index != 0 && (*header)->journal_id != oldest.journal_id) {
      header = damaged(path, "it is of another journal than those behind it");
    }
    if (header && !*header && start.index != 0) {
      header = damaged(path, "it has no header, though segments follow it");
    }
    if (!header) {
      start.refused = header.error();
      start.refused_index = *index;
    } else if (*header) {
      start = {*index, std::nullopt, 0};
      oldest = **header;
      if (after != kBeforeEverything && oldest.previous_position <= after) {
        return start;
      }
    }
  }
  if (start.index == 0) {
    return start.refused ? tl::unexpected(*start.refused)
                         : fail(ErrorCode::environment, fmt::format("there is no journal in {}", directory.string()));
  }
  if (after != kBeforeEverything && !start.refused) {
    const Position first = oldest.previous_position;
    return fail(
        ErrorCode::data,
        fmt::format("{} begins behind position {}.{}: what lies between {}.{} and there was removed by "
                    "retention; begin anew at its oldest record, or bring the segments back",
                    directory.string(), epoch_of(first), sequence_of(first), epoch_of(after), sequence_of(after)));
  }
  return start;
}

}  // namespace mdpipe::journal
