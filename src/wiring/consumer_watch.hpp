#pragma once
// What a running consumer says of itself: health, metrics, the live line, the summary.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "consumer_plan.hpp"
#include "mdpipe/ops/health.hpp"
#include "mdpipe/ops/metrics_page.hpp"

namespace mdpipe::wiring {

/// Thread safety: health() and metrics() by any thread; the rest by the consumer's.
class ConsumerWatch {
 public:
  ConsumerWatch(const ConsumerPlan& plan, const ConsumerFigures& figures);

  /// Once, when the topic is known. They outlive the watch.
  void meet_partitions(std::span<const PartitionFigures> partitions);

  /// Why nothing is read, and what is waited for; empty where all is well. Logged when it changes.
  void say(const std::string& not_reading, const std::string& waiting_for);

  [[nodiscard]] ops::HealthReport health() const;
  [[nodiscard]] std::string metrics() const;
  /// About once a second.
  [[nodiscard]] std::optional<std::string> live_line(std::int64_t now_ns);
  [[nodiscard]] ConsumerSummary summary() const;

 private:
  struct Sums {
    std::int64_t next = 0;
    std::int64_t settled = 0;
    std::int64_t end = 0;
  };
  [[nodiscard]] Sums sums() const;

  const ConsumerPlan& plan_;
  const ConsumerFigures& figures_;

  mutable std::mutex mutex_;
  std::span<const PartitionFigures> partitions_;
  std::unique_ptr<ops::MetricsPage> page_;
  std::string not_reading_ = "not connected to Kafka yet";
  std::string waiting_for_;

  std::int64_t live_ns_ = 0;
  std::uint64_t live_messages_ = 0;
};

}  // namespace mdpipe::wiring
