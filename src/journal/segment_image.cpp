#include "segment_image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace mdpipe::journal {
namespace {

constexpr std::uint64_t kBlockBytes = 1U << 20U;
constexpr std::uint64_t kStatBlockBytes = 512;  // what st_blocks counts, on every file system

}  // namespace

SegmentImage::SegmentImage(std::filesystem::path path, FileDescriptor descriptor, std::byte* base, std::uint64_t bytes,
                           std::uint64_t disk_bytes) noexcept
    : path_(std::move(path)), descriptor_(std::move(descriptor)), base_(base), bytes_(bytes), disk_bytes_(disk_bytes) {}

SegmentImage::~SegmentImage() {
  if (base_ != nullptr) {
    ::munmap(base_, bytes_);
  }
}

Result<std::unique_ptr<SegmentImage>> SegmentImage::open(const std::filesystem::path& path) {
  struct stat status {};
  // Not opened before it is known to be a file: opening a pipe would wait for its other end.
  if (::lstat(path.c_str(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::data, "it is no regular file");
  }
  auto descriptor = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  if (::fstat(descriptor->get(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  std::byte* base = nullptr;
  if (bytes != 0) {
    // Room for all of it, of which only what is read takes memory.
    void* const room =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
      return tl::unexpected(system_error(fmt::format("{} bytes of memory for {}", bytes, path.string()), errno));
    }
    base = static_cast<std::byte*>(room);
  }
  return std::unique_ptr<SegmentImage>(new SegmentImage(
      path, std::move(*descriptor), base, bytes, static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes));
}

bool SegmentImage::load(std::uint64_t end) {
  if (end <= loaded_) {
    return true;
  }
  if (end > bytes_) {
    trouble_ = fmt::format("the file ends at byte {}", bytes_);
    return false;
  }
  const std::uint64_t until = std::min(bytes_, std::max(end, loaded_ + kBlockBytes));
  while (loaded_ < until) {
    const ssize_t count = ::pread(descriptor_.get(), base_ + loaded_, until - loaded_, static_cast<off_t>(loaded_));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      trouble_ = count == 0 ? fmt::format("the file was cut to {} bytes", loaded_)
                            : system_error("it cannot be read", errno).message;
      return end <= loaded_;
    }
    loaded_ += static_cast<std::uint64_t>(count);
  }
  return true;
}

std::uint64_t SegmentImage::skip_hole(std::uint64_t offset) noexcept {
  const off_t found = ::lseek(descriptor_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (found < 0) {
    return errno == ENXIO ? bytes_ : offset;  // a file system that knows of no holes: it may be here
  }
  const auto data = static_cast<std::uint64_t>(found);
  loaded_ = std::max(loaded_, data);
  return data;
}

JudgedImage judge_image(SegmentImage& image, std::uint64_t index) {
  constexpr std::uint64_t kMagicBytes = sizeof(SegmentHeader::magic);
  if (image.bytes() == 0) {
    return {SegmentState::prepared, {}};  // being allocated
  }
  if (image.bytes() < sizeof(SegmentHeader)) {
    return {SegmentState::refused, "it is too short to be a segment"};
  }
  if (!image.load(kMagicBytes)) {
    return {SegmentState::refused, image.trouble()};
  }
  if (image.header().magic == 0) {
    // It may be begun at this moment: the rest is read anew when it is.
    image.forget(0);
    return {SegmentState::prepared, {}};
  }
  // Again behind the magic, which was stored last: the first read may have caught the rest half done.
  image.forget(kMagicBytes);
  if (!image.load(sizeof(SegmentHeader))) {
    return {SegmentState::refused, image.trouble()};
  }
  if (auto wrong = judge_header(image.header(), image.bytes(), index)) {
    return {SegmentState::refused, std::move(*wrong)};
  }
  return {SegmentState::open, {}};
}

}  // namespace mdpipe::journal
