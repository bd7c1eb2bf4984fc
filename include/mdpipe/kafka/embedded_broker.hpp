#pragma once
/// \file
/// A broker in this process: librdkafka's mock cluster. It forgets: everything at exit, and beyond 5 MiB or 100,000
/// batches a partition. Good for a demonstration and for tests; other processes can read it as long as it lives.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::kafka {

class EmbeddedBroker {
 public:
  struct Topic {
    std::string name;
    std::int32_t partitions;
  };
  [[nodiscard]] static Result<std::unique_ptr<EmbeddedBroker>> start(const std::vector<Topic>& topics);
  ~EmbeddedBroker();
  EmbeddedBroker(const EmbeddedBroker&) = delete;
  EmbeddedBroker& operator=(const EmbeddedBroker&) = delete;

  [[nodiscard]] const std::string& bootstrap() const noexcept;

  /// For tests: the next answers to Produce requests are these errors (numbers of Kafka's protocol).
  void fail_next_produces(const std::vector<std::int16_t>& errors);
  /// For tests: takes the broker away, and brings it back.
  void set_up(bool up);
  /// For tests: leaves a partition without a leader, and gives it one again.
  void set_leader(const std::string& topic, std::int32_t partition, bool has_one);
  /// For tests: how long it takes over each answer.
  void set_round_trip_ms(int milliseconds);

 private:
  struct State;
  explicit EmbeddedBroker(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::kafka
