#include "mdpipe/ops/health.hpp"

#include <fmt/format.h>

#include "mdpipe/base/json_text.hpp"
#include "mdpipe/base/secret.hpp"

namespace mdpipe::ops {
namespace {

constexpr const char* kJson = "application/json";

std::string json_list(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) {
    list += (list.size() > 1 ? "," : "") + json_string(redact(text));
  }
  return list + "]";
}

}  // namespace

HttpAnswer render_health(const HealthReport& report) {
  if (!report.stuck.empty()) {
    return {503, kJson,
            fmt::format("{{\"status\":\"stuck\",\"stages\":{},\"reasons\":{}}}\n", json_list(report.stuck),
                        json_list(report.reasons))};
  }
  if (!report.reasons.empty()) {
    return {200, kJson, fmt::format("{{\"status\":\"degraded\",\"reasons\":{}}}\n", json_list(report.reasons))};
  }
  return {200, kJson, "{\"status\":\"ok\"}\n"};
}

HttpAnswer render_readiness(const HealthReport& report) {
  if (report.missing.empty()) {
    return {200, kJson, "{\"ready\":true}\n"};
  }
  return {503, kJson, fmt::format("{{\"ready\":false,\"missing\":{}}}\n", json_list(report.missing))};
}

}  // namespace mdpipe::ops
