#include "mdpipe/runner/runner.hpp"

#include <iterator>
#include <limits>
#include <mutex>
#include <utility>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::runner {
namespace {

constexpr std::int64_t kReportIntervalNs = kNanosecondsPerSecond / 2;
constexpr std::size_t kSkipsMax = 4096;

}  // namespace

struct Runner::State {
  State(Pump::OpenReader open_reader, Stage& stage, const RunnerOptions& runner_options)
      : pump(std::move(open_reader), stage, runner_options.earlier_until),
        options(runner_options),
        name(stage.name()) {}

  void run() noexcept;
  void report(std::int64_t now_ns) noexcept;

  // Of the stage's thread alone.
  Pump pump;
  const RunnerOptions options;
  const std::string name;
  std::int64_t reported_ns = 0;
  bool draining = false;

  // Asked for by the owner, answered by the stage's thread.
  std::atomic<bool> finish{false};
  std::atomic<bool> abandon{false};
  std::atomic<bool> done{false};

  // Copied by the stage's thread, read by any.
  mutable std::mutex mutex;
  std::string waiting_for;
  std::optional<Error> failure;
  std::vector<journal::Skip> skips;

  Worker worker;
};

void Runner::State::report(std::int64_t now_ns) noexcept {
  if (now_ns - reported_ns < kReportIntervalNs && !pump.failure()) {
    return;
  }
  reported_ns = now_ns;
  std::string waiting;
  try {
    waiting = pump.stage().waiting_for();
  } catch (...) {
    waiting = "something that it cannot name";
  }
  auto skipped = pump.take_skips();
  const std::scoped_lock lock(mutex);
  waiting_for.swap(waiting);
  try {
    failure = pump.failure();
    if (skips.empty()) {
      skips.swap(skipped);
    } else if (skips.size() < kSkipsMax) {  // nobody asks
      skips.insert(skips.end(), std::make_move_iterator(skipped.begin()), std::make_move_iterator(skipped.end()));
    }
  } catch (...) {
    if (pump.failure()) {
      failure = Error{ErrorCode::environment, "out of memory"};  // short enough to need none
    }
  }
}

void Runner::State::run() noexcept {
  Stage& stage = pump.stage();
  std::optional<IdleStrategy> idle(std::in_place, options.idle);
  bool bell_known = false;
  while (!abandon.load(std::memory_order_acquire)) {
    // Asked before the step: what the step then does not find was not there when the end was declared.
    const bool finishing = finish.load(std::memory_order_acquire);
    const bool worked = pump.step(options.batch_records);
    report(pump.figures().alive_ns.get());
    if (pump.failure()) {
      break;
    }
    if (finishing && pump.caught_up()) {
      if (!std::exchange(draining, true)) {
        stage.begin_drain();
      }
      if (stage.drained()) {
        break;
      }
    }
    if (Bell* const bell = bell_known ? nullptr : pump.bell(); bell != nullptr) {
      idle.emplace(options.idle, bell);
      bell_known = true;
    }
    idle->idle(worked);
  }
  pump.close();
  report(std::numeric_limits<std::int64_t>::max());
  done.store(true, std::memory_order_release);
}

Runner::Runner(Pump::OpenReader open_reader, Stage& stage, const RunnerOptions& options)
    : state_(std::make_unique<State>(std::move(open_reader), stage, options)) {}

Runner::~Runner() {
  abandon();
  state_->worker.join();
}

Result<void> Runner::start() {
  auto worker = Worker::start(state_->name, state_->options.core, [state = state_.get()] { state->run(); });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  state_->worker = std::move(*worker);
  return {};
}

void Runner::finish() noexcept {
  state_->finish.store(true, std::memory_order_release);
}

void Runner::abandon() noexcept {
  state_->abandon.store(true, std::memory_order_release);
}

bool Runner::done() const noexcept {
  return state_->done.load(std::memory_order_acquire);
}

std::optional<Error> Runner::join() {
  if (auto thrown = state_->worker.join()) {
    return thrown;
  }
  return failure();
}

const PumpFigures& Runner::figures() const noexcept {
  return state_->pump.figures();
}

std::string Runner::waiting_for() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->waiting_for;
}

std::optional<Error> Runner::failure() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->failure;
}

std::vector<journal::Skip> Runner::take_skips() {
  const std::scoped_lock lock(state_->mutex);
  return std::exchange(state_->skips, {});
}

std::string_view Runner::name() const noexcept {
  return state_->name;
}

}  // namespace mdpipe::runner
