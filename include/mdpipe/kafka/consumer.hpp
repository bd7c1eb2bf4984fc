#pragma once
/// \file
/// librdkafka's consumer of one topic: as a member of a group (range assignor, static membership, eager rebalances that
/// the caller answers), or of fixed partitions. It commits only what it is told to, and begins only where it is told
/// to.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/config.hpp"

namespace mdpipe::kafka {

struct ConsumerOptions {
  std::string topic;
  std::string group;   ///< also where fixed partitions commit to
  std::string member;  ///< group.instance.id: who comes back under it within the session's time-out is the same member
  std::int32_t session_timeout_ms = 10'000;  ///< a member that is silent for so long loses its partitions
  std::int32_t heartbeat_ms = 1'000;
};

struct IncomingMessage {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string_view key;
  std::string_view value;
  std::optional<std::string_view> header;  ///< the last `mdp` header, whatever is in it
  std::int64_t timestamp_ms = -1;          ///< -1: none
};

/// What next() brought. A message's views are valid until the next call of next().
struct Incoming {
  enum class Kind : std::uint8_t { nothing, message, end };
  Kind kind = Kind::nothing;
  IncomingMessage message;  ///< of an end: partition, and the offset that the next message will have
};

/// A change of what the group wants us to read. An assignment begins when read() is called; what is revoked or lost is
/// answered by give_up(), and until then the others of the group wait.
struct Rebalance {
  enum class Kind : std::uint8_t {
    assigned,
    revoked,  ///< still ours: flush, commit, then let go
    lost,     ///< another's already: write nothing more
  };
  Kind kind = Kind::assigned;
  std::vector<std::int32_t> partitions;
};

struct PartitionOffset {
  std::int32_t partition = 0;
  std::int64_t offset = 0;  ///< -1: none
  std::string metadata;     ///< of a commit
};

/// Thread safety: one thread.
class Consumer {
 public:
  using Milliseconds = std::chrono::milliseconds;

  [[nodiscard]] static Result<std::unique_ptr<Consumer>> make(const Config& config, const ConsumerOptions& options);
  ~Consumer();  ///< leaves the group (a static member keeps its place until the session's time-out); commits nothing
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  /// Joins the group; next() then brings rebalances about.
  [[nodiscard]] Result<void> join();

  /// Reads these partitions from these offsets, and no others; none at all for now where `from` is empty.
  [[nodiscard]] Result<void> read(const std::vector<PartitionOffset>& from);
  /// Gives them up: the answer to a revocation.
  [[nodiscard]] Result<void> give_up();

  /// The next message; waits at most `timeout_ms`. Also what keeps us in the group: to be called again and again.
  [[nodiscard]] Incoming next(int timeout_ms);

  /// The oldest rebalance that was not answered yet.
  [[nodiscard]] std::optional<Rebalance> take_rebalance();

  /// `wait`: until the broker has answered; else whatever becomes of it.
  [[nodiscard]] Result<void> commit(const std::vector<PartitionOffset>& offsets, bool wait);
  [[nodiscard]] Result<std::vector<PartitionOffset>> committed(const std::vector<std::int32_t>& partitions,
                                                               Milliseconds timeout);

  [[nodiscard]] Result<OffsetRange> offsets(std::int32_t partition, Milliseconds timeout);
  /// The first offset with a message of this time or later; the end where there is none.
  [[nodiscard]] Result<std::int64_t> offset_at(std::int32_t partition, std::int64_t time_ms, Milliseconds timeout);
  /// The end as the last fetch told; -1 before it.
  [[nodiscard]] std::int64_t known_end(std::int32_t partition) const noexcept;

  /// Set where it can never go on: fenced, not authorised, its offset gone.
  [[nodiscard]] const std::optional<Error>& failure() const noexcept;
  /// The last trouble of its connections in words; empty after the next message.
  [[nodiscard]] const std::string& trouble() const noexcept;

 private:
  struct State;
  explicit Consumer(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::kafka
