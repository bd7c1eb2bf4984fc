#include "mdpipe/kafka/producer.hpp"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>

#include "client.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/secret.hpp"

namespace mdpipe::kafka {
namespace {

// Enough to keep the brokers busy; beyond it the caller waits: the journal is the buffer, not this.
constexpr int kQueueMessages = 100'000;

// A message that the broker will not take however often it is sent.
bool is_permanent(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct Producer::State {
  ~State() {
    topics.clear();
    events.reset();
    if (client->handle != nullptr) {
      ::rd_kafka_purge(client->handle.get(),
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
  }

  void report(rd_kafka_event_t* event, const std::function<void(const DeliveryReport&)>& on_report);
  void note_error(rd_kafka_event_t* event);
  /// The first words stay, but for a fatal error's own: what follows it says "fatal" and no more.
  void fail_with(const char* otherwise);

  const std::shared_ptr<Client> client = std::make_shared<Client>();
  Owned<rd_kafka_queue_t> events;
  std::vector<Owned<rd_kafka_topic_t>> topics;
  std::optional<std::string> failure;
  std::string trouble;
};

Producer::Producer(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Producer::~Producer() = default;

Result<std::unique_ptr<Producer>> Producer::make(const Config& config, const std::vector<std::string>& topics,
                                                 std::size_t message_max_bytes, std::size_t batch_bytes) {
  const std::string batch = std::to_string(std::max(batch_max_bytes(message_max_bytes), batch_bytes));
  auto conf = make_conf(config, {{"compression.codec", "snappy"},
                                 {"enable.idempotence", "true"},
                                 {"enable.gapless.guarantee", "true"},
                                 {"acks", "all"},
                                 {"message.timeout.ms", "0"},
                                 {"message.max.bytes", batch},
                                 {"batch.size", batch},
                                 {"queue.buffering.max.messages", std::to_string(kQueueMessages)},
                                 {"queue.buffering.max.kbytes", "2097151"},
                                 {"linger.ms", "5"},
                                 {"batch.num.messages", "10000"},
                                 {"allow.auto.create.topics", "false"},
                                 {"isolation.level", "read_uncommitted"},  // of admin(): the end is the end
                                 {"socket.keepalive.enable", "true"},
                                 {"socket.nagle.disable", "true"},
                                 {"reconnect.backoff.max.ms", "2000"},
                                 {"retry.backoff.ms", "100"}});
  if (!conf) {
    return tl::unexpected(conf.error());
  }
  ::rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  auto state = std::make_unique<State>();
  state->client->bootstrap = config.bootstrap;
  auto handle = make_client(RD_KAFKA_PRODUCER, std::move(*conf), state->client.get());
  if (!handle) {
    return tl::unexpected(handle.error());
  }
  state->client->handle = std::move(*handle);
  state->events.reset(::rd_kafka_queue_get_main(state->client->handle.get()));
  for (const std::string& topic : topics) {
    state->topics.emplace_back(::rd_kafka_topic_new(state->client->handle.get(), topic.c_str(), nullptr));
    if (state->topics.back() == nullptr) {
      return fail(ErrorCode::usage,
                  fmt::format("\"{}\" is no name of a topic: {}", topic, ::rd_kafka_err2str(::rd_kafka_last_error())));
    }
  }
  return std::unique_ptr<Producer>(new Producer(std::move(state)));
}

ProduceStatus Producer::produce(const OutgoingMessage& message) noexcept {
  constexpr std::size_t kViewsMax = 8;
  std::array<rd_kafka_vu_t, kViewsMax> views;  // not cleared: each has 64 bytes of padding
  std::size_t count = 0;
  const auto next = [&](rd_kafka_vtype_t type) -> auto& {
    views[count].vtype = type;
    return views[count++].u;
  };
  next(RD_KAFKA_VTYPE_RKT).rkt = state_->topics[message.topic].get();
  next(RD_KAFKA_VTYPE_PARTITION).i32 = message.partition;
  next(RD_KAFKA_VTYPE_MSGFLAGS).i = 0;  // neither copied nor freed: ours until the report
  auto& value = next(RD_KAFKA_VTYPE_VALUE).mem;
  value.ptr = const_cast<char*>(message.value.data());  // librdkafka only reads it
  value.size = message.value.size();
  if (!message.key.empty()) {
    auto& key = next(RD_KAFKA_VTYPE_KEY).mem;
    key.ptr = const_cast<char*>(message.key.data());
    key.size = message.key.size();
  }
  next(RD_KAFKA_VTYPE_TIMESTAMP).i64 = message.timestamp_ms;
  // An opaque number.  NOLINTNEXTLINE(performance-no-int-to-ptr)
  next(RD_KAFKA_VTYPE_OPAQUE).ptr = reinterpret_cast<void*>(message.tag);
  Owned<rd_kafka_headers_t> headers;
  if (message.header_count != 0) {
    // Ours, of the right size: librdkafka would make room for eight, in each of tens of thousands of messages.
    headers.reset(::rd_kafka_headers_new(message.header_count));
    for (const OutgoingHeader& header : std::span(message.headers, message.header_count)) {
      (void)::rd_kafka_header_add(headers.get(), header.name.data(), static_cast<ssize_t>(header.name.size()),
                                  header.value.data(), static_cast<ssize_t>(header.value.size()));
    }
    next(RD_KAFKA_VTYPE_HEADERS).headers = headers.get();
  }
  const Owned<rd_kafka_error_t> error(::rd_kafka_produceva(state_->client->handle.get(), views.data(), count));
  if (error == nullptr) [[likely]] {
    (void)headers.release();
    return ProduceStatus::taken;
  }
  switch (::rd_kafka_error_code(error.get())) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return ProduceStatus::queue_full;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return ProduceStatus::too_large;
    default:
      state_->fail_with(::rd_kafka_error_string(error.get()));
      return ProduceStatus::failed;
  }
}

void Producer::State::report(rd_kafka_event_t* event, const std::function<void(const DeliveryReport&)>& on_report) {
  DeliveryReport report;
  report.heard_ns = monotonic_clock_ns();
  report.heard_unix_ns = wall_clock_ns();
  while (const rd_kafka_message_t* const message = ::rd_kafka_event_message_next(event)) {
    report.tag = reinterpret_cast<std::uint64_t>(message->_private);
    report.delivered = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    report.permanent = is_permanent(message->err);
    report.offset = message->offset;
    report.error = {};
    if (report.delivered) {
      trouble.clear();
    } else {
      report.error = ::rd_kafka_err2str(message->err);
    }
    on_report(report);
  }
}

void Producer::State::note_error(rd_kafka_event_t* event) {
  if (::rd_kafka_event_error_is_fatal(event) != 0) {  // its code is that of the cause
    fail_with(::rd_kafka_event_error_string(event));
  } else {
    trouble = redact(::rd_kafka_event_error_string(event));
  }
}

void Producer::State::fail_with(const char* otherwise) {
  char words[256];
  const auto fatal = ::rd_kafka_fatal_error(client->handle.get(), words, sizeof words);
  failure = redact(fatal == RD_KAFKA_RESP_ERR_NO_ERROR ? std::string(otherwise)
                                                       : fmt::format("{}: {}", ::rd_kafka_err2name(fatal), words));
}

void Producer::send_now() noexcept {
  // Its threads must see it while it lasts.
  constexpr int kSeenMs = 1;
  (void)::rd_kafka_flush(state_->client->handle.get(), kSeenMs);
}

bool Producer::poll(int timeout_ms, const std::function<void(const DeliveryReport&)>& on_report) {
  bool any = false;
  for (;;) {
    const Owned<rd_kafka_event_t> event(::rd_kafka_queue_poll(state_->events.get(), any ? 0 : timeout_ms));
    if (event == nullptr) {
      return any;
    }
    any = true;
    switch (::rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_DR:
        state_->report(event.get(), on_report);
        break;
      case RD_KAFKA_EVENT_ERROR:
        state_->note_error(event.get());
        break;
      default:
        break;
    }
  }
}

std::optional<std::int32_t> Producer::partition_count(std::size_t topic, int timeout_ms) {
  const rd_kafka_metadata_t* raw = nullptr;
  if (::rd_kafka_metadata(state_->client->handle.get(), 0, state_->topics[topic].get(), &raw, timeout_ms) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return std::nullopt;
  }
  const Owned<const rd_kafka_metadata_t> metadata(raw);
  if (metadata->topic_cnt != 1 || metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return std::nullopt;
  }
  return metadata->topics[0].partition_cnt;
}

std::unique_ptr<Admin> Producer::admin() const {
  return std::make_unique<Admin>(state_->client);
}

const std::optional<std::string>& Producer::failure() const noexcept {
  return state_->failure;
}

const std::string& Producer::trouble() const noexcept {
  return state_->trouble;
}

}  // namespace mdpipe::kafka
