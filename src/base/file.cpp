#include "mdpipe/base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
    descriptor_ = other.release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Result<FileDescriptor> open_file(const std::filesystem::path& path, int flags) {
  FileDescriptor descriptor(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!descriptor) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  return descriptor;
}

Result<void> write_all(int descriptor, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return tl::unexpected(system_error(fmt::format("writing {}", path.string()), errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  return write_all(descriptor, as_bytes(bytes), path);
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  auto descriptor = open_file(path, O_RDONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  std::string content;
  char block[16384];
  for (;;) {
    const ssize_t count = ::read(descriptor->get(), block, sizeof block);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return tl::unexpected(system_error(fmt::format("reading {}", path.string()), errno));
    }
    if (count == 0) {
      return content;
    }
    content.append(block, static_cast<std::size_t>(count));
    if (content.size() > max_bytes) {
      return fail(ErrorCode::data, fmt::format("{} is larger than {} bytes: not a file that is expected here",
                                               path.string(), max_bytes));
    }
  }
}

Result<void> make_directories(const std::filesystem::path& path) {
  std::filesystem::path so_far;
  for (const auto& part : path) {
    so_far /= part;
    if (so_far.empty() || so_far == so_far.root_path()) {
      continue;
    }
    if (::mkdir(so_far.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return tl::unexpected(system_error(fmt::format("creating the folder {}", so_far.string()), errno));
    }
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return tl::unexpected(system_error(path.string(), ENOTDIR));
  }
  return {};
}

Result<std::vector<std::string>> list_directory(const std::filesystem::path& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (directory == nullptr) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) {
      return tl::unexpected(system_error(path.string(), errno));
    }
    if (entry == nullptr) {
      return names;
    }
    const std::string_view name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
}

Result<void> sync_directory(const std::filesystem::path& path) {
  // A folder may be reached through a link: only what lies in it must not be one.
  const FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::fsync(descriptor.get()) != 0) {
    return tl::unexpected(system_error(fmt::format("syncing the folder {}", path.string()), errno));
  }
  return {};
}

ReplacedFile::ReplacedFile(std::filesystem::path path)
    : path_(std::move(path)),
      temporary_(path_.string() + ".new"),
      directory_(path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".")) {}

Result<void> ReplacedFile::replace(std::span<const std::byte> bytes) const {
  {
    auto descriptor = open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
    if (!descriptor) {
      return tl::unexpected(descriptor.error());
    }
    if (auto written = write_all(descriptor->get(), bytes, temporary_); !written) {
      return written;
    }
    if (::fsync(descriptor->get()) != 0) {
      return tl::unexpected(system_error(fmt::format("syncing {}", temporary_.string()), errno));
    }
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return tl::unexpected(system_error(fmt::format("renaming {} to {}", temporary_.string(), path_.string()), errno));
  }
  return sync_directory(directory_);
}

Result<void> replace_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  return ReplacedFile(path).replace(bytes);
}

Result<LockFile> LockFile::acquire(const std::filesystem::path& path, std::string_view holder) {
  for (;;) {
    auto descriptor = open_file(path, O_RDWR | O_CREAT);
    if (!descriptor) {
      return tl::unexpected(descriptor.error());
    }
    // flock, not fcntl: an fcntl lock goes when any descriptor of the file is closed anywhere in the process.
    if (::flock(descriptor->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) {
        continue;
      }
      if (errno != EWOULDBLOCK) {
        return tl::unexpected(system_error(fmt::format("locking {}", path.string()), errno));
      }
      auto who = read_file(path, 4096).value_or("");
      while (!who.empty() && who.back() == '\n') {
        who.pop_back();
      }
      if (who.empty()) {
        who = "an unknown process";  // it has the lock, and has not written yet who it is
      }
      return fail(ErrorCode::environment, fmt::format("{} is in use by {}: stop it, or choose another place",
                                                      path.parent_path().string(), who));
    }
    struct stat locked {};
    struct stat named {};
    if (::fstat(descriptor->get(), &locked) != 0 || ::lstat(path.c_str(), &named) != 0 ||
        locked.st_ino != named.st_ino || locked.st_dev != named.st_dev) {
      continue;  // removed since we opened it: whoever comes next would lock another file
    }
    const std::string who = fmt::format("{} (pid {}, started {}, boot {})\n", holder, ::getpid(),
                                        iso_time_ms(floor_to_ms(wall_clock_ns())), boot_id());
    // The lock is ours, also where a full disk does not take our name: it keeps out others as well without it.
    if (::ftruncate(descriptor->get(), 0) == 0) {
      static_cast<void>(write_all(descriptor->get(), who, path));
    }
    return LockFile(std::move(*descriptor));
  }
}

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

}  // namespace mdpipe
