#pragma once
// SIGINT, SIGTERM and SIGHUP as a call of stop() on whatever runs.

#include <atomic>
#include <csignal>

namespace mdpipe::tools {

/// While it lives, a signal calls to_stop.stop(), which must be safe in a handler. One at a time for each Running.
template <class Running>
class StoppedBySignal {
 public:
  /// From the first moment: a signal that comes while everything is opened ends the run in order too.
  static void hear() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction before {};
      ::sigaction(number, nullptr, &before);
      if (before.sa_handler != SIG_IGN) {  // nohup
        ::sigaction(number, &action, nullptr);
      }
    }
  }

  explicit StoppedBySignal(Running& to_stop) {
    running = &to_stop;
    if (signalled) {
      to_stop.stop();
    }
  }
  ~StoppedBySignal() { running = nullptr; }
  StoppedBySignal(const StoppedBySignal&) = delete;
  StoppedBySignal& operator=(const StoppedBySignal&) = delete;

 private:
  static void on_signal(int /*number*/) {
    signalled = true;
    if (Running* const to_stop = running.load()) {
      to_stop->stop();
    }
  }

  static inline std::atomic<Running*> running{nullptr};
  static inline std::atomic<bool> signalled{false};
  static_assert(std::atomic<Running*>::is_always_lock_free, "read by a signal handler");
};

}  // namespace mdpipe::tools
