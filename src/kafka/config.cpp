#include "mdpipe/kafka/config.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "client.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/secret.hpp"

namespace mdpipe::kafka {
namespace {

// With any other value of these the promise does not hold, or our own code does not work.
constexpr auto kOwned = std::to_array<std::string_view>({"acks",
                                                         "allow.auto.create.topics",
                                                         "api.version.request",
                                                         "auto.commit.enable",
                                                         "auto.offset.reset",
                                                         "bootstrap.servers",
                                                         "delivery.report.only.error",
                                                         "delivery.timeout.ms",
                                                         "dr_msg_cb",
                                                         "enable.auto.commit",
                                                         "enable.auto.offset.store",
                                                         "enable.gapless.guarantee",
                                                         "enable.idempotence",
                                                         "enable.partition.eof",
                                                         "enabled_events",
                                                         "group.id",
                                                         "group.instance.id",
                                                         "isolation.level",
                                                         "max.in.flight",
                                                         "max.in.flight.requests.per.connection",
                                                         "message.max.bytes",
                                                         "message.send.max.retries",
                                                         "message.timeout.ms",
                                                         "metadata.broker.list",
                                                         "partition.assignment.strategy",
                                                         "partitioner",
                                                         "queue.buffering.max.kbytes",
                                                         "queue.buffering.max.messages",
                                                         "queuing.strategy",
                                                         "request.required.acks",
                                                         "retries",
                                                         "session.timeout.ms",
                                                         "test.mock.num.brokers",
                                                         "transactional.id"});

// Turned off, anybody on the way could be the broker.
constexpr auto kChecks =
    std::to_array<std::string_view>({"enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"});

// Of names whose values are secrets; key.pem is a private key in the property itself.
constexpr auto kSecretWords = std::to_array<std::string_view>({"password", "secret", "oauthbearer.config", "key.pem"});

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_secret(std::string_view key) {
  return std::any_of(kSecretWords.begin(), kSecretWords.end(),
                     [&](std::string_view word) { return key.find(word) != std::string_view::npos; });
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

Result<void> add(Config& config, std::string_view line, std::string_view where) {
  const std::size_t equals = line.find('=');
  const std::string key(line.substr(0, equals));
  if (equals == std::string_view::npos || !is_name(key)) {
    // Not quoted: "sasl.password hunter2" is a slip of the hand.
    return fail(ErrorCode::usage, fmt::format("{}: not KEY=VALUE", where));
  }
  std::string value(line.substr(equals + 1));
  std::string_view plain = key;
  while (plain.starts_with("topic.")) {  // librdkafka takes topic.acks for acks
    plain.remove_prefix(std::string_view("topic.").size());
  }
  if (is_one_of(kOwned, plain)) {
    return fail(ErrorCode::usage, fmt::format("{}: {} belongs to mdpipe: its promises rest on it", where, key));
  }
  if (is_one_of(kChecks, plain)) {
    return fail(ErrorCode::usage, fmt::format("{}: {} stays as it is: mdpipe checks certificates and host names; a "
                                              "broker with a CA of its own needs ssl.ca.location",
                                              where, key));
  }
  const Owned<rd_kafka_conf_t> probe(::rd_kafka_conf_new());
  char words[8];  // they quote the value, which may be a secret: not shown
  switch (::rd_kafka_conf_set(probe.get(), key.c_str(), value.c_str(), words, sizeof words)) {
    case RD_KAFKA_CONF_OK:
      break;
    case RD_KAFKA_CONF_UNKNOWN:
      return fail(ErrorCode::usage, fmt::format("{}: librdkafka knows no property {}", where, key));
    default:
      return fail(ErrorCode::usage, fmt::format("{}: librdkafka refuses this value of {}", where, key));
  }
  if (is_secret(key)) {
    remember_secret(Secret(value));
  }
  config.properties.emplace_back(key, std::move(value));
  return {};
}

}  // namespace

Result<Config> make_config(std::string bootstrap, const std::vector<std::string>& properties, const std::string& file) {
  Config config{std::move(bootstrap), {}};
  if (!file.empty()) {
    auto content = read_file(file, 1U << 20U);
    if (!content) {
      return fail(ErrorCode::environment, fmt::format("--kafka-config {}", content.error().message));
    }
    struct stat status {};
    const bool others_may_read = ::stat(file.c_str(), &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    std::string_view rest = *content;
    for (int number = 1; !rest.empty(); ++number) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.ends_with('\r')) {
        line.remove_suffix(1);
      }
      if (line.empty() || line.front() == '#') {
        continue;
      }
      if (others_may_read && is_secret(line.substr(0, line.find('=')))) {
        return fail(
            ErrorCode::usage,
            fmt::format("--kafka-config {} holds a secret and may be read by others: chmod 600 {}", file, file));
      }
      if (auto added = add(config, line, fmt::format("{}:{}", file, number)); !added) {
        return tl::unexpected(added.error());
      }
    }
  }
  for (const std::string& property : properties) {
    if (const std::string_view key = std::string_view(property).substr(0, property.find('='));
        is_name(key) && is_secret(key)) {
      return fail(ErrorCode::usage, fmt::format("-X: {} is a secret, and arguments can be read by everybody on this "
                                                "host: put it into a file of mode 0600 and name that by --kafka-config",
                                                key));
    }
    if (auto added = add(config, property, "-X"); !added) {
      return tl::unexpected(added.error());
    }
  }
  return config;
}

}  // namespace mdpipe::kafka
