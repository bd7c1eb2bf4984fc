#pragma once
/// \file
/// The certificate that a venue shows.

#include <memory>

#include <boost/asio/ssl/context.hpp>

#include "mdpipe/base/error.hpp"
#include "replay/serve/server.hpp"

namespace mdpipe::replay {

/// Makes a context where the options name a certificate; null where they do not. ErrorCode::environment where a file of
/// them cannot be used.
[[nodiscard]] Result<void> open_tls(const ServeOptions& options, std::unique_ptr<boost::asio::ssl::context>& tls);

}  // namespace mdpipe::replay
