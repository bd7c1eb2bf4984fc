#pragma once
// Where a feed is: ws:// and wss:// addresses.

#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"

namespace mdpipe::feed {

struct Url {
  bool tls = false;
  std::string host;
  std::string port;
  std::string target = "/";  ///< path and query; never with a token in it

  /// "host" or "host:port", as the Host header wants it: the port only where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  /// For logs: "wss://host/path", the query as "?***".
  [[nodiscard]] std::string shown() const;
  /// What is sent there does not leave this machine.
  [[nodiscard]] bool is_loopback() const;
};

/// ErrorCode::usage for another scheme, no host, a port that is none, a user part, or a token in the query.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace mdpipe::feed
