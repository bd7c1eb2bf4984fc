#include "support/topic_reader.hpp"

#include <librdkafka/rdkafka.h>

#include <stdexcept>

namespace mdpipe::testing {
namespace {

rd_kafka_t* make_consumer(const std::string& bootstrap) {
  rd_kafka_conf_t* const conf = ::rd_kafka_conf_new();
  char words[256];
  for (const auto& [name, value] :
       {std::pair("bootstrap.servers", bootstrap.c_str()), std::pair("group.id", "test"),
        std::pair("enable.auto.commit", "false"), std::pair("enable.partition.eof", "true"),
        std::pair("fetch.wait.max.ms", "10"), std::pair("fetch.error.backoff.ms", "10"), std::pair("log_level", "0")}) {
    if (::rd_kafka_conf_set(conf, name, value, words, sizeof words) != RD_KAFKA_CONF_OK) {
      throw std::runtime_error(words);
    }
  }
  rd_kafka_t* const client = ::rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
  if (client == nullptr) {
    throw std::runtime_error(words);
  }
  ::rd_kafka_poll_set_consumer(client);
  return client;
}

ReadMessage copy(const rd_kafka_message_t& message) {
  ReadMessage read;
  read.partition = message.partition;
  read.offset = message.offset;
  read.timestamp_ms = ::rd_kafka_message_timestamp(&message, nullptr);
  read.key.assign(static_cast<const char*>(message.key), message.key_len);
  read.value.assign(static_cast<const char*>(message.payload), message.len);
  rd_kafka_headers_t* headers = nullptr;
  if (::rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; ::rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      read.headers.emplace_back(name, std::string(static_cast<const char*>(value), size));
    }
  }
  return read;
}

}  // namespace

std::string ReadMessage::header(const std::string& name) const {
  for (const auto& one : headers) {
    if (one.first == name) {
      return one.second;
    }
  }
  return {};
}

std::vector<ReadMessage> read_topic(const std::string& bootstrap, const std::string& topic, std::int32_t partitions) {
  constexpr int kPatienceMs = 30'000;
  rd_kafka_t* const client = make_consumer(bootstrap);
  rd_kafka_topic_partition_list_t* const list = ::rd_kafka_topic_partition_list_new(partitions);
  for (std::int32_t partition = 0; partition < partitions; ++partition) {
    // A number, not "the beginning": that one is asked for half a second later, when the leader is known.
    ::rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = 0;
  }
  ::rd_kafka_assign(client, list);
  ::rd_kafka_topic_partition_list_destroy(list);
  std::vector<ReadMessage> all;
  std::string trouble;
  for (std::int32_t ended = 0; ended < partitions && trouble.empty();) {
    rd_kafka_message_t* const message = ::rd_kafka_consumer_poll(client, kPatienceMs);
    if (message == nullptr) {
      trouble = "no message and no end of " + topic;
      break;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ++ended;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      all.push_back(copy(*message));
    } else if (message->err != RD_KAFKA_RESP_ERR__TRANSPORT && message->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
      trouble = ::rd_kafka_err2str(message->err);
    }
    ::rd_kafka_message_destroy(message);
  }
  ::rd_kafka_consumer_close(client);
  ::rd_kafka_destroy(client);
  if (!trouble.empty()) {
    throw std::runtime_error(trouble);
  }
  return all;
}

}  // namespace mdpipe::testing
