#include "replay/pace/survey.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace mdpipe::replay {
namespace {

bool can_be_read_twice(const SessionOptions& options) {
  return std::all_of(options.paths.begin(), options.paths.end(), [](const std::filesystem::path& path) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    return std::filesystem::is_regular_file(status) || std::filesystem::is_directory(status);
  });
}

}  // namespace

struct SessionSurvey::State {
  SessionOptions options;
  bool possible;
  std::optional<SessionSummary> summary;  // written once, before `there`
  std::atomic<bool> there{false};         // released with `summary` whole
  std::atomic<bool> stop{false};          // a mere wish
  Worker worker;                          // last: joined before the rest goes

  void read() {
    auto found = summarize(options, /*digests=*/false, &stop);
    if (found) {
      summary = std::move(*found);
      there.store(true, std::memory_order_release);
    }
  }
};

SessionSurvey::SessionSurvey(SessionOptions options) : state_(std::make_unique<State>()) {
  state_->possible = can_be_read_twice(options);
  state_->options = std::move(options);
}

SessionSurvey::~SessionSurvey() {
  state_->stop.store(true, std::memory_order_relaxed);
}

Result<void> SessionSurvey::start() {
  if (!state_->possible) {
    return {};
  }
  auto worker = Worker::start("survey", -1, [state = state_.get()] {
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_IDLE, &none);  // of this thread; where it is refused, it is only less polite
    state->read();
  });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  state_->worker = std::move(*worker);
  return {};
}

const SessionSummary* SessionSurvey::known() const noexcept {
  return state_->there.load(std::memory_order_acquire) ? &*state_->summary : nullptr;
}

const SessionSummary* SessionSurvey::wait() {
  if (known() == nullptr && state_->possible) {
    // Not with the time that nobody else wants: somebody waits now.
    state_->stop.store(true, std::memory_order_relaxed);
    (void)state_->worker.join();
    state_->stop.store(false, std::memory_order_relaxed);
    if (known() == nullptr) {
      state_->read();
    }
  }
  return known();
}

}  // namespace mdpipe::replay
