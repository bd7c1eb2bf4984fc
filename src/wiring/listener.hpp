#pragma once
// What every mdpipe command that runs answers over HTTP.

#include <functional>
#include <memory>
#include <string>

#include "mdpipe/ops/health.hpp"
#include "mdpipe/ops/http_server.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {

/// /healthz, /readyz and /metrics. Both functions are called on the listener's thread.
[[nodiscard]] Result<std::unique_ptr<ops::HttpServer>> open_listener(const Endpoint& endpoint,
                                                                     const std::function<ops::HealthReport()>& health,
                                                                     std::function<std::string()> metrics);

}  // namespace mdpipe::wiring
