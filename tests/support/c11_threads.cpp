// For ThreadSanitizer builds only. librdkafka starts its threads by C11's thrd_create, which the sanitizer does not
// know: a thread of which it has not heard crashes in its first intercepted call. Here they are POSIX threads, which it
// knows. (glibc's thrd_t is its pthread_t.)

#include <pthread.h>
#include <threads.h>

#include <cstdint>
#include <memory>

namespace {

struct Start {
  thrd_start_t function;
  void* argument;
};

void* run(void* start) {
  const std::unique_ptr<Start> owned(static_cast<Start*>(start));
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(owned->function(owned->argument)));
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  if (::pthread_create(thread, nullptr, run, start.get()) != 0) {
    return thrd_error;
  }
  (void)start.release();
  return thrd_success;
}

int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  if (::pthread_join(thread, &value) != 0) {
    return thrd_error;
  }
  if (result != nullptr) {
    *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  }
  return thrd_success;
}

}  // extern "C"
