#include "mdpipe/kafka/tail_scan.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include "client.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/message_header.hpp"

namespace mdpipe::kafka {
namespace {

/// Whatever the source.
void note_position(const rd_kafka_message_t& message, std::map<std::uint64_t, std::uint64_t>& positions) {
  rd_kafka_headers_t* headers = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  if (::rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      ::rd_kafka_header_get_last(headers, kHeaderName.data(), &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return;
  }
  if (const auto header = decode({static_cast<const char*>(value), size})) {
    std::uint64_t& last = positions[header->source];
    last = std::max(last, header->position);
  }
}

bool is_of(const rd_kafka_message_t& message, std::string_view topic, std::int32_t partition) {
  return message.rkt != nullptr && message.partition == partition && ::rd_kafka_topic_name(message.rkt) == topic;
}

}  // namespace

struct TailScanner::State : Peer {
  [[nodiscard]] rd_kafka_resp_err_t meet(const std::string& topic, std::chrono::milliseconds patience);

  Owned<rd_kafka_t> client;
  std::map<std::string, Owned<rd_kafka_topic_t>, std::less<>> topics;  // met
};

/// Assigned unseen, a topic's leaders are looked for when librdkafka's timer next goes off, up to a second later.
rd_kafka_resp_err_t TailScanner::State::meet(const std::string& topic, std::chrono::milliseconds patience) {
  if (topics.find(topic) != topics.end()) {
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  Owned<rd_kafka_topic_t> handle(::rd_kafka_topic_new(client.get(), topic.c_str(), nullptr));
  if (handle == nullptr) {
    return ::rd_kafka_last_error();
  }
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = ::rd_kafka_metadata(client.get(), 0, handle.get(), &raw, static_cast<int>(patience.count()));
  const Owned<const rd_kafka_metadata_t> metadata(raw);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    topics.emplace(topic, std::move(handle));
  }
  return error;
}

TailScanner::TailScanner(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

TailScanner::~TailScanner() {
  if (state_ != nullptr) {
    state_->topics.clear();
    ::rd_kafka_consumer_close(state_->client.get());
  }
}

Result<std::unique_ptr<TailScanner>> TailScanner::connect(const Config& config) {
  auto conf =
      make_conf(config, {{"group.id", "mdpipe-scan"},  // librdkafka wants one; nothing is committed to it
                         {"enable.auto.commit", "false"},
                         {"enable.partition.eof", "true"},
                         // Our messages are of no transaction: another's that is open must not hide those behind it.
                         {"isolation.level", "read_uncommitted"},
                         {"auto.offset.reset", "earliest"},
                         {"fetch.wait.max.ms", "50"},
                         {"reconnect.backoff.max.ms", "1000"}});
  if (!conf) {
    return tl::unexpected(conf.error());
  }
  auto state = std::make_unique<State>();
  state->bootstrap = config.bootstrap;
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf), state.get());
  if (!client) {
    return tl::unexpected(client.error());
  }
  ::rd_kafka_poll_set_consumer(client->get());
  state->client = std::move(*client);
  return std::unique_ptr<TailScanner>(new TailScanner(std::move(state)));
}

Result<TailScan> TailScanner::scan(const std::string& topic, std::int32_t partition, std::int64_t from,
                                   std::int64_t end, std::uint64_t source, std::chrono::milliseconds patience) {
  TailScan result;
  result.end = end;
  if (from >= end) {
    return result;
  }
  const std::string what = fmt::format("scanning {}[{}] from {} to {}", topic, partition, from, end);
  if (const auto error = state_->meet(topic, patience); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(what, error, *state_);
  }
  const Owned<rd_kafka_topic_partition_list_t> list(::rd_kafka_topic_partition_list_new(1));
  ::rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = from;
  if (const auto error = ::rd_kafka_assign(state_->client.get(), list.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(what, error, *state_);
  }
  rd_kafka_resp_err_t trouble = RD_KAFKA_RESP_ERR__TIMED_OUT;
  std::int64_t deadline_ns = monotonic_clock_ns() + patience.count() * kNanosecondsPerMillisecond;
  for (bool done = false; !done;) {
    const Owned<rd_kafka_message_t> message(::rd_kafka_consumer_poll(state_->client.get(), 100));
    const std::int64_t now_ns = monotonic_clock_ns();
    if (message != nullptr && !is_of(*message, topic, partition)) {
      // An error of a connection, or an end that the scan before this one no longer waited for.
      trouble = message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF ? message->err : trouble;
    } else if (message != nullptr && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      deadline_ns = now_ns + patience.count() * kNanosecondsPerMillisecond;
      ++result.messages;
      note_position(*message, result.positions);
      done = message->offset + 1 >= end;
    } else if (message != nullptr && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      done = message->offset >= end;
    } else if (message != nullptr) {
      trouble = message->err;
    }
    if (!done && now_ns > deadline_ns) {
      return kafka_error(what, trouble, *state_);
    }
  }
  ::rd_kafka_assign(state_->client.get(), nullptr);
  const auto found = result.positions.find(source);
  result.last_position = found == result.positions.end() ? 0 : found->second;
  return result;
}

}  // namespace mdpipe::kafka
