#include "mdpipe/base/thread.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mdpipe {

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(static_cast<std::size_t>(core), &set)) {
        cores.push_back(core);
      }
    }
  }
  return cores;
}

Result<Worker> Worker::start(const std::string& name, int core, std::function<void()> body) {
  if (core >= 0) {
    const std::vector<int> cores = usable_cores();
    if (std::find(cores.begin(), cores.end(), core) == cores.end()) {
      return fail(ErrorCode::usage, fmt::format("thread {} cannot be placed on core {}: this process may use {}", name,
                                                core, fmt::join(cores, ", ")));
    }
  }
  Worker worker;
  worker.outcome_ = std::make_shared<Outcome>();
  try {
    worker.thread_ = std::thread([name, core, body = std::move(body), outcome = worker.outcome_] {
      ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
      if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(static_cast<std::size_t>(core), &set);
        ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
      }
      const auto keep = [&](std::string_view what) {
        const std::scoped_lock lock(outcome->mutex);
        try {
          outcome->error =
              Error{ErrorCode::environment, fmt::format("thread {} ended by an exception: {}", name, what)};
        } catch (...) {
          outcome->error = Error{ErrorCode::environment, "out of memory"};  // short enough to need none
        }
      };
      try {
        body();
      } catch (const std::exception& exception) {
        keep(exception.what());
      } catch (...) {
        keep("not a std::exception");
      }
    });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::environment, fmt::format("thread {} cannot be started: {}", name, error.what()));
  }
  return worker;
}

Worker& Worker::operator=(Worker&& other) noexcept {
  if (this != &other) {
    join();
    thread_ = std::move(other.thread_);
    outcome_ = std::move(other.outcome_);
  }
  return *this;
}

Worker::~Worker() {
  join();
}

std::optional<Error> Worker::join() {
  if (!thread_.joinable()) {
    return std::nullopt;
  }
  thread_.join();
  const std::scoped_lock lock(outcome_->mutex);
  return std::exchange(outcome_->error, std::nullopt);
}

}  // namespace mdpipe
