#include "replay/session/seek_index.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>

#include "mdpipe/base/file.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::uint32_t kTimesMagic = 0x184D'2A5D;
constexpr std::uint32_t kTableMagic = 0x184D'2A5E;
constexpr std::uint32_t kSeekableMagic = 0x8F92'EAB1;
constexpr std::string_view kTimesMark = "mdrs";
constexpr std::uint32_t kTimesVersion = 1;
constexpr std::size_t kSkippableBytes = 8;
constexpr std::size_t kTimesHeadBytes = 8;
constexpr std::size_t kTimesEntryBytes = 16;
constexpr std::size_t kTableEntryBytes = 8;
constexpr std::size_t kTableFootBytes = 9;
constexpr std::uint64_t kFramesMax = 10'000'000;

template <class Number>
void append(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/// Reads numbers one after the other.
class Numbers {
 public:
  explicit Numbers(std::string_view bytes) : bytes_(bytes) {}
  template <class Number>
  Number next() {
    Number number{};
    if (at_ + sizeof number <= bytes_.size()) {
      std::memcpy(&number, bytes_.data() + at_, sizeof number);
    }
    at_ += sizeof number;
    return number;
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

std::optional<std::string> read_at(int descriptor, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t read = 0; read < size;) {
    const ssize_t count = ::pread(descriptor, bytes.data() + read, size - read, static_cast<off_t>(offset + read));
    if (count <= 0) {
      return std::nullopt;
    }
    read += static_cast<std::size_t>(count);
  }
  return bytes;
}

/// A skippable frame with this magic number, whole: its content.
std::optional<std::string> read_skippable(int descriptor, std::uint64_t offset, std::size_t size, std::uint32_t magic) {
  auto bytes = read_at(descriptor, offset, size);
  if (!bytes) {
    return std::nullopt;
  }
  Numbers numbers(*bytes);
  if (numbers.next<std::uint32_t>() != magic || numbers.next<std::uint32_t>() != size - kSkippableBytes) {
    return std::nullopt;
  }
  return bytes->substr(kSkippableBytes);
}

std::optional<std::vector<SeekBlock>> read_seek_index(int descriptor, std::uint64_t file_bytes) {
  if (file_bytes < kTableFootBytes) {
    return std::nullopt;
  }
  const auto foot = read_at(descriptor, file_bytes - kTableFootBytes, kTableFootBytes);
  if (!foot) {
    return std::nullopt;
  }
  Numbers of_foot(*foot);
  const std::uint64_t frames = of_foot.next<std::uint32_t>();
  const auto flags = of_foot.next<std::uint8_t>();
  const std::uint64_t table_bytes = kSkippableBytes + frames * kTableEntryBytes + kTableFootBytes;
  if (of_foot.next<std::uint32_t>() != kSeekableMagic || flags != 0 || frames < 2 || frames > kFramesMax ||
      table_bytes > file_bytes) {
    return std::nullopt;
  }
  const auto table = read_skippable(descriptor, file_bytes - table_bytes, table_bytes, kTableMagic);
  const std::uint64_t times_bytes = kSkippableBytes + kTimesHeadBytes + (frames - 1) * kTimesEntryBytes;
  if (!table || times_bytes + table_bytes > file_bytes) {
    return std::nullopt;
  }
  const auto times = read_skippable(descriptor, file_bytes - table_bytes - times_bytes, times_bytes, kTimesMagic);
  if (!times || !times->starts_with(kTimesMark)) {
    return std::nullopt;
  }
  Numbers of_table(*table);
  Numbers of_times(std::string_view(*times).substr(kTimesMark.size()));
  if (of_times.next<std::uint32_t>() != kTimesVersion) {
    return std::nullopt;
  }
  std::vector<SeekBlock> blocks(frames - 1);
  std::uint64_t packed = 0;
  for (SeekBlock& block : blocks) {
    block.packed_bytes = of_table.next<std::uint32_t>();
    block.bytes = of_table.next<std::uint32_t>();
    block.schedule_ns = of_times.next<std::int64_t>();
    block.lines = of_times.next<std::uint64_t>();
    packed += block.packed_bytes;
  }
  // A file to which another was appended, or that was cut and joined, has a table that does not fit it.
  return packed + times_bytes + table_bytes == file_bytes ? std::optional(std::move(blocks)) : std::nullopt;
}

}  // namespace

std::string encode_seek_index(const std::vector<SeekBlock>& blocks) {
  std::string out;
  const std::size_t times_bytes = kTimesHeadBytes + blocks.size() * kTimesEntryBytes;
  append(kTimesMagic, out);
  append(static_cast<std::uint32_t>(times_bytes), out);
  out.append(kTimesMark);
  append(kTimesVersion, out);
  for (const SeekBlock& block : blocks) {
    append(block.schedule_ns, out);
    append(block.lines, out);
  }
  append(kTableMagic, out);
  append(static_cast<std::uint32_t>((blocks.size() + 1) * kTableEntryBytes + kTableFootBytes), out);
  for (const SeekBlock& block : blocks) {
    append(block.packed_bytes, out);
    append(block.bytes, out);
  }
  append(static_cast<std::uint32_t>(kSkippableBytes + times_bytes), out);
  append(std::uint32_t{0}, out);
  append(static_cast<std::uint32_t>(blocks.size() + 1), out);
  append(std::uint8_t{0}, out);
  append(kSeekableMagic, out);
  return out;
}

std::optional<SeekStart> find_seek_start(const std::filesystem::path& path, std::int64_t from_ns) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error || !std::filesystem::is_regular_file(target, error)) {
    return std::nullopt;
  }
  const std::uint64_t file_bytes = std::filesystem::file_size(target, error);
  const auto descriptor = open_file(target, O_RDONLY);
  if (error || !descriptor) {
    return std::nullopt;
  }
  const auto blocks = read_seek_index(descriptor->get(), file_bytes);
  if (!blocks) {
    return std::nullopt;
  }
  std::optional<SeekStart> start;
  std::uint64_t offset = 0;
  for (const SeekBlock& block : *blocks) {
    if (offset != 0 && block.schedule_ns < from_ns) {
      start = SeekStart{offset, block.schedule_ns, block.lines};
    }
    offset += block.packed_bytes;
  }
  return start;
}

}  // namespace mdpipe::replay
