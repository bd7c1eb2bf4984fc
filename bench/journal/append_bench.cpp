// Append: claim, write the payload, commit. Beside it the floor: the same bytes copied into anonymous memory.

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "bench_journal.hpp"

namespace mdpipe::bench {
namespace {

constexpr std::uint64_t kSegmentBytes = 64ULL << 20U;
constexpr std::int64_t kBatch = 50'000;  // appended in one go; then the helper may catch up, not timed

constexpr std::uint32_t payload_of(std::int64_t record_bytes) {
  return static_cast<std::uint32_t>(record_bytes) - static_cast<std::uint32_t>(sizeof(RecordHeader));
}

void prove(std::uint32_t payload_bytes) {
  BenchJournal journal(kSegmentBytes);
  const auto reader = journal.reader();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    journal.send(i, payload_bytes);
    auto record = reader->next();
    while (record && record->kind() == RecordKind::symbol) {
      record = reader->next();
    }
    if (!record || record->payload().size() != payload_bytes ||
        std::memcmp(record->payload().data(), &i, sizeof i) != 0) {
      wrong("append");
    }
  }
}

void append(benchmark::State& state) {
  const std::uint32_t payload_bytes = payload_of(state.range(0));
  prove(payload_bytes);
  BenchJournal journal(kSegmentBytes);
  const std::array<char, 512> source{};
  while (state.KeepRunningBatch(kBatch)) {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      const FrameClaim room = journal.claim();
      std::memcpy(room.payload(), source.data(), payload_bytes);
      journal.writer().commit(room, {payload_bytes, 0, FrameKind::other, FrameReason::none, i});
    }
    state.PauseTiming();
    ::usleep(20'000);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(append)->Arg(64)->Arg(300)->Repetitions(5)->ReportAggregatesOnly(true);

void append_floor(benchmark::State& state) {
  const auto record_bytes = static_cast<std::size_t>(state.range(0));
  const std::size_t bytes = kBatch * align_record(record_bytes);
  auto* const memory = static_cast<char*>(
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  if (memory == MAP_FAILED) {
    wrong("no memory");
  }
  const std::array<char, 512> source{};
  while (state.KeepRunningBatch(kBatch)) {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      std::memcpy(memory + static_cast<std::size_t>(i) * align_record(record_bytes), source.data(), record_bytes);
      benchmark::ClobberMemory();
    }
  }
  ::munmap(memory, bytes);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(append_floor)->Arg(64)->Arg(300)->Repetitions(5)->ReportAggregatesOnly(true);

}  // namespace
}  // namespace mdpipe::bench

BENCHMARK_MAIN();
