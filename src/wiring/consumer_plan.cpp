#include "consumer_plan.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::wiring {

Result<StartPoint> parse_start_point(const std::string& text) {
  if (text == "earliest") {
    return StartPoint{StartPoint::Kind::earliest, 0};
  }
  if (text == "latest") {
    return StartPoint{StartPoint::Kind::latest, 0};
  }
  const auto time_ns = parse_time_ns(text);
  if (!time_ns) {
    return fail(ErrorCode::usage,
                fmt::format("--from {}: give earliest, latest or a time ({})", text, time_ns.error().message));
  }
  return StartPoint{StartPoint::Kind::time, floor_to_ms(*time_ns)};
}

Result<std::vector<std::int32_t>> parse_partitions(const std::string& text) {
  std::vector<std::int32_t> partitions;
  for (const std::string_view part : split(text, ',')) {
    std::int32_t partition = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), partition);
    if (error != std::errc{} || end != part.data() + part.size() || partition < 0) {
      return fail(ErrorCode::usage, fmt::format("--partitions {}: give numbers, as 0,2", text));
    }
    if (std::find(partitions.begin(), partitions.end(), partition) == partitions.end()) {
      partitions.push_back(partition);
    }
  }
  return partitions;
}

Result<ConsumerPlan> make_consumer_plan(const ConsumerOptions& options) {
  ConsumerPlan plan;
  plan.role = options.role;
  auto config = kafka::make_config(options.kafka.empty() ? "localhost:9092" : options.kafka, options.kafka_properties,
                                   options.kafka_config);
  if (!config) {
    return tl::unexpected(config.error());
  }
  plan.kafka = std::move(*config);
  auto partitions = parse_partitions(options.partitions);
  if (!partitions) {
    return tl::unexpected(partitions.error());
  }
  plan.fixed_partitions = std::move(*partitions);
  auto from = parse_start_point(options.from);
  if (!from) {
    return tl::unexpected(from.error());
  }
  plan.from = *from;
  if (options.listen != "none") {
    auto endpoint = parse_endpoint("--listen", options.listen);
    if (!endpoint) {
      return tl::unexpected(endpoint.error());
    }
    plan.listen = *endpoint;
  }
  if (options.group.empty()) {
    return fail(ErrorCode::usage, "--group: a group needs a name");
  }
  plan.topics = options.topics;
  plan.group = options.group;
  plan.until_end = options.until_end;
  plan.require_header = options.require_header;
  plan.folder = options.role == ConsumerRole::store ? std::filesystem::path(options.folder) / ".state"
                                                    : std::filesystem::path(options.folder);
  plan.store.directory = options.folder;
  plan.store.flush_bytes = options.flush_bytes;
  plan.store.flush_interval_ns = options.flush_ms * kNanosecondsPerMillisecond;
  plan.aggregate.window = options.window;
  plan.aggregate.every = options.every;
  plan.aggregate.precision = options.precision;
  plan.aggregate.state_directory = plan.folder;
  plan.drain_ns = options.drain_s * kNanosecondsPerSecond;
  return plan;
}

}  // namespace mdpipe::wiring
