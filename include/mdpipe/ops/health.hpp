#pragma once
/// \file
/// What /healthz and /readyz say.

#include <string>
#include <vector>

#include "mdpipe/ops/http_server.hpp"

namespace mdpipe::ops {

struct HealthReport {
  std::vector<std::string> stuck;    ///< what has work and does not move: the process should be restarted
  std::vector<std::string> reasons;  ///< why it is degraded: it will go on by itself, or somebody must act elsewhere
  std::vector<std::string> missing;  ///< what is not ready
};

/// 200 {"status":"ok"} · 200 {"status":"degraded","reasons":[…]} · 503 {"status":"stuck","stages":[…],"reasons":[…]}
[[nodiscard]] HttpAnswer render_health(const HealthReport& report);

/// 200 {"ready":true} · 503 {"ready":false,"missing":[…]}
[[nodiscard]] HttpAnswer render_readiness(const HealthReport& report);

}  // namespace mdpipe::ops
