#include "replay/session/read_ahead.hpp"

#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <utility>

#include "mdpipe/base/thread.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kBatchBytes = 64U << 10U;  // stays in a cache of the processor that takes it
constexpr std::size_t kBatchesAhead = 8;

void clear(Batch& batch) {
  batch.text.clear();
  batch.entries.clear();
  batch.elements.clear();
  batch.new_symbols.clear();
  batch.last = false;
  batch.failure.reset();
}

/// A sum that ends at the last time there is.
std::int64_t shifted(std::int64_t time_ns, std::int64_t shift_ns) noexcept {
  std::int64_t sum = 0;
  return __builtin_add_overflow(time_ns, shift_ns, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

void append(const SessionFrame& frame, std::int64_t shift_ns, Batch& batch) {
  batch.entries.push_back({
      .offset = static_cast<std::uint32_t>(batch.text.size()),
      .length = static_cast<std::uint32_t>(frame.text.size()),
      .first_element = static_cast<std::uint32_t>(batch.elements.size()),
      .element_count = static_cast<std::uint32_t>(frame.shape.elements.size()),
      .list_begin = frame.shape.list_begin,
      .list_end = frame.shape.list_end,
      .trade_count = frame.shape.trade_count,
      .is_json = frame.is_json,
      .schedule_ns = frame.schedule_ns == kNoTime ? kNoTime : shifted(frame.schedule_ns, shift_ns),
      .time_ns = frame.time_ns,
  });
  batch.text.append(frame.text);
  batch.elements.insert(batch.elements.end(), frame.shape.elements.begin(), frame.shape.elements.end());
}

}  // namespace

struct ReadAhead::State {
  void run();
  /// One round of the session. False where the thread is to end.
  Result<bool> play_round();
  bool push();
  std::unique_ptr<Batch> fresh();

  SessionOptions options;
  std::uint64_t rounds = 1;
  std::function<void()> notify;

  // Of the reading thread.
  SymbolTable symbols;
  std::size_t symbols_told = 0;
  std::unique_ptr<Batch> filling;
  std::int64_t shift_ns = 0;
  std::uint64_t frames_in_round = 0;
  std::size_t entries_usual = 0;
  std::size_t elements_usual = 0;

  // Shared, under the mutex.
  std::mutex mutex;
  std::condition_variable room;
  std::deque<std::unique_ptr<Batch>> ready;
  std::vector<std::unique_ptr<Batch>> spare;
  bool stop = false;

  Worker worker;
};

std::unique_ptr<Batch> ReadAhead::State::fresh() {
  std::unique_ptr<Batch> batch;
  {
    const std::scoped_lock lock(mutex);
    if (!spare.empty()) {
      batch = std::move(spare.back());
      spare.pop_back();
    }
  }
  if (batch == nullptr) {
    batch = std::make_unique<Batch>();
    batch->text.reserve(kBatchBytes + kBatchBytes / 8);
    batch->entries.reserve(entries_usual);
    batch->elements.reserve(elements_usual);
    return batch;
  }
  clear(*batch);
  return batch;
}

/// Hands over what was filled, once there is room. False where nobody wants it any more.
bool ReadAhead::State::push() {
  while (symbols_told < symbols.size()) {
    filling->new_symbols.emplace_back(symbols.text(static_cast<SymbolId>(symbols_told++)));
  }
  entries_usual = filling->entries.size();
  elements_usual = filling->elements.size();
  {
    std::unique_lock lock(mutex);
    room.wait(lock, [this] { return stop || ready.size() < kBatchesAhead; });
    if (stop) {
      return false;
    }
    ready.push_back(std::move(filling));
  }
  notify();
  filling = fresh();
  return true;
}

Result<bool> ReadAhead::State::play_round() {
  auto source = open_sessions(options, symbols);
  if (!source) {
    return tl::unexpected(source.error());
  }
  SessionFrame frame;
  frames_in_round = 0;
  std::int64_t first_ns = kNoTime;
  std::int64_t last_ns = kNoTime;
  while (true) {
    auto more = (*source)->next(frame);
    if (!more) {
      return more;
    }
    if (!*more) {
      break;
    }
    append(frame, shift_ns, *filling);
    ++frames_in_round;
    first_ns = first_ns == kNoTime ? frame.schedule_ns : first_ns;
    last_ns = frame.schedule_ns;
    if (filling->text.size() >= kBatchBytes && !push()) {
      return false;
    }
  }
  std::int64_t span_ns = 0;  // both are kNoTime where nothing tells a time
  if (__builtin_sub_overflow(last_ns, first_ns, &span_ns)) {
    span_ns = std::numeric_limits<std::int64_t>::max();
  }
  shift_ns = shifted(shift_ns, span_ns);
  return true;
}

void ReadAhead::State::run() {
  filling = fresh();
  for (std::uint64_t round = 0; rounds == 0 || round < rounds; ++round) {
    auto played = play_round();
    if (!played) {
      filling->failure = played.error();
      break;
    }
    if (!*played) {
      return;
    }
    if (frames_in_round == 0) {
      break;  // nothing will come in the next one either
    }
  }
  filling->last = true;
  push();
}

ReadAhead::ReadAhead(SessionOptions options, std::uint64_t rounds, std::function<void()> notify)
    : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->rounds = rounds;
  state_->notify = std::move(notify);
}

ReadAhead::~ReadAhead() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stop = true;
  }
  state_->room.notify_all();
  state_->worker.join();
}

Result<void> ReadAhead::start() {
  auto worker = Worker::start("read-ahead", -1, [state = state_.get()] { state->run(); });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  state_->worker = std::move(*worker);
  return {};
}

std::unique_ptr<Batch> ReadAhead::pop() {
  std::unique_ptr<Batch> batch;
  {
    const std::scoped_lock lock(state_->mutex);
    if (state_->ready.empty()) {
      return nullptr;
    }
    batch = std::move(state_->ready.front());
    state_->ready.pop_front();
  }
  state_->room.notify_one();
  return batch;
}

void ReadAhead::recycle(std::unique_ptr<Batch> batch) {
  const std::scoped_lock lock(state_->mutex);
  state_->spare.push_back(std::move(batch));
}

}  // namespace mdpipe::replay
