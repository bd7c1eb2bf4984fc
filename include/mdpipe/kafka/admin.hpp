#pragma once
/// \file
/// Questions to a cluster, and its topics.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"

namespace mdpipe::kafka {

struct TopicDescription {
  std::string name;
  bool exists = false;
  std::int32_t partitions = 0;
  std::int32_t replication = 0;  ///< replicas of its first partition
  std::int32_t leaderless = 0;   ///< partitions without a leader now
};

/// What of a topic's configuration matters to us.
struct TopicSettings {
  std::string cleanup_policy;     ///< "delete", "compact", …
  std::int64_t retention_ms = 0;  ///< -1 = for ever
  std::int64_t message_max_bytes = 0;
};

struct TopicWanted {
  std::string name;
  std::int32_t partitions = 1;
  std::int32_t replication = 1;
  std::int64_t retention_ms = 0;
};

struct OffsetRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct Client;

/// Thread safety: one thread at a time. Every call takes at most its time-out; errors name the brokers asked.
class Admin {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Admin>> connect(const Config& config);
  /// Asks by a client that there is: see Producer::admin().
  explicit Admin(std::shared_ptr<Client> client) noexcept;
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  using Milliseconds = std::chrono::milliseconds;

  /// ErrorCode::environment where no broker answers.
  [[nodiscard]] Result<std::string> cluster_id(Milliseconds timeout);
  [[nodiscard]] Result<TopicDescription> describe(const std::string& topic, Milliseconds timeout);
  [[nodiscard]] Result<TopicSettings> settings(const std::string& topic, Milliseconds timeout);
  [[nodiscard]] Result<OffsetRange> offsets(const std::string& topic, std::int32_t partition, Milliseconds timeout);
  /// The ends of a topic's partitions 0 to `partitions` - 1, by one request to each of their leaders.
  [[nodiscard]] Result<std::vector<std::int64_t>> ends(const std::string& topic, std::int32_t partitions,
                                                       Milliseconds timeout);
  /// Returns when it is there and each partition has a leader; false where it was there already.
  [[nodiscard]] Result<bool> create(const TopicWanted& topic, Milliseconds timeout);
  /// Sets one property of a topic; what else was set for it stays.
  [[nodiscard]] Result<void> set(const std::string& topic, const std::string& property, const std::string& value,
                                 Milliseconds timeout);
  [[nodiscard]] Result<void> add_partitions(const std::string& topic, std::int32_t total, Milliseconds timeout);
  /// With all that is in it. Returns when it is gone.
  [[nodiscard]] Result<void> remove(const std::string& topic, Milliseconds timeout);

 private:
  [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> properties(const std::string& topic,
                                                                                    bool set_for_it,
                                                                                    Milliseconds timeout);

  /// A controller answers before the brokers know.
  [[nodiscard]] Result<void> wait_for(const std::string& what, const std::string& topic, bool exists,
                                      Milliseconds timeout);

  std::shared_ptr<Client> client_;
};

}  // namespace mdpipe::kafka
