#include "watch.hpp"

#include <fmt/format.h>

namespace mdpipe::wiring {

void judge(const StageSight& stage, std::int64_t now_ns, Verdict& verdict) {
  if (!stage.failure.empty()) {
    verdict.reasons.push_back(fmt::format("{} has stopped: {}", stage.name, stage.failure));
    return;
  }
  const bool hangs = now_ns - stage.alive_ns > kStuckAfterNs;
  const bool stands =
      stage.read < stage.written && stage.waiting_for.empty() && now_ns - stage.moved_ns > kStuckAfterNs;
  if (hangs || stands) {
    verdict.stuck.push_back(stage.name);
  } else if (!stage.waiting_for.empty()) {
    verdict.reasons.push_back(fmt::format("{}: {}", stage.name, stage.waiting_for));
  }
}

}  // namespace mdpipe::wiring
