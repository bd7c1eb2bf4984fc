// Hop: from one thread to another through the journal, beside rings that hold the same 64 bytes.
//
//     round trip:  caller ── ping ──▶ echo ── pong ──▶ caller     one message under way
//     throughput:  producer ── frames of 5 trades ──▶ consumer    as fast as it goes
//
// The ring holds trades alone and stays in the caches; the journal holds the frame's text too, has a checksum, and goes
// through memory that is fresh. What that costs at least stands beside them: `fresh`, the same bytes copied into memory
// that another core populated.
//
// Cores change places under us, so each sample lies between two of a bare flag bounced by the same two threads, and
// what is reported are ratios to it and to boost's ring within a round.

#include <benchmark/benchmark.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include <readerwriterqueue/readerwriterqueue.h>
#include <boost/lockfree/spsc_queue.hpp>

#include "bench_journal.hpp"

namespace mdpipe::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kTrips = 5000;
constexpr std::size_t kRingSlots = 1024;
constexpr std::uint64_t kSegmentBytes = 64ULL << 20U;

struct alignas(64) Message {
  std::uint64_t sequence;
  char rest[56];
};

/// A bare word in one cache line: what the two cores need at least.
struct FlagLink {
  alignas(64) std::atomic<std::uint64_t> word{0};

  void send(std::uint64_t sequence) noexcept { word.store(sequence, std::memory_order_release); }
  bool receive(std::uint64_t expected) noexcept { return word.load(std::memory_order_acquire) == expected; }
};

struct BoostLink {
  boost::lockfree::spsc_queue<Message, boost::lockfree::capacity<kRingSlots>> queue;

  void send(std::uint64_t sequence) noexcept {
    while (!queue.push(Message{sequence, {}})) {
    }
  }
  bool receive(std::uint64_t expected) noexcept {
    Message message;
    if (!queue.pop(message)) {
      return false;
    }
    if (message.sequence != expected) {
      wrong("boost");
    }
    return true;
  }
};

struct ReaderWriterLink {
  moodycamel::ReaderWriterQueue<Message> queue{kRingSlots};

  void send(std::uint64_t sequence) noexcept {
    while (!queue.try_enqueue(Message{sequence, {}})) {
    }
  }
  bool receive(std::uint64_t expected) noexcept {
    Message message;
    if (!queue.try_dequeue(message)) {
      return false;
    }
    if (message.sequence != expected) {
      wrong("readerwriterqueue");
    }
    return true;
  }
};

/// A record of 64 bytes: header and 32 of payload.
struct JournalLink {
  BenchJournal journal{kSegmentBytes};
  std::unique_ptr<journal::Reader> reader = journal.reader();

  void send(std::uint64_t sequence) noexcept { journal.send(sequence, 32); }
  bool receive(std::uint64_t expected) noexcept {
    const auto record = reader->next();
    if (!record || record->kind() == RecordKind::symbol) {
      return false;
    }
    if (std::memcmp(record->payload().data(), &expected, sizeof expected) != 0) {
      wrong("journal");
    }
    reader->release(record->position());
    return true;
  }
};

template <class Link>
struct Pair {
  Link there;
  Link back;
  std::uint64_t sequence = 0;

  /// p50 of kTrips round trips, ns.
  double trip_ns() {
    const std::uint64_t first = sequence + 1;
    const std::uint64_t last = sequence + kTrips;
    std::thread echo([&] {
      for (std::uint64_t i = first; i <= last; ++i) {
        while (!there.receive(i)) {
          _mm_pause();
        }
        back.send(i);
      }
    });
    std::vector<std::int64_t> trips(kTrips);
    for (std::uint64_t i = first; i <= last; ++i) {
      const auto begin = Clock::now();
      there.send(i);
      while (!back.receive(i)) {
        _mm_pause();
      }
      trips[i - first] = std::chrono::nanoseconds(Clock::now() - begin).count();
    }
    echo.join();
    sequence = last;
    std::nth_element(trips.begin(), trips.begin() + kTrips / 2, trips.end());
    return static_cast<double>(trips[kTrips / 2]);
  }
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void round_trip(benchmark::State& state) {
  Pair<FlagLink> flag;
  Pair<JournalLink> journal;
  Pair<BoostLink> boost_ring;
  Pair<ReaderWriterLink> reader_writer;
  std::vector<double> flags, journals, boosts, reader_writers, to_boost;
  for (auto _ : state) {
    const double before = flag.trip_ns();
    const double ours = journal.trip_ns();
    const double theirs = boost_ring.trip_ns();
    const double after = flag.trip_ns();
    reader_writers.push_back(reader_writer.trip_ns());
    flags.push_back((before + after) / 2);
    journals.push_back(ours);
    boosts.push_back(theirs);
    // The cores moved in between: this round compares nothing.
    if (std::max(before, after) < 1.5 * std::min(before, after)) {
      to_boost.push_back(ours / theirs);
    }
  }
  state.counters["flag_ns"] = median(flags);
  state.counters["journal_ns"] = median(journals);
  state.counters["boost_ns"] = median(boosts);
  state.counters["rwq_ns"] = median(reader_writers);
  state.counters["like_rounds"] = static_cast<double>(to_boost.size());
  if (!to_boost.empty()) {
    state.counters["journal/boost"] = median(to_boost);
  }
}
BENCHMARK(round_trip)->Iterations(9)->Unit(benchmark::kMillisecond)->UseRealTime();

constexpr std::size_t kTradesPerFrame = 5;
constexpr std::uint64_t kFrames = 40'000;  // of 512 bytes: what is populated ahead holds them
constexpr std::uint32_t kPayloadBytes = kTradesPerFrame * kTradeTextMinBytes;

double millions_a_second(Clock::time_point begin) {
  return static_cast<double>(kFrames * kTradesPerFrame) * 1e3 /
         static_cast<double>(std::chrono::nanoseconds(Clock::now() - begin).count());
}

double journal_throughput(BenchJournal& journal, std::uint64_t& sequence) {
  const auto reader = journal.reader();
  const std::uint64_t first = sequence;
  sequence += kFrames * kTradesPerFrame;
  std::atomic<bool> ready{false};
  std::thread consumer([&, last = sequence] {
    ready.store(true);
    for (std::uint64_t expected = first; expected < last;) {
      const auto record = reader->next();
      if (!record) {
        _mm_pause();
        continue;
      }
      for (const Trade& trade : record->trades()) {
        if (trade.conditions != expected++) {
          wrong("journal");
        }
      }
    }
  });
  while (!ready.load()) {
  }
  const std::array<char, kPayloadBytes> source{};
  const auto begin = Clock::now();
  for (std::uint64_t i = first; i < sequence; i += kTradesPerFrame) {
    const FrameClaim room = journal.claim();
    std::memcpy(room.payload(), source.data(), source.size());
    Trade* const trades = room.trades(kPayloadBytes);
    for (std::size_t n = 0; n < kTradesPerFrame; ++n) {
      trades[n] = Trade{};
      trades[n].text_offset = sizeof(RecordHeader);
      trades[n].conditions = i + n;
    }
    journal.writer().commit(room, {kPayloadBytes, kTradesPerFrame, FrameKind::trades, FrameReason::none, 1});
  }
  consumer.join();
  return millions_a_second(begin);
}

/// A trade a push and a pop, as a pipeline's stages use a ring.
struct OneByOne {
  template <class Queue>
  static void push(Queue& queue, const std::array<Trade, kTradesPerFrame>& trades) {
    for (const Trade& trade : trades) {
      while (!queue.push(trade)) {
      }
    }
  }
  template <class Queue, class Take>
  static bool take(Queue& queue, const Take& take) {
    Trade trade;
    if (!queue.pop(trade)) {
      return false;
    }
    take(trade);
    return true;
  }
};

/// Pushed five at a time, drained with consume_all: the quickest that the ring offers.
struct InBulk {
  template <class Queue>
  static void push(Queue& queue, const std::array<Trade, kTradesPerFrame>& trades) {
    for (std::size_t pushed = 0; pushed < kTradesPerFrame;) {
      pushed += queue.push(trades.data() + pushed, kTradesPerFrame - pushed);
    }
  }
  template <class Queue, class Take>
  static bool take(Queue& queue, const Take& take) {
    return queue.consume_all(take) != 0;
  }
};

template <class Use>
double boost_throughput(std::uint64_t& sequence) {
  static boost::lockfree::spsc_queue<Trade, boost::lockfree::capacity<kRingSlots * 64>> queue;
  const std::uint64_t first = sequence;
  sequence += kFrames * kTradesPerFrame;
  std::atomic<bool> ready{false};
  std::thread consumer([&, last = sequence] {
    ready.store(true);
    for (std::uint64_t expected = first; expected < last;) {
      const auto check = [&](const Trade& trade) {
        if (trade.conditions != expected++) {
          wrong("boost");
        }
      };
      if (!Use::take(queue, check)) {
        _mm_pause();
      }
    }
  });
  while (!ready.load()) {
  }
  const auto begin = Clock::now();
  std::array<Trade, kTradesPerFrame> trades{};
  for (std::uint64_t i = first; i < sequence; i += kTradesPerFrame) {
    for (std::size_t n = 0; n < kTradesPerFrame; ++n) {
      trades[n] = Trade{};
      trades[n].conditions = i + n;
    }
    Use::push(queue, trades);
  }
  consumer.join();
  return millions_a_second(begin);
}

/// As many bytes as the journal's records have, into memory that another core populated.
double fresh_throughput() {
  constexpr std::size_t kFrameBytes = trades_offset(kPayloadBytes) + kTradesPerFrame * sizeof(Trade);
  constexpr std::size_t kBytes = kFrames * kFrameBytes;
  auto* const memory =
      static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) {
    wrong("no memory");
  }
  std::thread([&] { std::memset(memory, 1, kBytes); }).join();
  const std::array<char, kFrameBytes> source{};
  const auto begin = Clock::now();
  for (std::size_t at = 0; at < kBytes; at += kFrameBytes) {
    std::memcpy(memory + at, source.data(), kFrameBytes);
    benchmark::ClobberMemory();
  }
  const double rate = millions_a_second(begin);
  ::munmap(memory, kBytes);
  return rate;
}

void throughput(benchmark::State& state) {
  BenchJournal journal(kSegmentBytes);
  Pair<FlagLink> flag;
  std::uint64_t journal_sequence = 1;
  std::uint64_t one_by_one_sequence = 1;
  std::uint64_t bulk_sequence = 1;
  std::vector<double> flags, fresh, journals, one_by_one, bulk, to_one_by_one, to_bulk;
  for (auto _ : state) {
    state.PauseTiming();
    ::usleep(50'000);  // the helper populates ahead; in life it has more cores than two
    state.ResumeTiming();
    const double before = flag.trip_ns();
    journals.push_back(journal_throughput(journal, journal_sequence));
    one_by_one.push_back(boost_throughput<OneByOne>(one_by_one_sequence));
    bulk.push_back(boost_throughput<InBulk>(bulk_sequence));
    flags.push_back((before + flag.trip_ns()) / 2);
    fresh.push_back(fresh_throughput());
    to_one_by_one.push_back(journals.back() / one_by_one.back());
    to_bulk.push_back(journals.back() / bulk.back());
  }
  state.counters["flag_ns"] = median(flags);
  state.counters["fresh_M/s"] = median(fresh);
  state.counters["journal_M/s"] = median(journals);
  state.counters["boost_M/s"] = median(one_by_one);
  state.counters["boost_bulk_M/s"] = median(bulk);
  state.counters["journal/boost"] = median(to_one_by_one);
  state.counters["journal/boost_bulk"] = median(to_bulk);
}
BENCHMARK(throughput)->Iterations(15)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace mdpipe::bench
