#include "system_calls.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace mdpipe::journal {
namespace {

std::shared_mutex sync_mutex;
std::function<int(const std::byte*, std::size_t)> sync_answer;  // guarded by sync_mutex

thread_local std::function<void(ListWatch::When)> on_list;

void tell(ListWatch::When when) {
  if (auto told = std::exchange(on_list, nullptr)) {
    told(when);
    on_list = std::move(told);
  }
}

std::atomic<long> file_system_magic{0};  // 0 = the true one

}  // namespace

SyncWatch::SyncWatch(std::function<int(const std::byte*, std::size_t)> answer) {
  const std::scoped_lock lock(sync_mutex);
  sync_answer = std::move(answer);
}

SyncWatch::~SyncWatch() {
  const std::scoped_lock lock(sync_mutex);
  sync_answer = nullptr;
}

ListWatch::ListWatch(std::function<void(When)> told) {
  on_list = std::move(told);
}

ListWatch::~ListWatch() {
  on_list = nullptr;
}

FileSystemMagic::FileSystemMagic(long magic) noexcept {
  file_system_magic.store(magic);
}

FileSystemMagic::~FileSystemMagic() {
  file_system_magic.store(0);
}

}  // namespace mdpipe::journal

// The program's own definitions come before the C library's.
extern "C" {

int msync(void* from, std::size_t bytes, int flags) {
  {
    const std::shared_lock lock(mdpipe::journal::sync_mutex);
    const auto& answer = mdpipe::journal::sync_answer;
    if (const int error = answer ? answer(static_cast<const std::byte*>(from), bytes) : 0; error != 0) {
      errno = error;
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_msync, from, bytes, flags));
}

DIR* opendir(const char* path) {
  static const auto next = reinterpret_cast<DIR* (*)(const char*)>(::dlsym(RTLD_NEXT, "opendir"));
  mdpipe::journal::tell(mdpipe::journal::ListWatch::When::before);
  return next(path);
}

int closedir(DIR* directory) {
  static const auto next = reinterpret_cast<int (*)(DIR*)>(::dlsym(RTLD_NEXT, "closedir"));
  const int outcome = next(directory);
  mdpipe::journal::tell(mdpipe::journal::ListWatch::When::after);
  return outcome;
}

int statfs(const char* path, struct statfs* status) noexcept {
  const auto outcome = static_cast<int>(::syscall(SYS_statfs, path, status));
  if (const long magic = mdpipe::journal::file_system_magic.load(); magic != 0) {
    status->f_type = magic;
  }
  return outcome;
}
}
