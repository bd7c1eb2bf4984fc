#pragma once
/// \file
/// librdkafka's producer: idempotent, gapless, acks=all; messages by pointer, reports in batches.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/config.hpp"

namespace mdpipe::kafka {

struct OutgoingHeader {
  std::string_view name;
  std::string_view value;
};

struct OutgoingMessage {
  std::size_t topic = 0;  ///< index of Producer's topics
  std::int32_t partition = 0;
  std::string_view key;    ///< copied; may be empty
  std::string_view value;  ///< by pointer: stays put until its report
  std::int64_t timestamp_ms = 0;
  const OutgoingHeader* headers = nullptr;
  std::size_t header_count = 0;
  std::uint64_t tag = 0;  ///< comes back with the report
};

struct DeliveryReport {
  std::uint64_t tag = 0;
  bool delivered = false;
  bool permanent = false;  ///< the broker will never take this message (too large, its time refused, …)
  std::int64_t offset = 0;
  std::int64_t heard_ns = 0;       ///< monotonic; one reading for all that a broker told at once
  std::int64_t heard_unix_ns = 0;  ///< the same moment
  std::string_view error;
};

enum class ProduceStatus : std::uint8_t {
  taken,
  queue_full,  ///< poll(), then try again
  too_large,   ///< larger than the largest batch: it will never be taken
  failed,      ///< failure() says why
};

/// The largest batch of a producer whose largest value has so many bytes: room for key, headers and framing. A broker
/// must take batches of this size, or it refuses whole ones of good messages.
[[nodiscard]] constexpr std::size_t batch_max_bytes(std::size_t message_max_bytes) noexcept {
  return message_max_bytes + (std::size_t{64} << 10U);
}

/// What brokers take of a topic that nobody has given a limit, with room to spare (max.message.bytes is 1,048,588).
inline constexpr std::size_t kUsualBatchBytes = 1'040'000;

/// Thread safety: one thread.
class Producer {
 public:
  /// `message_max_bytes`: the largest value that will be sent. `batch_bytes`: the largest batch that is made of smaller
  /// ones, before it is compressed; the topics must take it.
  [[nodiscard]] static Result<std::unique_ptr<Producer>> make(const Config& config,
                                                              const std::vector<std::string>& topics,
                                                              std::size_t message_max_bytes,
                                                              std::size_t batch_bytes = kUsualBatchBytes);
  ~Producer();  ///< drops what is in flight: the caller knows what it was
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  [[nodiscard]] ProduceStatus produce(const OutgoingMessage& message) noexcept;

  /// What waits for company (linger.ms) goes now. Waits until it is acknowledged, for a millisecond at most.
  void send_now() noexcept;

  /// Calls `on_report` for what has come since; waits at most `timeout_ms` for the first. True if any came.
  bool poll(int timeout_ms, const std::function<void(const DeliveryReport&)>& on_report);

  /// How many partitions a topic has now; nothing where no broker says so in time.
  [[nodiscard]] std::optional<std::int32_t> partition_count(std::size_t topic, int timeout_ms);

  /// Asks by this producer's own connections. May outlive it, and then keeps them.
  [[nodiscard]] std::unique_ptr<Admin> admin() const;

  /// Set for good by a fatal error, or by what made produce() fail: destroy it, make another.
  [[nodiscard]] const std::optional<std::string>& failure() const noexcept;

  /// The last trouble of its connections in words; empty after the next report of a delivery.
  [[nodiscard]] const std::string& trouble() const noexcept;

 private:
  struct State;
  explicit Producer(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::kafka
