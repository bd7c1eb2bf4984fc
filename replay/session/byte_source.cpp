#include "replay/session/byte_source.hpp"

#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "mdpipe/base/file.hpp"
#include "replay/session/seek_index.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kPackedBufferBytes = 256U << 10U;
constexpr int kLinksMax = 40;
constexpr std::uint32_t kSeekBlockBytes = 4U << 20U;

/// A file with its first bytes looked at and given back.
class RawFile {
 public:
  RawFile(FileDescriptor descriptor, std::filesystem::path path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<std::string_view> peek() {
    while (peeked_ < first_.size()) {
      auto count = from_kernel(first_.data() + peeked_, first_.size() - peeked_);
      if (!count) {
        return tl::unexpected(count.error());
      }
      if (*count == 0) {
        break;
      }
      peeked_ += *count;
    }
    return std::string_view(first_.data(), peeked_);
  }

  Result<std::size_t> read(char* out, std::size_t capacity) {
    if (given_ < peeked_) {
      const std::size_t count = std::min(capacity, peeked_ - given_);
      std::copy_n(first_.data() + given_, count, out);
      given_ += count;
      return count;
    }
    return from_kernel(out, capacity);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  [[nodiscard]] tl::unexpected<Error> damaged(std::string_view what) const {
    return fail(ErrorCode::data, fmt::format("{}: {}", path_.string(), what));
  }

 private:
  Result<std::size_t> from_kernel(char* out, std::size_t capacity) {
    while (true) {
      const ssize_t count = ::read(descriptor_.get(), out, capacity);
      if (count >= 0) {
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR) {
        return tl::unexpected(system_error(path_.string(), errno));
      }
    }
  }

  FileDescriptor descriptor_;
  std::filesystem::path path_;
  std::array<char, 4> first_{};
  std::size_t peeked_ = 0;
  std::size_t given_ = 0;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(RawFile file) : file_(std::move(file)) {}
  Result<std::size_t> read(char* out, std::size_t capacity) override { return file_.read(out, capacity); }

 private:
  RawFile file_;
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(RawFile file)
      : file_(std::move(file)), packed_(kPackedBufferBytes), state_(std::make_unique<inflate_state>()) {
    ::isal_inflate_init(state_.get());
    begin_member();
  }

  Result<std::size_t> read(char* out, std::size_t capacity) override {
    state_->next_out = reinterpret_cast<std::uint8_t*>(out);
    const auto asked = static_cast<std::uint32_t>(std::min<std::size_t>(capacity, 1U << 30U));
    state_->avail_out = asked;
    while (state_->avail_out == asked) {
      if (state_->avail_in == 0 && !flushing_) {
        auto count = file_.read(packed_.data(), packed_.size());
        if (!count) {
          return count;
        }
        if (*count == 0) {
          return member_open_ ? file_.damaged("the gzip data ends in the middle: the file is cut off") : count;
        }
        state_->next_in = reinterpret_cast<std::uint8_t*>(packed_.data());
        state_->avail_in = static_cast<std::uint32_t>(*count);
      }
      if (auto stepped = step(); !stepped) {
        return tl::unexpected(stepped.error());
      }
    }
    return asked - state_->avail_out;
  }

 private:
  void begin_member() {
    ::isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  Result<void> step() {
    member_open_ = true;
    const int status = ::isal_inflate(state_.get());
    if (status != ISAL_DECOMP_OK) {
      return file_.damaged(fmt::format("damaged gzip data ({})", what_is_wrong(status)));
    }
    flushing_ = state_->avail_out == 0;  // more may wait inside than fitted
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      member_open_ = flushing_ = false;
      begin_member();
    }
    return {};
  }

  static std::string_view what_is_wrong(int status) noexcept {
    switch (status) {
      case ISAL_INVALID_WRAPPER:
        return "no header of gzip, or one that is damaged";
      case ISAL_UNSUPPORTED_METHOD:
        return "a method that gzip does not have";
      case ISAL_INCORRECT_CHECKSUM:
        return "the sum over it is another";
      default:
        return "no deflated block";
    }
  }

  RawFile file_;
  std::vector<char> packed_;
  std::unique_ptr<inflate_state> state_;  // some 100 KB
  bool member_open_ = false;
  bool flushing_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(RawFile file)
      : file_(std::move(file)), packed_(kPackedBufferBytes), stream_(::ZSTD_createDStream(), &::ZSTD_freeDStream) {}

  Result<std::size_t> read(char* out, std::size_t capacity) override {
    if (stream_ == nullptr) {
      return fail(ErrorCode::environment, "zstd could not start: out of memory");
    }
    ZSTD_outBuffer unpacked{out, capacity, 0};
    while (unpacked.pos == 0) {
      if (input_.pos == input_.size && !flushing_) {
        auto count = file_.read(packed_.data(), packed_.size());
        if (!count) {
          return count;
        }
        if (*count == 0) {
          return frame_open_ ? file_.damaged("the zstd data ends in the middle: the file is cut off") : count;
        }
        input_ = {packed_.data(), *count, 0};
      }
      const std::size_t status = ::ZSTD_decompressStream(stream_.get(), &unpacked, &input_);
      if (::ZSTD_isError(status) != 0) {
        return file_.damaged(fmt::format("damaged zstd data ({})", ::ZSTD_getErrorName(status)));
      }
      frame_open_ = status != 0;
      flushing_ = frame_open_ && unpacked.pos == unpacked.size;  // more may wait inside than fitted
    }
    return unpacked.pos;
  }

 private:
  RawFile file_;
  std::vector<char> packed_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool frame_open_ = false;
  bool flushing_ = false;
};

/// Holds a file under a temporary name until it is whole. What is no file (a device, a pipe) is written as it stands.
class OutputFile {
 public:
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& named) {
    if (named == "-") {
      return OutputFile({}, {}, "standard output");
    }
    // A link is followed, the user named it: a new name would take its place.
    std::error_code error;
    std::filesystem::path path = named;
    for (int links = 0; links < kLinksMax && std::filesystem::is_symlink(path, error); ++links) {
      path = path.parent_path() / std::filesystem::read_symlink(path, error);
    }
    const std::filesystem::file_type type = std::filesystem::status(path, error).type();
    if (type == std::filesystem::file_type::directory) {
      return tl::unexpected(system_error(named.string(), EISDIR));
    }
    const bool is_file = type == std::filesystem::file_type::regular || type == std::filesystem::file_type::not_found;
    std::filesystem::path temporary = is_file ? path.string() + ".part" : std::string();
    auto descriptor =
        is_file ? open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC) : open_file(path, O_WRONLY | O_NOCTTY);
    if (!descriptor) {
      return tl::unexpected(descriptor.error());
    }
    return OutputFile(std::move(*descriptor), std::move(temporary), std::move(path));
  }
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (descriptor_ && !temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
  }

  Result<void> write(std::string_view bytes) {
    return write_all(descriptor_ ? descriptor_.get() : STDOUT_FILENO, bytes, path_);
  }

  Result<void> finish() {
    if (!temporary_.empty()) {
      if (::fsync(descriptor_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        return tl::unexpected(system_error(path_.string(), errno));
      }
    }
    descriptor_ = FileDescriptor();
    return {};
  }

 private:
  OutputFile(FileDescriptor descriptor, std::filesystem::path temporary, std::filesystem::path path)
      : descriptor_(std::move(descriptor)), temporary_(std::move(temporary)), path_(std::move(path)) {}

  FileDescriptor descriptor_;  // none: stdout
  std::filesystem::path temporary_;
  std::filesystem::path path_;
};

class PlainSink final : public ByteSink {
 public:
  explicit PlainSink(OutputFile file) : file_(std::move(file)) {}
  Result<void> write(std::string_view bytes) override { return file_.write(bytes); }
  Result<void> finish() override { return file_.finish(); }

 private:
  OutputFile file_;
};

class GzipSink final : public ByteSink {
 public:
  explicit GzipSink(OutputFile file) : file_(std::move(file)), packed_(kPackedBufferBytes) {
    // zlib's header holds no time and no name unless asked: the same input gives the same file.
    ready_ = ::deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipSink() override { ::deflateEnd(&stream_); }
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;

  Result<void> write(std::string_view bytes) override { return pack(bytes, Z_NO_FLUSH); }
  Result<void> finish() override {
    auto packed = pack({}, Z_FINISH);
    return packed ? file_.finish() : packed;
  }

 private:
  Result<void> pack(std::string_view bytes, int flush) {
    if (!ready_) {
      return fail(ErrorCode::environment, "zlib could not start: out of memory");
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(packed_.data());
      stream_.avail_out = static_cast<uInt>(packed_.size());
      ::deflate(&stream_, flush);
      if (auto written = file_.write({packed_.data(), packed_.size() - stream_.avail_out}); !written) {
        return written;
      }
    } while (stream_.avail_out == 0);
    return {};
  }

  OutputFile file_;
  std::vector<char> packed_;
  z_stream stream_{};
  bool ready_ = false;
};

/// In zstd's seekable format, where it is marked and large; see seek_index.hpp.
class ZstdSink final : public ByteSink {
 public:
  explicit ZstdSink(OutputFile file)
      : file_(std::move(file)), packed_(::ZSTD_CStreamOutSize()), stream_(::ZSTD_createCStream(), &::ZSTD_freeCStream) {
    if (stream_ != nullptr) {  // without a sum a damaged letter is another letter
      ::ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1);
    }
  }

  Result<void> write(std::string_view bytes) override {
    block_.bytes += static_cast<std::uint32_t>(bytes.size());
    lines_ += static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
    return pack(bytes, ZSTD_e_continue);
  }

  Result<void> mark(std::int64_t schedule_ns) override {
    return block_.bytes < kSeekBlockBytes ? Result<void>() : end_block(schedule_ns);
  }

  Result<void> finish() override {
    if (block_.bytes != 0 || blocks_.empty()) {
      if (auto ended = end_block(kNoTime); !ended) {
        return ended;
      }
    }
    if (blocks_.size() > 1) {
      if (auto written = file_.write(encode_seek_index(blocks_)); !written) {
        return written;
      }
    }
    return file_.finish();
  }

 private:
  Result<void> end_block(std::int64_t schedule_ns) {
    auto packed = pack({}, ZSTD_e_end);
    blocks_.push_back(block_);
    block_ = {0, 0, schedule_ns, lines_};
    return packed;
  }

  Result<void> pack(std::string_view bytes, ZSTD_EndDirective directive) {
    if (stream_ == nullptr) {
      return fail(ErrorCode::environment, "zstd could not start: out of memory");
    }
    ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
    while (true) {
      ZSTD_outBuffer output{packed_.data(), packed_.size(), 0};
      const std::size_t left = ::ZSTD_compressStream2(stream_.get(), &output, &input, directive);
      if (::ZSTD_isError(left) != 0) {
        return fail(ErrorCode::environment, fmt::format("zstd: {}", ::ZSTD_getErrorName(left)));
      }
      block_.packed_bytes += static_cast<std::uint32_t>(output.pos);
      if (auto written = file_.write({packed_.data(), output.pos}); !written) {
        return written;
      }
      if (directive == ZSTD_e_end ? left == 0 : input.pos == input.size) {
        return {};
      }
    }
  }

  OutputFile file_;
  std::vector<char> packed_;
  std::unique_ptr<ZSTD_CStream, std::size_t (*)(ZSTD_CStream*)> stream_;
  SeekBlock block_{0, 0, kNoTime, 0};  // the one that is open
  std::vector<SeekBlock> blocks_;
  std::uint64_t lines_ = 0;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::open(const std::filesystem::path& path, std::uint64_t offset) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error) {
    return tl::unexpected(system_error(path.string(), error.value()));
  }
  auto descriptor = open_file(target, O_RDONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  if (offset != 0 && ::lseek(descriptor->get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  RawFile file(std::move(*descriptor), path);
  auto first = file.peek();
  if (!first) {
    return tl::unexpected(first.error());
  }
  if (first->starts_with("\x1f\x8b")) {
    return std::make_unique<GzipSource>(std::move(file));
  }
  // A frame's magic number, or that of a skippable frame (0x184D2A50 to 0x184D2A5F), little-endian.
  if (*first == "\x28\xb5\x2f\xfd" || (first->size() == 4 && first->substr(1) == "\x2a\x4d\x18" &&
                                       (static_cast<unsigned char>(first->front()) & 0xF0U) == 0x50U)) {
    return std::make_unique<ZstdSource>(std::move(file));
  }
  return std::make_unique<PlainSource>(std::move(file));
}

Result<std::unique_ptr<ByteSink>> ByteSink::create(const std::filesystem::path& path) {
  auto file = OutputFile::create(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  if (path.extension() == ".gz") {
    return std::make_unique<GzipSink>(std::move(*file));
  }
  if (path.extension() == ".zst") {
    return std::make_unique<ZstdSink>(std::move(*file));
  }
  return std::make_unique<PlainSink>(std::move(*file));
}

}  // namespace mdpipe::replay
