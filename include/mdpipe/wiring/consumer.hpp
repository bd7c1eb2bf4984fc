#pragma once
/// \file
/// A stage on a Kafka topic in place of a journal: options → a running consumer, and back down again in order.
///
///     partition ─▶ filter (drop position <= last of its source) ─▶ record in place ─▶ the partition's own stage
///                     │ not a trade: dead letter, acknowledged before anything behind it is saved
///
/// Files are synced before the state that speaks of them, the state before the commit to Kafka: where it goes on is the
/// state's to say, the commit is a figure for lag.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/wiring/run_options.hpp"

namespace mdpipe::wiring {

enum class ConsumerRole : std::uint8_t { store, aggregate };

/// Every option of `mdpipe store` and `mdpipe aggregate`; the texts are as the user gave them.
struct ConsumerOptions {
  ConsumerRole role = ConsumerRole::store;

  // What is read
  std::string kafka;                          ///< HOST:PORT,…; empty = localhost:9092
  std::vector<std::string> kafka_properties;  ///< key=value for librdkafka, less those that we own
  std::string kafka_config;                   ///< file of such lines
  std::string group;
  TopicNames topics;              ///< `raw` is read
  std::string partitions;         ///< "0,2": these, and no group; empty: what the group gives us
  std::string from = "earliest";  ///< where a partition begins that has no state: earliest, latest or a time
  bool until_end = false;         ///< stop when the group is at what was the end when it started
  bool require_header = false;    ///< a message without our header is poison, not foreign

  // Where it goes
  std::string folder;  ///< files and states (store), states (aggregate); shared by the members of a group

  // How it is shaped
  std::uint32_t window = 20;
  std::uint32_t every = 10;
  std::optional<std::uint32_t> precision;
  std::uint64_t flush_bytes = 1U << 20U;
  std::uint32_t flush_ms = 1000;

  // How it runs
  std::string listen;         ///< health and metrics; "none" for neither
  std::uint32_t drain_s = 8;  ///< patience after SIGTERM
};

/// How a consumer ended, in numbers that must add up.
struct ConsumerSummary {
  ConsumerRole role = ConsumerRole::store;
  std::uint64_t messages = 0;      ///< = trades + duplicates + dead_letters
  std::uint64_t trades = 0;        ///< given to the stage
  std::uint64_t foreign = 0;       ///< of them without our header
  std::uint64_t duplicates = 0;    ///< dropped by the filter
  std::uint64_t dead_letters = 0;  ///< could not be used
  std::uint64_t gaps = 0;          ///< alarms: what came before a message is missing
  std::uint64_t taken = 0;         ///< trades that the stage has counted
  std::uint64_t metrics = 0;
  std::uint64_t metrics_acknowledged = 0;
  std::uint64_t metrics_found = 0;  ///< were in the topic already: not sent again
  std::vector<std::string> outputs;

  [[nodiscard]] bool adds_up() const noexcept {
    return messages == trades + duplicates + dead_letters && taken == trades;
  }
  [[nodiscard]] std::string text() const;
};

/// Thread safety: open(), run() and summary() by one thread; stop() by any, and from a signal handler.
class ConsumerPipeline {
 public:
  /// Everything that can be refused without a broker is refused here.
  [[nodiscard]] static Result<std::unique_ptr<ConsumerPipeline>> open(const ConsumerOptions& options);

  virtual ~ConsumerPipeline() = default;

  /// Until the end (with until_end), a failure, or stop(). `progress` gets one line about once a second.
  [[nodiscard]] virtual Result<void> run(const std::function<void(const std::string&)>& progress) = 0;

  virtual void stop() noexcept = 0;

  [[nodiscard]] virtual ConsumerSummary summary() const = 0;
};

}  // namespace mdpipe::wiring
