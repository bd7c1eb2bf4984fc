#include "client.hpp"

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/secret.hpp"

namespace mdpipe::kafka {
namespace {

// librdkafka would write to stderr, beside our log and in a form of its own. What matters comes as an error event or as
// the answer to a call, and is said by those who asked; what it complains of is kept for them.
void keep_complaint(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  constexpr int kError = 3;  // of syslog
  auto* const peer = static_cast<Peer*>(::rd_kafka_opaque(client));
  if (peer == nullptr || std::string_view(facility) != "FAIL") {
    return;
  }
  // That a broker hangs up is no error to it, also where the broker was spoken to in a way that it does not know.
  if (level <= kError || std::string_view(text).find("security.protocol") != std::string_view::npos) {
    peer->complain(text);
  }
}

// Before this version it repeats its own nonce in the last message of SCRAM, which brokers from Kafka 4 on refuse as a
// wrong password (librdkafka's change 4895).
constexpr int kSpeaksScramToKafka4 = 0x020601ff;

}  // namespace

void Peer::complain(std::string_view line) {
  // "[thrd:NAME]: NAME: words (after 3ms in state UP)"
  if (const std::size_t begin = line.find("]: "); line.starts_with("[thrd:") && begin != std::string_view::npos) {
    line.remove_prefix(begin + 3);
  }
  line = line.substr(0, line.rfind(" (after "));
  std::string words = redact(line);
  if (line.find("SCRAM") != std::string_view::npos && ::rd_kafka_version() < kSpeaksScramToKafka4) {
    words += fmt::format("; librdkafka {} cannot speak SCRAM to Kafka 4 and later, 2.6.1 and later can",
                         ::rd_kafka_version_str());
  }
  const std::lock_guard lock(mutex_);
  complaint_ = std::move(words);
}

std::string Peer::complaint() const {
  const std::lock_guard lock(mutex_);
  return complaint_;
}

Result<Owned<rd_kafka_conf_t>> make_conf(const Config& config, std::initializer_list<Property> ours) {
  Owned<rd_kafka_conf_t> conf(::rd_kafka_conf_new());
  char words[256];
  const auto set = [&](const char* name, const std::string& value) {
    return ::rd_kafka_conf_set(conf.get(), name, value.c_str(), words, sizeof words) == RD_KAFKA_CONF_OK;
  };
  if (!config.bootstrap.empty() && !set("bootstrap.servers", config.bootstrap)) {
    return fail(ErrorCode::usage, fmt::format("--kafka {}: {}", config.bootstrap, words));
  }
  for (const auto& [name, value] : ours) {
    if (!set(name, value)) {
      return fail(ErrorCode::environment, fmt::format("librdkafka refuses {}={}: {}", name, value, words));
    }
  }
  for (const auto& [name, value] : config.properties) {
    if (!set(name.c_str(), value)) {
      return fail(ErrorCode::usage, fmt::format("librdkafka refuses this value of {}", name));
    }
  }
  ::rd_kafka_conf_set_log_cb(conf.get(), keep_complaint);
  return conf;
}

Result<Owned<rd_kafka_t>> make_client(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf, Peer* peer) {
  ::rd_kafka_conf_set_opaque(conf.get(), peer);
  char words[256];
  rd_kafka_t* const client = ::rd_kafka_new(type, conf.get(), words, sizeof words);
  if (client == nullptr) {
    return fail(ErrorCode::usage, redact(fmt::format("librdkafka: {}", words)));
  }
  (void)conf.release();  // the client owns it now
  return Owned<rd_kafka_t>(client);
}

tl::unexpected<Error> kafka_error(const std::string& what, rd_kafka_resp_err_t error, const Peer& peer) {
  const std::string complaint = error < 0 ? peer.complaint() : std::string();  // its own errors are below 0
  return fail(ErrorCode::environment, redact(fmt::format("{}: {}{}{} (brokers: {})", what, ::rd_kafka_err2str(error),
                                                         complaint.empty() ? "" : ": ", complaint, peer.bootstrap)));
}

tl::unexpected<Error> no_answer(const Peer& peer) {
  const std::string complaint = peer.complaint();
  return fail(ErrorCode::environment, fmt::format("no broker answers{}{} (brokers: {})", complaint.empty() ? "" : ": ",
                                                  complaint, peer.bootstrap));
}

}  // namespace mdpipe::kafka
