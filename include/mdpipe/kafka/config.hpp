#pragma once
/// \file
/// Where Kafka is and with which properties to speak to it.

#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::kafka {

struct Config {
  std::string bootstrap;  ///< HOST:PORT,…
  /// For librdkafka, in order; later ones win. May hold secrets: never printed.
  std::vector<std::pair<std::string, std::string>> properties;
};

/// `properties`: "key=value" each, from the command line; `file`: such lines, blank ones and those that begin with #
/// left out. Refused by name: what mdpipe owns (enable.idempotence, acks, …), what would turn certificate checks off,
/// and what librdkafka does not know. A secret comes from a file of mode 0600, not from an argument. ErrorCode::usage;
/// values are not quoted.
[[nodiscard]] Result<Config> make_config(std::string bootstrap, const std::vector<std::string>& properties,
                                         const std::string& file);

}  // namespace mdpipe::kafka
