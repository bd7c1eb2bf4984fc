#include "mdpipe/kafka/embedded_broker.hpp"

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "client.hpp"
// Behind rdkafka.h, as it wants.
#include <librdkafka/rdkafka_mock.h>

namespace mdpipe::kafka {
namespace {

constexpr std::int32_t kOnlyBroker = 1;

/// Before every order to the mock: one that comes while its thread still clears the wake-up of the order before is not
/// heard for a second.
void let_it_listen() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

}  // namespace

struct EmbeddedBroker::State {
  struct DestroyCluster {
    void operator()(rd_kafka_mock_cluster_t* mock) const noexcept {
      let_it_listen();
      ::rd_kafka_mock_cluster_destroy(mock);
    }
  };
  Owned<rd_kafka_t> client;  // lends the cluster its threads; never connects anywhere
  std::unique_ptr<rd_kafka_mock_cluster_t, DestroyCluster> cluster;
  std::string bootstrap;
};

Result<std::unique_ptr<EmbeddedBroker>> EmbeddedBroker::start(const std::vector<Topic>& topics) {
  auto conf = make_conf(Config{}, {});
  if (!conf) {
    return tl::unexpected(conf.error());
  }
  auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) {
    return tl::unexpected(client.error());
  }
  auto state = std::make_unique<State>();
  state->client = std::move(*client);
  state->cluster.reset(::rd_kafka_mock_cluster_new(state->client.get(), 1));
  if (state->cluster == nullptr) {
    return fail(ErrorCode::environment, "the embedded broker does not start: no port on 127.0.0.1?");
  }
  for (const Topic& topic : topics) {
    let_it_listen();
    const auto error = ::rd_kafka_mock_topic_create(state->cluster.get(), topic.name.c_str(), topic.partitions, 1);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(ErrorCode::environment,
                  fmt::format("embedded broker: topic {}: {}", topic.name, ::rd_kafka_err2str(error)));
    }
  }
  state->bootstrap = ::rd_kafka_mock_cluster_bootstraps(state->cluster.get());
  return std::unique_ptr<EmbeddedBroker>(new EmbeddedBroker(std::move(state)));
}

EmbeddedBroker::EmbeddedBroker(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
EmbeddedBroker::~EmbeddedBroker() = default;

const std::string& EmbeddedBroker::bootstrap() const noexcept {
  return state_->bootstrap;
}

void EmbeddedBroker::fail_next_produces(const std::vector<std::int16_t>& errors) {
  constexpr std::int16_t kProduceRequest = 0;
  std::vector<rd_kafka_resp_err_t> codes;
  codes.reserve(errors.size());
  for (const std::int16_t error : errors) {
    codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  }
  ::rd_kafka_mock_push_request_errors_array(state_->cluster.get(), kProduceRequest, codes.size(), codes.data());
}

void EmbeddedBroker::set_up(bool up) {
  let_it_listen();
  if (up) {
    ::rd_kafka_mock_broker_set_up(state_->cluster.get(), kOnlyBroker);
  } else {
    ::rd_kafka_mock_broker_set_down(state_->cluster.get(), kOnlyBroker);
  }
}

void EmbeddedBroker::set_leader(const std::string& topic, std::int32_t partition, bool has_one) {
  constexpr std::int32_t kNobody = -1;
  ::rd_kafka_mock_partition_set_leader(state_->cluster.get(), topic.c_str(), partition,
                                       has_one ? kOnlyBroker : kNobody);
}

void EmbeddedBroker::set_round_trip_ms(int milliseconds) {
  let_it_listen();
  ::rd_kafka_mock_broker_set_rtt(state_->cluster.get(), kOnlyBroker, milliseconds);
}

}  // namespace mdpipe::kafka
