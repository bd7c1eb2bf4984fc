#include "power_loss_disk.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

namespace mdpipe::testing {
namespace {

std::atomic<PowerLossDisk*> the_disk{nullptr};

bool is_segment(const std::string& name) {
  return name.ends_with(".segment");
}

/// Nothing where the file is gone.
std::string content_of(const std::filesystem::path& path, bool* there = nullptr) {
  std::ifstream file(path, std::ios::binary);
  if (there != nullptr) {
    *there = file.is_open();
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// State files come and go while they are listed: then anew.
std::map<std::string, std::string> files_of(const std::filesystem::path& directory) {
  for (;;) {
    std::map<std::string, std::string> files;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
      std::error_code gone;
      if (!at->is_regular_file(gone) || at->path().filename() == "lock") {
        continue;
      }
      bool there = false;
      std::string content = content_of(at->path(), &there);
      if (there) {
        files.emplace(at->path().lexically_relative(directory).string(), std::move(content));
      }
    }
    if (!error) {
      return files;
    }
  }
}

std::string bytes_of(const SyncedFile& file, std::size_t size) {
  std::string bytes(size, '\0');
  for (const auto& [page, content] : file.pages) {
    if (page * kPageBytes < size) {
      bytes.replace(page * kPageBytes, content.size(), content);
    }
  }
  return bytes;
}

/// The file that is mapped at an address, and where in it.
std::pair<std::string, std::uint64_t> mapped_at(const std::byte* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    std::uint64_t offset = 0;
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64 " %*s %*s %n", &from, &to, &offset,
                    &path_at) == 3 &&
        from <= wanted && wanted < to) {
      return {line.substr(static_cast<std::size_t>(path_at)), offset + (wanted - from)};
    }
  }
  return {};
}

}  // namespace

PowerLossDisk::PowerLossDisk(std::filesystem::path directory) : directory_(std::move(directory)) {
  for (auto& [name, content] : files_of(directory_)) {
    if (is_segment(name)) {
      take_pages(name, 0, content);
      last_seen_[name] = content;
    } else {
      small_[name] = content;
    }
  }
  the_disk.store(this);
}

PowerLossDisk::~PowerLossDisk() {
  the_disk.store(nullptr);
}

std::string PowerLossDisk::name_of(const std::string& path) const {
  const std::string prefix = directory_.string() + "/";
  return path.starts_with(prefix) ? path.substr(prefix.size()) : std::string();
}

/// A file that was removed and made again by the same name has nothing of the one before.
void PowerLossDisk::know(const std::string& name) {
  struct stat status {};
  if (::stat((directory_ / name).c_str(), &status) == 0 &&
      std::exchange(inodes_[name], status.st_ino) != status.st_ino) {
    synced_.erase(name);
    last_seen_.erase(name);
  }
}

void PowerLossDisk::take_pages(const std::string& name, std::uint64_t from, const std::string& content) {
  know(name);
  SyncedFile& file = synced_[name];
  file.size_synced = true;
  for (std::size_t at = 0; at < content.size(); at += kPageBytes) {
    file.pages[(from + at) / kPageBytes] = content.substr(at, kPageBytes);
  }
}

void PowerLossDisk::memory_synced(const std::byte* from, std::size_t bytes) {
  const auto [path, offset] = mapped_at(from);
  const std::string name = name_of(path);
  if (name.empty()) {
    return;
  }
  const std::scoped_lock lock(mutex_);
  take_pages(name, offset, std::string(reinterpret_cast<const char*>(from), bytes));
}

void PowerLossDisk::descriptor_synced(int descriptor) {
  std::error_code ignored;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored);
  if (path == directory_ || path == directory_ / "cursors") {
    const std::scoped_lock lock(mutex_);
    const auto files = files_of(directory_);
    std::erase_if(synced_, [&](const auto& one) {
      std::error_code none;
      return path == directory_ && !std::filesystem::exists(directory_ / one.first, none);
    });
    for (const auto& [name, content] : files) {
      if (!is_segment(name) && (directory_ / name).parent_path() == path) {
        small_[name] = content;
      }
    }
  } else if (const std::string name = name_of(path.string()); is_segment(name)) {
    const std::scoped_lock lock(mutex_);
    take_pages(name, 0, content_of(path));
  }
}

Moment PowerLossDisk::look() {
  Moment moment;
  moment.files = files_of(directory_);
  for (const auto& [name, content] : moment.files) {
    know(name);
    segment_bytes_ = is_segment(name) ? std::max(segment_bytes_, content.size()) : segment_bytes_;
  }
  moment.synced = synced_;
  moment.small_before = small_;
  moment.earlier = last_seen_;
  for (const auto& [name, file] : synced_) {
    if (moment.files.count(name) == 0) {
      moment.removed.emplace(name, bytes_of(file, segment_bytes_));
    }
  }
  for (const auto& [name, content] : moment.files) {
    if (is_segment(name)) {
      last_seen_[name] = content;
    }
  }
  return moment;
}

namespace {

class ImageMaker {
 public:
  ImageMaker(const Moment& moment, std::mt19937_64& random, std::filesystem::path to)
      : moment_(moment), random_(random), to_(std::move(to)) {}

  void make() {
    std::filesystem::create_directories(to_ / "cursors");
    // How much of what was not synced got lost: a little, half, all.
    lost_percent_ = std::array<std::uint64_t, 4>{5, 30, 60, 100}[random_() % 4];
    for (const auto& [name, content] : moment_.files) {
      is_segment(name) ? put_segment(name, content) : put_small(name, content);
    }
    // An unlinked file that is there again was on the disk whole.
    if (random_() % 4 == 0 && !moment_.removed.empty()) {
      const auto& [name, content] = *moment_.removed.rbegin();
      write(name, content);
    }
  }

 private:
  void put_segment(const std::string& name, const std::string& content) {
    const auto synced = moment_.synced.find(name);
    const bool known = synced != moment_.synced.end() && synced->second.size_synced;
    if (!known && random_() % 8 == 0) {
      write(name, "");
      return;
    }
    const auto earlier = moment_.earlier.find(name);
    std::string image = content;
    for (std::size_t at = 0; at < content.size(); at += kPageBytes) {
      const std::string now = content.substr(at, kPageBytes);
      const std::string* on_disk = nullptr;
      if (known) {
        const auto page = synced->second.pages.find(at / kPageBytes);
        on_disk = page != synced->second.pages.end() ? &page->second : nullptr;
      }
      if ((on_disk != nullptr && *on_disk == now) || random_() % 100 >= lost_percent_) {
        continue;
      }
      std::string lost = on_disk != nullptr ? *on_disk : std::string(now.size(), '\0');
      if (random_() % 3 == 0 && earlier != moment_.earlier.end() && earlier->second.size() == content.size()) {
        lost = newer_of(lost, earlier->second.substr(at, kPageBytes));
      }
      image.replace(at, now.size(), lost);
    }
    write(name, image);
  }

  /// A page only fills up: what was written back later has its zeros further behind.
  static std::string newer_of(const std::string& one, const std::string& other) {
    const auto end = [](const std::string& page) { return page.find_last_not_of('\0') + 1; };
    return end(other) > end(one) ? other : one;
  }

  void put_small(const std::string& name, const std::string& content) {
    const auto before = moment_.small_before.find(name);
    if (name.ends_with(".new")) {
      write(name, content.substr(0, random_() % (content.size() + 1)));
    } else if (random_() % 3 != 0 || (before != moment_.small_before.end() && before->second == content)) {
      write(name, content);
    } else if (before != moment_.small_before.end()) {
      write(name, before->second);
    }
  }

  void write(const std::string& name, const std::string& content) {
    std::ofstream file(to_ / name, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
  }

  const Moment& moment_;
  std::mt19937_64& random_;
  const std::filesystem::path to_;
  std::uint64_t lost_percent_ = 0;
};

}  // namespace

void make_image(const Moment& moment, std::mt19937_64& random, const std::filesystem::path& to) {
  ImageMaker(moment, random, to).make();
}

std::map<std::string, std::string> synced_alone(const Moment& moment) {
  std::map<std::string, std::string> files;
  for (const auto& [name, content] : moment.files) {
    const auto synced = moment.synced.find(name);
    if (!is_segment(name) || synced == moment.synced.end()) {
      continue;
    }
    files.emplace(name, bytes_of(synced->second, content.size()));
  }
  return files;
}

}  // namespace mdpipe::testing

// The program's own definitions come before the C library's.
extern "C" {

int msync(void* from, std::size_t bytes, int flags) {
  if (auto* const disk = mdpipe::testing::the_disk.load()) {
    disk->memory_synced(static_cast<const std::byte*>(from), bytes);
  }
  return static_cast<int>(::syscall(SYS_msync, from, bytes, flags));
}

int fsync(int descriptor) {
  if (auto* const disk = mdpipe::testing::the_disk.load()) {
    disk->descriptor_synced(descriptor);
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

int fdatasync(int descriptor) {
  if (auto* const disk = mdpipe::testing::the_disk.load()) {
    disk->descriptor_synced(descriptor);
  }
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}
}
