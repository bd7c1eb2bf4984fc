#include "mdpipe/kafka/admin.hpp"

#include <array>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

#include "client.hpp"
#include "mdpipe/base/clock.hpp"

namespace mdpipe::kafka {
namespace {

int as_int(Admin::Milliseconds timeout) {
  return static_cast<int>(timeout.count());
}

Owned<rd_kafka_AdminOptions_t> options_for(const Client& client, rd_kafka_admin_op_t operation,
                                           Admin::Milliseconds timeout) {
  Owned<rd_kafka_AdminOptions_t> made(::rd_kafka_AdminOptions_new(client.handle.get(), operation));
  char words[128];
  ::rd_kafka_AdminOptions_set_request_timeout(made.get(), as_int(timeout), words, sizeof words);
  return made;
}

/// The one answer to one request, on a queue of its own: what another request is told too late goes nowhere.
class Answer {
 public:
  explicit Answer(rd_kafka_t* client) : queue_(::rd_kafka_queue_new(client)) {}
  [[nodiscard]] rd_kafka_queue_t* queue() const noexcept { return queue_.get(); }

  Result<Owned<rd_kafka_event_t>> wait(const std::string& what, Admin::Milliseconds timeout, const Peer& peer) const {
    // librdkafka's own time-out first: it knows what it waited for.
    constexpr int kLateMs = 500;
    Owned<rd_kafka_event_t> event(::rd_kafka_queue_poll(queue_.get(), as_int(timeout) + kLateMs));
    if (event == nullptr) {
      return kafka_error(what, RD_KAFKA_RESP_ERR__TIMED_OUT, peer);
    }
    if (const auto error = ::rd_kafka_event_error(event.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return kafka_error(what, error, peer);
    }
    return event;
  }

 private:
  Owned<rd_kafka_queue_t> queue_;
};

/// Of a request about one topic.
Result<void> outcome(const std::string& what, const rd_kafka_topic_result_t* const* results, std::size_t count,
                     const Peer& peer) {
  if (count != 1) {
    return kafka_error(what, RD_KAFKA_RESP_ERR__BAD_MSG, peer);
  }
  const auto error = ::rd_kafka_topic_result_error(results[0]);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return {};
  }
  const char* const said = ::rd_kafka_topic_result_error_string(results[0]);
  return kafka_error(said != nullptr ? what + ": " + said : what, error, peer);
}

}  // namespace

Admin::Admin(std::shared_ptr<Client> client) noexcept : client_(std::move(client)) {}
Admin::~Admin() = default;

Result<std::unique_ptr<Admin>> Admin::connect(const Config& config) {
  auto conf = make_conf(config, {{"allow.auto.create.topics", "false"},    // to ask for a topic must not make it
                                 {"isolation.level", "read_uncommitted"},  // the end is the end, as in a tail scan
                                 {"socket.keepalive.enable", "true"},
                                 {"reconnect.backoff.max.ms", "1000"}});
  if (!conf) {
    return tl::unexpected(conf.error());
  }
  auto client = std::make_shared<Client>();
  client->bootstrap = config.bootstrap;
  auto handle = make_client(RD_KAFKA_PRODUCER, std::move(*conf), client.get());
  if (!handle) {
    return tl::unexpected(handle.error());
  }
  client->handle = std::move(*handle);
  return std::make_unique<Admin>(std::move(client));
}

Result<std::string> Admin::cluster_id(Milliseconds timeout) {
  char* const id = ::rd_kafka_clusterid(client_->handle.get(), as_int(timeout));
  if (id == nullptr) {
    return no_answer(*client_);
  }
  std::string copy(id);
  ::rd_kafka_mem_free(client_->handle.get(), id);
  return copy;
}

Result<TopicDescription> Admin::describe(const std::string& topic, Milliseconds timeout) {
  const Owned<rd_kafka_topic_t> handle(::rd_kafka_topic_new(client_->handle.get(), topic.c_str(), nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = ::rd_kafka_metadata(client_->handle.get(), 0, handle.get(), &raw, as_int(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("topic " + topic, error, *client_);
  }
  const Owned<const rd_kafka_metadata_t> metadata(raw);
  TopicDescription description{topic};
  if (metadata->topic_cnt != 1 || metadata->topics[0].err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
    return description;
  }
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("topic " + topic, found.err, *client_);
  }
  description.exists = true;
  description.partitions = found.partition_cnt;
  for (int i = 0; i < found.partition_cnt; ++i) {
    description.replication = i == 0 ? found.partitions[i].replica_cnt : description.replication;
    description.leaderless += found.partitions[i].leader < 0 ? 1 : 0;
  }
  return description;
}

/// The values that a topic's properties have; `set_for_it`: only what was set for this topic, not the defaults.
Result<std::vector<std::pair<std::string, std::string>>> Admin::properties(const std::string& topic, bool set_for_it,
                                                                           Milliseconds timeout) {
  const std::string what = "settings of topic " + topic;
  const Owned<rd_kafka_ConfigResource_t> resource(
      ::rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  std::array<rd_kafka_ConfigResource_t*, 1> resources = {resource.get()};
  const auto options = options_for(*client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  const Answer answer(client_->handle.get());
  ::rd_kafka_DescribeConfigs(client_->handle.get(), resources.data(), resources.size(), options.get(), answer.queue());
  auto event = answer.wait(what, timeout, *client_);
  if (!event) {
    return tl::unexpected(event.error());
  }
  std::size_t count = 0;
  const auto* const result = ::rd_kafka_event_DescribeConfigs_result(event->get());
  const auto* const* const described = ::rd_kafka_DescribeConfigs_result_resources(result, &count);
  if (count != 1 || ::rd_kafka_ConfigResource_error(described[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(what, count == 1 ? ::rd_kafka_ConfigResource_error(described[0]) : RD_KAFKA_RESP_ERR__BAD_MSG,
                       *client_);
  }
  std::vector<std::pair<std::string, std::string>> list;
  const auto* const* const entries = ::rd_kafka_ConfigResource_configs(described[0], &count);
  for (std::size_t i = 0; i < count; ++i) {
    const char* const value = ::rd_kafka_ConfigEntry_value(entries[i]);
    const bool is_set = ::rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG;
    if (value != nullptr && (is_set || !set_for_it)) {
      list.emplace_back(::rd_kafka_ConfigEntry_name(entries[i]), value);
    }
  }
  return list;
}

Result<TopicSettings> Admin::settings(const std::string& topic, Milliseconds timeout) {
  const auto list = properties(topic, false, timeout);
  if (!list) {
    return tl::unexpected(list.error());
  }
  TopicSettings settings;
  for (const auto& [name, value] : *list) {
    if (name == "cleanup.policy") {
      settings.cleanup_policy = value;
    } else if (name == "retention.ms") {
      settings.retention_ms = std::strtoll(value.c_str(), nullptr, 10);
    } else if (name == "max.message.bytes") {
      settings.message_max_bytes = std::strtoll(value.c_str(), nullptr, 10);
    }
  }
  return settings;
}

Result<OffsetRange> Admin::offsets(const std::string& topic, std::int32_t partition, Milliseconds timeout) {
  OffsetRange range;
  const auto error = ::rd_kafka_query_watermark_offsets(client_->handle.get(), topic.c_str(), partition, &range.begin,
                                                        &range.end, as_int(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(fmt::format("offsets of {}[{}]", topic, partition), error, *client_);
  }
  return range;
}

Result<std::vector<std::int64_t>> Admin::ends(const std::string& topic, std::int32_t partitions, Milliseconds timeout) {
  const Owned<rd_kafka_topic_partition_list_t> list(::rd_kafka_topic_partition_list_new(partitions));
  for (std::int32_t partition = 0; partition < partitions; ++partition) {
    ::rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_END;
  }
  auto error = ::rd_kafka_offsets_for_times(client_->handle.get(), list.get(), as_int(timeout));
  std::vector<std::int64_t> ends;
  for (std::int32_t i = 0; i < partitions && error == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    error = list->elems[i].err;
    ends.push_back(list->elems[i].offset);
  }
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("ends of topic " + topic, error, *client_);
  }
  return ends;
}

Result<bool> Admin::create(const TopicWanted& topic, Milliseconds timeout) {
  const std::string what = "creating topic " + topic.name;
  char words[256];
  const Owned<rd_kafka_NewTopic_t> wanted(
      ::rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, topic.replication, words, sizeof words));
  if (wanted == nullptr) {
    return fail(ErrorCode::usage, fmt::format("{}: {}", what, words));
  }
  ::rd_kafka_NewTopic_set_config(wanted.get(), "retention.ms", std::to_string(topic.retention_ms).c_str());
  ::rd_kafka_NewTopic_set_config(wanted.get(), "cleanup.policy", "delete");
  std::array<rd_kafka_NewTopic_t*, 1> topics = {wanted.get()};
  const auto options = options_for(*client_, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
  ::rd_kafka_AdminOptions_set_operation_timeout(options.get(), as_int(timeout), words, sizeof words);
  const Answer answer(client_->handle.get());
  ::rd_kafka_CreateTopics(client_->handle.get(), topics.data(), topics.size(), options.get(), answer.queue());
  auto event = answer.wait(what, timeout, *client_);
  if (!event) {
    return tl::unexpected(event.error());
  }
  std::size_t count = 0;
  const auto* const* const results =
      ::rd_kafka_CreateTopics_result_topics(::rd_kafka_event_CreateTopics_result(event->get()), &count);
  const auto error = count == 1 ? ::rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
  if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
    return false;
  }
  if (auto done = outcome(what, results, count, *client_); !done) {
    return tl::unexpected(done.error());
  }
  if (auto led = wait_for(what, topic.name, true, timeout); !led) {
    return tl::unexpected(led.error());
  }
  return true;
}

Result<void> Admin::set(const std::string& topic, const std::string& property, const std::string& value,
                        Milliseconds timeout) {
  // The request replaces all that was set for the topic.
  auto list = properties(topic, true, timeout);
  if (!list) {
    return tl::unexpected(list.error());
  }
  std::erase_if(*list, [&](const auto& one) { return one.first == property; });
  list->emplace_back(property, value);
  const std::string what = fmt::format("setting {} of topic {}", property, topic);
  const Owned<rd_kafka_ConfigResource_t> resource(
      ::rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  for (const auto& [name, text] : *list) {
    ::rd_kafka_ConfigResource_set_config(resource.get(), name.c_str(), text.c_str());
  }
  std::array<rd_kafka_ConfigResource_t*, 1> resources = {resource.get()};
  const auto options = options_for(*client_, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, timeout);
  const Answer answer(client_->handle.get());
  ::rd_kafka_AlterConfigs(client_->handle.get(), resources.data(), resources.size(), options.get(), answer.queue());
  auto event = answer.wait(what, timeout, *client_);
  if (!event) {
    return tl::unexpected(event.error());
  }
  std::size_t count = 0;
  const auto* const* const altered =
      ::rd_kafka_AlterConfigs_result_resources(::rd_kafka_event_AlterConfigs_result(event->get()), &count);
  const auto error = count == 1 ? ::rd_kafka_ConfigResource_error(altered[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? Result<void>{} : kafka_error(what, error, *client_);
}

Result<void> Admin::add_partitions(const std::string& topic, std::int32_t total, Milliseconds timeout) {
  const std::string what = fmt::format("giving topic {} {} partitions", topic, total);
  char words[256];
  const Owned<rd_kafka_NewPartitions_t> wanted(
      ::rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(total), words, sizeof words));
  if (wanted == nullptr) {
    return fail(ErrorCode::usage, fmt::format("{}: {}", what, words));
  }
  std::array<rd_kafka_NewPartitions_t*, 1> topics = {wanted.get()};
  const auto options = options_for(*client_, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, timeout);
  ::rd_kafka_AdminOptions_set_operation_timeout(options.get(), as_int(timeout), words, sizeof words);
  const Answer answer(client_->handle.get());
  ::rd_kafka_CreatePartitions(client_->handle.get(), topics.data(), topics.size(), options.get(), answer.queue());
  auto event = answer.wait(what, timeout, *client_);
  if (!event) {
    return tl::unexpected(event.error());
  }
  std::size_t count = 0;
  const auto* const* const results =
      ::rd_kafka_CreatePartitions_result_topics(::rd_kafka_event_CreatePartitions_result(event->get()), &count);
  return outcome(what, results, count, *client_);
}

Result<void> Admin::remove(const std::string& topic, Milliseconds timeout) {
  const std::string what = "deleting topic " + topic;
  const Owned<rd_kafka_DeleteTopic_t> wanted(::rd_kafka_DeleteTopic_new(topic.c_str()));
  std::array<rd_kafka_DeleteTopic_t*, 1> topics = {wanted.get()};
  const auto options = options_for(*client_, RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout);
  char words[256];
  ::rd_kafka_AdminOptions_set_operation_timeout(options.get(), as_int(timeout), words, sizeof words);
  const Answer answer(client_->handle.get());
  ::rd_kafka_DeleteTopics(client_->handle.get(), topics.data(), topics.size(), options.get(), answer.queue());
  auto event = answer.wait(what, timeout, *client_);
  if (!event) {
    return tl::unexpected(event.error());
  }
  std::size_t count = 0;
  const auto* const* const results =
      ::rd_kafka_DeleteTopics_result_topics(::rd_kafka_event_DeleteTopics_result(event->get()), &count);
  if (auto done = outcome(what, results, count, *client_); !done) {
    return done;
  }
  return wait_for(what, topic, false, timeout);
}

Result<void> Admin::wait_for(const std::string& what, const std::string& topic, bool exists, Milliseconds timeout) {
  const std::int64_t deadline_ns = monotonic_clock_ns() + timeout.count() * kNanosecondsPerMillisecond;
  for (;;) {
    const auto found = describe(topic, timeout);
    if (found && found->exists == exists && found->leaderless == 0) {
      return {};
    }
    if (monotonic_clock_ns() > deadline_ns) {
      return found ? kafka_error(what, RD_KAFKA_RESP_ERR__TIMED_OUT, *client_) : tl::unexpected(found.error());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace mdpipe::kafka
