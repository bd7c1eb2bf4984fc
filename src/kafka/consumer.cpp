#include "mdpipe/kafka/consumer.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>

#include <fmt/format.h>

#include "client.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/secret.hpp"
#include "mdpipe/kafka/message_header.hpp"

namespace mdpipe::kafka {
namespace {

using PartitionList = Owned<rd_kafka_topic_partition_list_t>;

int as_int(Consumer::Milliseconds timeout) {
  return static_cast<int>(timeout.count());
}

std::string_view view(const void* bytes, std::size_t size) {
  return bytes == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(bytes), size);
}

std::optional<std::string_view> header_of(const rd_kafka_message_t& message) {
  rd_kafka_headers_t* headers = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  if (::rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      ::rd_kafka_header_get_last(headers, kHeaderName.data(), &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return std::nullopt;
  }
  return view(value, size);
}

}  // namespace

struct Consumer::State : Peer {
  ~State() {
    message.reset();
    if (client != nullptr) {
      closing = true;
      ::rd_kafka_consumer_close(client.get());
    }
  }

  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* list,
                           void* opaque);
  void note(const rd_kafka_message_t& broken);
  void wait_for_message(int timeout_ms);
  void keep_fetching();
  [[nodiscard]] PartitionList list_of(const std::vector<PartitionOffset>& offsets) const;
  [[nodiscard]] Result<void> assign(const rd_kafka_topic_partition_list_t* list) const;

  std::string topic;
  Owned<rd_kafka_t> client;
  Owned<rd_kafka_message_t> message;  // the one that next() gave out
  std::deque<Rebalance> rebalances;
  std::vector<std::int64_t> next_offsets;  // a partition; -1: nothing came of it yet
  std::int64_t keep_fetching_at_ns = 0;    // not before
  bool closing = false;
  std::optional<Error> failure;
  std::string trouble;
};

/// Called within next(). Assigning nothing at once lets the group settle; the caller begins when it is ready. What is
/// revoked stays ours until the caller has flushed.
void Consumer::State::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* list,
                                   void* opaque) {
  auto& state = static_cast<State&>(*static_cast<Peer*>(opaque));
  const bool assigned = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  if (state.closing || assigned || error != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
    const PartitionList none(::rd_kafka_topic_partition_list_new(0));
    ::rd_kafka_assign(client, assigned && !state.closing ? none.get() : nullptr);
  }
  if (state.closing) {
    return;
  }
  Rebalance rebalance;
  rebalance.kind = assigned                                  ? Rebalance::Kind::assigned
                   : ::rd_kafka_assignment_lost(client) != 0 ? Rebalance::Kind::lost
                                                             : Rebalance::Kind::revoked;
  for (int i = 0; i < list->cnt; ++i) {
    rebalance.partitions.push_back(list->elems[i].partition);
  }
  state.rebalances.push_back(std::move(rebalance));
}

void Consumer::State::note(const rd_kafka_message_t& broken) {
  const std::string words = redact(::rd_kafka_message_errstr(&broken));
  char fatal_words[256];
  switch (broken.err) {
    case RD_KAFKA_RESP_ERR__FATAL: {
      const auto fatal = ::rd_kafka_fatal_error(client.get(), fatal_words, sizeof fatal_words);
      failure = Error{ErrorCode::environment,
                      redact(fmt::format("consumer of {}: {}: {}", topic, ::rd_kafka_err2name(fatal), fatal_words))};
      break;
    }
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      failure = Error{ErrorCode::data, fmt::format("{}[{}]: what comes next is not in the topic any more: {}", topic,
                                                   broken.partition, words)};
      break;
    default:
      trouble = words;
  }
}

PartitionList Consumer::State::list_of(const std::vector<PartitionOffset>& offsets) const {
  PartitionList list(::rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const PartitionOffset& one : offsets) {
    auto* const added = ::rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), one.partition);
    added->offset = one.offset;
    if (!one.metadata.empty()) {
      added->metadata = std::malloc(one.metadata.size());  // NOLINT(cppcoreguidelines-no-malloc): freed by the list
      std::memcpy(added->metadata, one.metadata.data(), one.metadata.size());
      added->metadata_size = one.metadata.size();
    }
  }
  return list;
}

/// librdkafka stops fetching when its queue is full and looks up to a second later whether there is room again, where a
/// fast reader has long emptied it (from 2.2 on there is fetch.queue.backoff.ms against it). A question to the broker
/// wakes the thread that fetches from it.
void Consumer::State::keep_fetching() {
  constexpr int kPatienceMs = 200;
  const std::int64_t now_ns = monotonic_clock_ns();
  if (now_ns < keep_fetching_at_ns) {
    return;
  }
  for (std::size_t partition = 0; partition < next_offsets.size(); ++partition) {
    const auto number = static_cast<std::int32_t>(partition);
    std::int64_t begin = -1;
    std::int64_t end = -1;
    ::rd_kafka_get_watermark_offsets(client.get(), topic.c_str(), number, &begin, &end);
    if (next_offsets[partition] < 0 || end <= next_offsets[partition]) {
      continue;
    }
    keep_fetching_at_ns =
        now_ns + kNanosecondsPerSecond;  // where it does not help: a transaction that is open, no broker
    ::rd_kafka_query_watermark_offsets(client.get(), topic.c_str(), number, &begin, &end, kPatienceMs);
  }
}

void Consumer::State::wait_for_message(int timeout_ms) {
  constexpr int kHungryMs = 5;
  const int first_ms = std::min(timeout_ms, kHungryMs);
  message.reset(::rd_kafka_consumer_poll(client.get(), first_ms));
  if (message == nullptr && timeout_ms > 0) {
    keep_fetching();
    message.reset(::rd_kafka_consumer_poll(client.get(), timeout_ms - first_ms));
  }
  if (message == nullptr || message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->partition < 0) {
    return;
  }
  const auto partition = static_cast<std::size_t>(message->partition);
  if (partition >= next_offsets.size()) {
    next_offsets.resize(partition + 1, -1);
  }
  next_offsets[partition] = message->offset + 1;
  keep_fetching_at_ns = 0;
}

Result<void> Consumer::State::assign(const rd_kafka_topic_partition_list_t* list) const {
  if (const auto error = ::rd_kafka_assign(client.get(), list); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("reading " + topic, error, *this);
  }
  return {};
}

Consumer::Consumer(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Consumer::~Consumer() = default;

Result<std::unique_ptr<Consumer>> Consumer::make(const Config& config, const ConsumerOptions& options) {
  auto conf = make_conf(config, {{"group.id", options.group},
                                 {"session.timeout.ms", std::to_string(options.session_timeout_ms)},
                                 {"heartbeat.interval.ms", std::to_string(options.heartbeat_ms)},
                                 {"partition.assignment.strategy", "range"},
                                 {"enable.auto.commit", "false"},
                                 {"enable.auto.offset.store", "false"},
                                 {"enable.partition.eof", "true"},
                                 {"isolation.level", "read_committed"},
                                 {"auto.offset.reset", "error"},
                                 {"allow.auto.create.topics", "false"},
                                 {"fetch.wait.max.ms", "100"},
                                 {"queued.max.messages.kbytes", "32768"},
                                 {"socket.keepalive.enable", "true"},
                                 {"socket.nagle.disable", "true"},
                                 {"reconnect.backoff.max.ms", "2000"}});
  if (!conf) {
    return tl::unexpected(conf.error());
  }
  char words[256];
  if (!options.member.empty() && ::rd_kafka_conf_set(conf->get(), "group.instance.id", options.member.c_str(), words,
                                                     sizeof words) != RD_KAFKA_CONF_OK) {
    return fail(ErrorCode::environment, fmt::format("librdkafka refuses the member {}: {}", options.member, words));
  }
  auto state = std::make_unique<State>();
  ::rd_kafka_conf_set_rebalance_cb(conf->get(), State::on_rebalance);
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf), state.get());
  if (!client) {
    return tl::unexpected(client.error());
  }
  ::rd_kafka_poll_set_consumer(client->get());
  state->bootstrap = config.bootstrap;
  state->topic = options.topic;
  state->client = std::move(*client);
  return std::unique_ptr<Consumer>(new Consumer(std::move(state)));
}

Result<void> Consumer::join() {
  const PartitionList topics(::rd_kafka_topic_partition_list_new(1));
  ::rd_kafka_topic_partition_list_add(topics.get(), state_->topic.c_str(), RD_KAFKA_PARTITION_UA);
  if (const auto error = ::rd_kafka_subscribe(state_->client.get(), topics.get());
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("joining the group that reads " + state_->topic, error, *state_);
  }
  return {};
}

Result<void> Consumer::read(const std::vector<PartitionOffset>& from) {
  state_->message.reset();
  state_->next_offsets.clear();
  return state_->assign(state_->list_of(from).get());
}

Result<void> Consumer::give_up() {
  state_->message.reset();
  state_->next_offsets.clear();
  return state_->assign(nullptr);
}

Incoming Consumer::next(int timeout_ms) {
  Incoming incoming;
  state_->wait_for_message(timeout_ms);
  if (state_->message == nullptr) {
    return incoming;
  }
  const rd_kafka_message_t& message = *state_->message;
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    incoming.kind = Incoming::Kind::end;
    incoming.message.partition = message.partition;
    incoming.message.offset = message.offset;
    return incoming;
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    state_->note(message);
    return incoming;
  }
  if (!state_->trouble.empty()) {
    state_->trouble.clear();
  }
  incoming.kind = Incoming::Kind::message;
  incoming.message = {message.partition,
                      message.offset,
                      view(message.key, message.key_len),
                      view(message.payload, message.len),
                      header_of(message),
                      ::rd_kafka_message_timestamp(&message, nullptr)};
  return incoming;
}

std::optional<Rebalance> Consumer::take_rebalance() {
  if (state_->rebalances.empty()) {
    return std::nullopt;
  }
  std::optional<Rebalance> oldest(std::move(state_->rebalances.front()));
  state_->rebalances.pop_front();
  return oldest;
}

Result<void> Consumer::commit(const std::vector<PartitionOffset>& offsets, bool wait) {
  if (offsets.empty()) {
    return {};
  }
  const PartitionList list = state_->list_of(offsets);
  if (const auto error = ::rd_kafka_commit(state_->client.get(), list.get(), wait ? 0 : 1);
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("committing offsets of " + state_->topic, error, *state_);
  }
  return {};
}

Result<std::vector<PartitionOffset>> Consumer::committed(const std::vector<std::int32_t>& partitions,
                                                         Milliseconds timeout) {
  std::vector<PartitionOffset> found;
  found.reserve(partitions.size());
  for (const std::int32_t partition : partitions) {
    found.push_back({partition, -1, {}});
  }
  const PartitionList list = state_->list_of(found);
  if (const auto error = ::rd_kafka_committed(state_->client.get(), list.get(), as_int(timeout));
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error("committed offsets of " + state_->topic, error, *state_);
  }
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& one = list->elems[i];
    if (one.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return kafka_error("committed offsets of " + state_->topic, one.err, *state_);
    }
    PartitionOffset& offset = found[static_cast<std::size_t>(i)];
    offset.offset = std::max<std::int64_t>(one.offset, -1);
    offset.metadata = view(one.metadata, one.metadata_size);
  }
  return found;
}

Result<OffsetRange> Consumer::offsets(std::int32_t partition, Milliseconds timeout) {
  OffsetRange range;
  if (const auto error = ::rd_kafka_query_watermark_offsets(state_->client.get(), state_->topic.c_str(), partition,
                                                            &range.begin, &range.end, as_int(timeout));
      error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(fmt::format("offsets of {}[{}]", state_->topic, partition), error, *state_);
  }
  return range;
}

Result<std::int64_t> Consumer::offset_at(std::int32_t partition, std::int64_t time_ms, Milliseconds timeout) {
  const PartitionList list = state_->list_of({{partition, time_ms, {}}});
  auto error = ::rd_kafka_offsets_for_times(state_->client.get(), list.get(), as_int(timeout));
  error = error == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[0].err : error;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(fmt::format("offset of a time in {}[{}]", state_->topic, partition), error, *state_);
  }
  if (list->elems[0].offset >= 0) {
    return list->elems[0].offset;
  }
  const auto range = offsets(partition, timeout);
  if (!range) {
    return tl::unexpected(range.error());
  }
  return range->end;
}

std::int64_t Consumer::known_end(std::int32_t partition) const noexcept {
  std::int64_t begin = -1;
  std::int64_t end = -1;
  ::rd_kafka_get_watermark_offsets(state_->client.get(), state_->topic.c_str(), partition, &begin, &end);
  return std::max<std::int64_t>(end, -1);
}

const std::optional<Error>& Consumer::failure() const noexcept {
  return state_->failure;
}

const std::string& Consumer::trouble() const noexcept {
  return state_->trouble;
}

}  // namespace mdpipe::kafka
