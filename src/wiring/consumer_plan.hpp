#pragma once
// What the texts of ConsumerOptions mean, and the figures of a running consumer.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"
#include "mdpipe/stage/aggregate.hpp"
#include "mdpipe/stage/store.hpp"
#include "mdpipe/wiring/consumer.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {

/// Where to begin where there is nothing to go on from.
struct StartPoint {
  enum class Kind : std::uint8_t { earliest, latest, time };
  Kind kind = Kind::earliest;
  std::int64_t time_ms = 0;
};
[[nodiscard]] Result<StartPoint> parse_start_point(const std::string& text);
/// "0,2" → 0, 2. Nothing where the text is empty.
[[nodiscard]] Result<std::vector<std::int32_t>> parse_partitions(const std::string& text);

struct ConsumerPlan {
  ConsumerRole role = ConsumerRole::store;
  kafka::Config kafka;
  TopicNames topics;
  std::string group;
  std::vector<std::int32_t> fixed_partitions;  ///< none: as a member of the group
  StartPoint from;
  bool until_end = false;
  bool require_header = false;
  std::filesystem::path folder;  ///< of the states, the locks, the folder's id
  stage::StoreOptions store;
  stage::AggregateOptions aggregate;
  std::optional<Endpoint> listen;
  std::int64_t drain_ns = 0;

  [[nodiscard]] const char* name() const noexcept { return role == ConsumerRole::store ? "store" : "aggregate"; }
};
[[nodiscard]] Result<ConsumerPlan> make_consumer_plan(const ConsumerOptions& options);

/// Of one partition, whoever reads it. Written by the consumer's thread, read by any.
struct PartitionFigures {
  SingleWriterGauge<bool> ours;
  SingleWriterGauge<std::int64_t> next_offset;  ///< of the message that comes next
  SingleWriterGauge<std::int64_t> settled;      ///< everything before it is done for good
  SingleWriterGauge<std::int64_t> end;          ///< of the log, as far as we know
};

/// The same threads.
struct ConsumerFigures {
  SingleWriterCounter messages;
  SingleWriterCounter bytes;
  SingleWriterCounter trades;
  SingleWriterCounter foreign;
  SingleWriterCounter duplicates;
  SingleWriterCounter dead_letters;
  SingleWriterCounter gaps;
  SingleWriterCounter rebalances;
  SingleWriterCounter commits;
  SingleWriterCounter taken;  ///< by the stages
  SingleWriterCounter metrics;
  SingleWriterCounter metrics_acknowledged;
  SingleWriterCounter metrics_found;
  SingleWriterCounter dead_letters_acknowledged;
  SingleWriterGauge<bool> reading;
  SingleWriterGauge<std::int64_t> moved_ns;  ///< monotonic
  SingleWriterGauge<std::int64_t> alive_ns;  ///< monotonic
};

}  // namespace mdpipe::wiring
