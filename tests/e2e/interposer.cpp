// Loaded into a running mdpipe (LD_PRELOAD) by tests: counts what its hot threads allocate, and makes the store's disk
// or the name server hang, one allocation of the feed fail, or the wall clock jump. All on demand: the file named by
// MDPIPE_INTERPOSER is memory shared with the test, laid out as Control.

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): glibc's own names
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
ssize_t __write(int descriptor, const void* bytes, std::size_t n);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace {

constexpr int kThreads = 3;
constexpr const char* kNames[kThreads] = {"feed", "aggregate", "store"};
constexpr int kOthers = -1;
constexpr int kUnknown = -2;
constexpr int kFrames = 12;

struct Control {
  std::atomic<std::uint32_t> counting;
  std::atomic<std::uint32_t> store_hangs;
  std::atomic<std::uint32_t> names_hang;       // the name server does not answer
  std::atomic<std::uint32_t> feed_fails_once;  // its next malloc()
  std::atomic<std::uint64_t> ours[kThreads];
  std::atomic<std::uint64_t> openssl[kThreads];
  std::uint64_t first_ours[kThreads][kFrames];  // return addresses within the program, of the first one of ours
  std::atomic<std::int64_t> wall_clock_jump_s;
};

Control* map_control() {
  const char* const path = std::getenv("MDPIPE_INTERPOSER");
  const int descriptor = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) {
    return nullptr;
  }
  void* const memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  return memory == MAP_FAILED ? nullptr : static_cast<Control*>(memory);
}

Control* control = nullptr;
thread_local int this_thread = kUnknown;
thread_local bool inside = false;  // what we do here may allocate too

__attribute__((constructor)) void begin() {
  void* frames[1];
  (void)::backtrace(frames, 1);  // loads what it needs now
  control = map_control();
}

int which_thread() {
  if (this_thread == kUnknown) {
    char name[16] = {};
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    this_thread = kOthers;
    for (int i = 0; i < kThreads; ++i) {
      this_thread = std::strcmp(name, kNames[i]) == 0 ? i : this_thread;
    }
    if (this_thread == kOthers && std::strcmp(name, "mdpipe") == 0) {
      this_thread = kUnknown;  // a thread that has not got its name yet
      return kOthers;
    }
  }
  return this_thread;
}

bool is_openssl(void* const* frames, int count) {
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    if (::dladdr(frames[i], &info) != 0 && info.dli_fname != nullptr &&
        (std::strstr(info.dli_fname, "libcrypto") != nullptr || std::strstr(info.dli_fname, "libssl") != nullptr)) {
      return true;
    }
  }
  return false;
}

void count_allocation() {
  if (control == nullptr || inside || control->counting.load(std::memory_order_relaxed) == 0) {
    return;
  }
  inside = true;
  if (const int thread = which_thread(); thread >= 0) {
    void* frames[kFrames];
    const int count = ::backtrace(frames, kFrames);
    if (is_openssl(frames, count)) {
      control->openssl[thread].fetch_add(1);
    } else if (control->ours[thread].fetch_add(1) == 0) {
      for (int i = 0; i < count; ++i) {
        Dl_info info;
        const auto address = reinterpret_cast<std::uint64_t>(frames[i]);
        control->first_ours[thread][i] =
            ::dladdr(frames[i], &info) != 0 ? address - reinterpret_cast<std::uint64_t>(info.dli_fbase) : address;
      }
    }
  }
  inside = false;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
  count_allocation();
  if (control != nullptr && control->feed_fails_once.load() != 0 && which_thread() == 0 &&
      control->feed_fails_once.exchange(0) != 0) {
    return nullptr;
  }
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  count_allocation();
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  count_allocation();
  return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count_allocation();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  count_allocation();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}

int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  while (control != nullptr && control->names_hang.load() != 0 && (hints->ai_flags & AI_NUMERICHOST) == 0) {
    ::usleep(1000);
  }
  return real(name, service, hints, found);
}

int clock_gettime(clockid_t clock, timespec* time) {
  using Function = int (*)(clockid_t, timespec*);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = real(clock, time);
  if (clock == CLOCK_REALTIME && control != nullptr && result == 0) {
    time->tv_sec += control->wall_clock_jump_s.load(std::memory_order_relaxed);
  }
  return result;
}

ssize_t write(int descriptor, const void* bytes, std::size_t n) {
  while (control != nullptr && control->store_hangs.load() != 0 && which_thread() == 2) {
    ::usleep(1000);
  }
  return __write(descriptor, bytes, n);
}

}  // extern "C"
