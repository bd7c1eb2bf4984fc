// Row 40: no memory, at the n-th allocation and for a while. The journal stays whole, what can go on goes on, and it is
// said.

#include <gmock/gmock.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "format.hpp"
#include "journal/verify_fixture.hpp"

namespace {

std::atomic<const char*> starved_thread{nullptr};  // by name
std::atomic<long> allocations_left{0};             // then none succeeds, until …
std::atomic<long> refusals_left{0};                // … so many were refused

bool is_refused() {
  const char* const name = starved_thread.load();
  if (name == nullptr) {
    return false;
  }
  char own[16] = {};
  ::pthread_getname_np(::pthread_self(), own, sizeof own);
  return std::strcmp(own, name) == 0 && allocations_left.fetch_sub(1) <= 0 && refusals_left.fetch_sub(1) > 0;
}

/// Not inlined, like the one below: gcc would take new and free() for a pair that does not fit.
__attribute__((noinline)) void* allocate(std::size_t bytes, std::size_t alignment) {
  if (is_refused()) {
    throw std::bad_alloc();
  }
  void* const memory = alignment == 0 ? std::malloc(bytes)
                                      : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

__attribute__((noinline)) void release(void* memory) noexcept {
  std::free(memory);
}

/// While it lives, a thread gets so many allocations, then so many are refused.
class Starved {
 public:
  Starved(const char* thread, long allocations, long refusals) {
    allocations_left = allocations;
    refusals_left = refusals;
    starved_thread = thread;
  }
  ~Starved() { starved_thread = nullptr; }
  Starved(const Starved&) = delete;
  Starved& operator=(const Starved&) = delete;
};

}  // namespace

// In the standard library's place: all of them, since a sanitizer has its own of those that are left.
void* operator new(std::size_t bytes) {
  return allocate(bytes, 0);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes, 0);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return is_refused() ? nullptr : std::malloc(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return is_refused() ? nullptr : std::malloc(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete[](void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}

namespace mdpipe::journal {
namespace {

constexpr const char* kHelper = "journal-helper";

std::size_t count_of(const std::filesystem::path& journal) {
  auto reader = std::move(*Reader::open(journal));
  const std::size_t count = read_all(*reader).size();
  EXPECT_FALSE(reader->failure());
  EXPECT_EQ(reader->skipped().places, 0U);
  return count;
}

/// Its round ends, it says so and tries again: the next segment comes, all is synced, cursors are saved, retention
/// works.
TEST(JournalMemory, TheHelperGoesOnWhereverMemoryRanOut) {
  for (long allocations = 0; allocations < 60; allocations += 1 + allocations / 8) {
    SCOPED_TRACE("refused behind allocation " + std::to_string(allocations));
    const TemporaryDirectory directory;
    auto options = tiny_options(directory.path());
    options.sync_interval_ms = 2;
    options.keep_bytes = 1;
    const auto writer = open_writer(options);
    const auto cursor = writer->register_cursor("store");
    std::int64_t frames = 0;
    {
      const Starved starved(kHelper, allocations, 3);
      for (int i = 0; i < 300'000 && writer->figures().helper_failures.get() == 0; ++i) {
        write_frame(*writer, {"A"}, ++frames);
        (*cursor)->advance(writer->figures().position.get());
        ::usleep(100);
      }
      ASSERT_GE(writer->figures().helper_failures.get(), 1U);
    }
    const std::uint64_t rolls = writer->figures().rolls.get();
    while (writer->figures().rolls.get() < rolls + 2) {
      must_write_frame(*writer, {"A"}, ++frames);
    }
    const Position last = writer->figures().position.get();
    EXPECT_TRUE(comes([&] { return writer->figures().synced_bytes.get() == writer->figures().bytes.get(); }));
    (*cursor)->advance(last);
    EXPECT_TRUE(comes([&] { return !std::filesystem::exists(options.directory / segment_name(1)); }));
    ASSERT_TRUE(writer->close());
    EXPECT_EQ(list_cursors(options.directory)->at(0).position, last);
    EXPECT_TRUE(verify(options.directory)->whole());
    // Nothing was left that the next start would stumble over.
    EXPECT_FALSE(open_writer([&] {
                   auto again = options;
                   again.directory = directory.path() / "again";
                   std::filesystem::copy(options.directory, again.directory, std::filesystem::copy_options::recursive);
                   return again;
                 }())
                     ->recovery()
                     .new_epoch);
  }
}

TEST(JournalMemory, AHelperThatGetsNoneAtAllEndsWithItsOwner) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    const Starved starved(kHelper, 0, 1'000'000'000);
    must_write_frame(*writer, {"A"}, 1);
    EXPECT_TRUE(comes([&] { return writer->figures().helper_failures.get() > 2; }));
    must_write_frame(*writer, {"A"}, 2);
  }
  EXPECT_EQ(count_of(options.directory), 2U);
}

/// Opening fails, by an error value or by what new throws; nothing is torn by it, and the lock goes.
TEST(JournalMemory, OpeningWithoutMemoryHarmsNothing) {
  char own[16] = {};
  ::pthread_getname_np(::pthread_self(), own, sizeof own);
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  {
    const auto writer = open_writer(options);
    const auto cursor = writer->register_cursor("store");
    for (int i = 1; i <= 600; ++i) {
      must_write_frame(*writer, {"A", "S" + std::to_string(i % 40)}, i);
    }
  }
  std::size_t refused = 0;
  bool opened = false;
  for (long allocations = 0; !opened; allocations += 1 + allocations / 10) {
    SCOPED_TRACE("refused behind allocation " + std::to_string(allocations));
    ASSERT_LT(allocations, 100'000);
    // Half of the times the machine was restarted, and everything is verified.
    options.boot_id = allocations % 2 == 0 ? "boot-1" : "boot-2";
    try {
      const Starved starved(own, allocations, 1'000'000'000);
      const auto writer = Writer::open(options);
      opened = writer.has_value() && allocations_left.load() > 0;
      refused += writer ? 0U : 1U;
    } catch (const std::bad_alloc&) {
      ++refused;
    }
    ASSERT_EQ(count_of(options.directory), 600U);
  }
  EXPECT_GT(refused, 20U);
  const auto report = verify(options.directory);
  EXPECT_TRUE(report->whole()) << report->damages[0].file << ": " << report->damages[0].reason;
}

TEST(JournalMemory, AReaderOutOfMemoryFailsAndGivesNothingWrong) {
  char own[16] = {};
  ::pthread_getname_np(::pthread_self(), own, sizeof own);
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  std::size_t refused = 0;
  for (long allocations = 0; allocations < 400; allocations += 3) {
    auto opened = Reader::open(journal);
    ASSERT_TRUE(opened);
    std::size_t count = 0;
    {
      const Starved starved(own, allocations, 1'000'000'000);
      while ((*opened)->next()) {
        ++count;
      }
    }
    if ((*opened)->failure()) {
      EXPECT_EQ((*opened)->failure()->code, ErrorCode::environment);
      ++refused;
    } else {
      EXPECT_EQ(count, model.size());
    }
  }
  EXPECT_GT(refused, 5U);
}

}  // namespace
}  // namespace mdpipe::journal
