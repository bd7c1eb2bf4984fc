#pragma once
// librdkafka's handles, owned.

#include <librdkafka/rdkafka.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"

namespace mdpipe::kafka {

struct Destroy {
  void operator()(rd_kafka_conf_t* conf) const noexcept { ::rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_t* client) const noexcept { ::rd_kafka_destroy(client); }
  void operator()(rd_kafka_queue_t* queue) const noexcept { ::rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_topic_t* topic) const noexcept { ::rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_event_t* event) const noexcept { ::rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_message_t* message) const noexcept { ::rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_error_t* error) const noexcept { ::rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_headers_t* headers) const noexcept { ::rd_kafka_headers_destroy(headers); }
  void operator()(const rd_kafka_metadata_t* metadata) const noexcept { ::rd_kafka_metadata_destroy(metadata); }
  void operator()(rd_kafka_topic_partition_list_t* list) const noexcept {
    ::rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(rd_kafka_NewTopic_t* topic) const noexcept { ::rd_kafka_NewTopic_destroy(topic); }
  void operator()(rd_kafka_NewPartitions_t* topic) const noexcept { ::rd_kafka_NewPartitions_destroy(topic); }
  void operator()(rd_kafka_DeleteTopic_t* topic) const noexcept { ::rd_kafka_DeleteTopic_destroy(topic); }
  void operator()(rd_kafka_AdminOptions_t* options) const noexcept { ::rd_kafka_AdminOptions_destroy(options); }
  void operator()(rd_kafka_ConfigResource_t* resource) const noexcept { ::rd_kafka_ConfigResource_destroy(resource); }
};
template <class T>
using Owned = std::unique_ptr<T, Destroy>;

struct Property {
  const char* name;
  std::string value;
};
/// A configuration of `ours` (in order), then what the user gave; errors without values. Without a bootstrap: for a
/// client that never connects.
[[nodiscard]] Result<Owned<rd_kafka_conf_t>> make_conf(const Config& config, std::initializer_list<Property> ours);

/// Whom a client speaks to, and what it last complained of: the answer to a call says only that nobody answered, the
/// reason (a certificate that is not trusted, a wrong password) is in a line that librdkafka logs. Must outlive the
/// client. Thread safety: the complaint may be made and asked for by different threads.
class Peer {
 public:
  std::string bootstrap;

  void complain(std::string_view line);
  /// Empty: it never did.
  [[nodiscard]] std::string complaint() const;

 private:
  mutable std::mutex mutex_;
  std::string complaint_;
};

/// A client that several may share: one that sends, and one that asks.
struct Client : Peer {
  Owned<rd_kafka_t> handle;
};

/// ErrorCode::usage where the properties do not fit together (a certificate that is not there, …). `peer`: who keeps
/// what the client complains of; it becomes the client's opaque.
[[nodiscard]] Result<Owned<rd_kafka_t>> make_client(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf,
                                                    Peer* peer = nullptr);

/// "what: words: the peer's complaint (brokers: …)"; without the complaint where it was a broker that said no.
[[nodiscard]] tl::unexpected<Error> kafka_error(const std::string& what, rd_kafka_resp_err_t error, const Peer& peer);
[[nodiscard]] tl::unexpected<Error> no_answer(const Peer& peer);

}  // namespace mdpipe::kafka
