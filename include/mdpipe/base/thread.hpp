#pragma once
/// \file
/// Named, placed threads out of which no exception escapes.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe {

/// The cores that this process may use (sched_getaffinity), ascending.
[[nodiscard]] std::vector<int> usable_cores();

/// A thread with a name of at most 15 bytes and, if asked, one core. What its body throws is kept as an Error for
/// whoever joins it; the process lives on.
class Worker {
 public:
  Worker() = default;
  /// `core` < 0: any. ErrorCode::usage where the process may not use that core.
  [[nodiscard]] static Result<Worker> start(const std::string& name, int core, std::function<void()> body);

  Worker(Worker&&) noexcept = default;
  Worker& operator=(Worker&& other) noexcept;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  ///< joins

  /// Waits for the body to end; what it threw, if it threw. Calling it again returns nothing.
  std::optional<Error> join();

 private:
  struct Outcome {
    std::mutex mutex;
    std::optional<Error> error;
  };
  std::thread thread_;
  std::shared_ptr<Outcome> outcome_;
};

}  // namespace mdpipe
