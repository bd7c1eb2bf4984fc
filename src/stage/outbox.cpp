#include "mdpipe/stage/outbox.hpp"

#include <atomic>
#include <limits>
#include <utility>
#include <vector>

#include <concurrentqueue/concurrentqueue.h>

namespace mdpipe::stage {
namespace {

struct Slot : OutboxMessage {
  // Stored by the producer's thread when Kafka has the message, read by the port's; release and acquire hand the slot
  // back: what the producer read of it happened before the port writes it again.
  mutable std::atomic<bool> acknowledged{false};
};

// What a metric of usual numbers needs; a longer one allocates in its slot, once.
constexpr std::size_t kKeyBytes = 31;
constexpr std::size_t kValueBytes = 447;

using Queue = moodycamel::ConcurrentQueue<Slot*>;

/// Ring of slots: [oldest_, next_) are outstanding, in the order of submission.
class PortBody final : public Outbox::Port {
 public:
  PortBody(Queue& queue, std::size_t slots) : queue_(queue), token_(queue), slots_(slots), mask_(slots - 1) {
    for (Slot& slot : slots_) {
      slot.key.reserve(kKeyBytes);
      slot.value.reserve(kValueBytes);
    }
  }

  OutboxMessage* prepare() noexcept override {
    if (next_ - oldest_ == slots_.size()) {
      reclaim();
      if (next_ - oldest_ == slots_.size()) {
        return nullptr;
      }
    }
    OutboxMessage& message = slots_[next_ & mask_];
    message.key.clear();
    message.value.clear();
    return &message;
  }

  void submit() noexcept override {
    Slot& slot = slots_[next_ & mask_];
    slot.acknowledged.store(false, std::memory_order_relaxed);
    // The queue was made large enough for every slot of every port: it never allocates here and never refuses.
    queue_.enqueue(token_, &slot);
    ++next_;
  }

  Position acknowledged_below() noexcept override {
    reclaim();
    return oldest_ == next_ ? std::numeric_limits<Position>::max() : slots_[oldest_ & mask_].cause - 1;
  }

  std::size_t outstanding() noexcept override {
    reclaim();
    return next_ - oldest_;
  }

 private:
  void reclaim() noexcept {
    while (oldest_ != next_ && slots_[oldest_ & mask_].acknowledged.load(std::memory_order_acquire)) {
      ++oldest_;
    }
  }

  Queue& queue_;
  moodycamel::ProducerToken token_;
  std::vector<Slot> slots_;
  std::size_t mask_;
  std::size_t oldest_ = 0;
  std::size_t next_ = 0;
};

class OutboxBody final : public Outbox {
 public:
  explicit OutboxBody(std::size_t capacity) : queue_(capacity) {}

  std::unique_ptr<Port> port(std::size_t slots) override { return std::make_unique<PortBody>(queue_, slots); }

  const OutboxMessage* take() noexcept override {
    Slot* slot = nullptr;
    return queue_.try_dequeue(slot) ? slot : nullptr;
  }

  void acknowledge(const OutboxMessage* message) noexcept override {
    // take() gave out nothing but slots.
    static_cast<const Slot*>(message)->acknowledged.store(true, std::memory_order_release);
  }

 private:
  Queue queue_;
};

}  // namespace

std::unique_ptr<Outbox> Outbox::make() {
  return std::make_unique<OutboxBody>(std::size_t{1} << 16U);
}

}  // namespace mdpipe::stage
