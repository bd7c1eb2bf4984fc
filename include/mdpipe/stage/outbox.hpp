#pragma once
/// \file
/// What stages hand to the one thread that owns the Kafka producer, kept until it is acknowledged.
///
///     stage ── Port::prepare, fill, submit ──▶ MPSC queue ──▶ Outbox::take ── producer ── acknowledge ──▶ back to its
///     Port
///
/// Messages lie in slots that each port owns and reuses in order, so after warm-up nothing is allocated. A full port
/// (nothing acknowledged) holds back its stage: prepare() returns null.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "mdpipe/event/position.hpp"

namespace mdpipe::stage {

/// The topics that messages go to; wiring gives each its name (raw-market-data, …).
enum class Destination : std::uint8_t { raw, metrics, alerts, dead_letters };
inline constexpr std::size_t kDestinations = 4;

struct OutboxMessage {
  Destination destination = Destination::metrics;
  std::uint8_t header_flags = 0;     ///< of the `mdp` header
  std::uint64_t source = 0;          ///< of the `mdp` header
  Position position = 0;             ///< of the `mdp` header; rises per source and partition
  Position cause = 0;                ///< of the record that caused it, in the order of the stage's records
  std::int64_t receive_time_ns = 0;  ///< message time = min(this, now)
  std::string key;                   ///< the symbol: decides the partition
  std::string value;

  /// Of dead letters alone: what was wrong, who could not use it, where it came from.
  struct Origin {
    std::string error;
    std::string stage;
    std::string topic;
    std::string partition;
    std::string offset;
  } origin;
};

class Outbox {
 public:
  /// A stage's end. Thread safety: one thread, the stage's.
  class Port {
   public:
    virtual ~Port() = default;
    /// An empty slot (its strings keep their capacity), or null while the port is full. Calling it again without
    /// submit() gives the same slot.
    [[nodiscard]] virtual OutboxMessage* prepare() noexcept = 0;
    virtual void submit() noexcept = 0;
    /// Up to which cause every submitted message is acknowledged: the oldest outstanding message's, less one; the
    /// largest position where none is outstanding.
    [[nodiscard]] virtual Position acknowledged_below() noexcept = 0;
    [[nodiscard]] virtual std::size_t outstanding() noexcept = 0;
  };

  virtual ~Outbox() = default;

  [[nodiscard]] static std::unique_ptr<Outbox> make();

  /// Before the threads start. `slots`: a power of two.
  [[nodiscard]] virtual std::unique_ptr<Port> port(std::size_t slots) = 0;

  /// The producer's end, one thread: the next message, or null. It stays put until acknowledge().
  [[nodiscard]] virtual const OutboxMessage* take() noexcept = 0;
  /// Any order.
  virtual void acknowledge(const OutboxMessage* message) noexcept = 0;
};

}  // namespace mdpipe::stage
