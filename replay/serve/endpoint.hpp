#pragma once
/// \file
/// Where to listen, from text.

#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "mdpipe/base/error.hpp"

namespace mdpipe::replay {

/// "127.0.0.1:8800", "[::1]:8800", "localhost:8800". ErrorCode::usage where it is none of them.
[[nodiscard]] Result<boost::asio::ip::tcp::endpoint> parse_endpoint(const std::string& text);

}  // namespace mdpipe::replay
