#include "listener.hpp"

#include <utility>

#include <fmt/format.h>

#include "mdpipe/ops/log.hpp"
#include "mdpipe/ops/metrics_page.hpp"

namespace mdpipe::wiring {

Result<std::unique_ptr<ops::HttpServer>> open_listener(const Endpoint& endpoint,
                                                       const std::function<ops::HealthReport()>& health,
                                                       std::function<std::string()> metrics) {
  ops::HttpOptions options;
  options.address = endpoint.address;
  options.port = endpoint.port;
  ops::HttpRoutes routes;
  routes["/healthz"] = [health] { return ops::render_health(health()); };
  routes["/readyz"] = [health] { return ops::render_readiness(health()); };
  routes["/metrics"] = [metrics = std::move(metrics)] {
    return ops::HttpAnswer{200, ops::MetricsPage::kContentType, metrics()};
  };
  auto listener = ops::HttpServer::start(options, std::move(routes));
  if (listener) {
    ops::log(ops::LogLevel::info, "ops", "listening",
             {{"health", fmt::format("{}:{}", options.address, (*listener)->port())}});
  }
  return listener;
}

}  // namespace mdpipe::wiring
