#pragma once
// The publish stage on a thread of its own, where it has no journal to read: only what others put into the outbox.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/idle.hpp"
#include "mdpipe/base/thread.hpp"
#include "mdpipe/stage/publish.hpp"

namespace mdpipe::wiring {

/// Thread safety: start(), stop() and the destructor by the owner's thread; the rest by any.
class PublisherThread {
 public:
  explicit PublisherThread(std::unique_ptr<stage::Publish> publish) : publish_(std::move(publish)) {}
  ~PublisherThread() { stop(); }
  PublisherThread(const PublisherThread&) = delete;
  PublisherThread& operator=(const PublisherThread&) = delete;

  [[nodiscard]] Result<void> start() {
    auto worker = Worker::start("publish", -1, [this] { run(); });
    if (!worker) {
      return tl::unexpected(worker.error());
    }
    worker_ = std::move(*worker);
    return {};
  }
  /// What is in flight is dropped: whoever wants it acknowledged waits before.
  void stop() {
    stop_.store(true, std::memory_order_release);
    (void)worker_.join();
  }

  [[nodiscard]] const stage::Publish& publish() const noexcept { return *publish_; }
  [[nodiscard]] std::string waiting_for() const {
    const std::scoped_lock lock(mutex_);
    return waiting_for_;
  }
  [[nodiscard]] std::optional<Error> failure() const {
    const std::scoped_lock lock(mutex_);
    return failure_;
  }
  [[nodiscard]] std::int64_t alive_ns() const noexcept { return alive_ns_.get(); }

 private:
  void run() {
    IdleStrategy idle(IdleKind::backoff);
    std::int64_t reported_ns = 0;
    while (!stop_.load(std::memory_order_acquire)) {
      idle.idle(publish_->poll());
      const std::int64_t now_ns = monotonic_clock_ns();
      alive_ns_.set(now_ns);
      if (now_ns - reported_ns > kNanosecondsPerSecond / 4 || publish_->failure()) {
        reported_ns = now_ns;
        const std::scoped_lock lock(mutex_);
        waiting_for_ = publish_->waiting_for();
        failure_ = publish_->failure();
      }
    }
    publish_->close();
  }

  const std::unique_ptr<stage::Publish> publish_;
  SingleWriterGauge<std::int64_t> alive_ns_{};
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::string waiting_for_;
  std::optional<Error> failure_;
  Worker worker_;
};

}  // namespace mdpipe::wiring
