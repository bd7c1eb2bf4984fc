#pragma once
// What a running pipeline says of itself, judged apart from the threads that it watches.

#include <cstdint>
#include <string>
#include <vector>

#include "mdpipe/event/position.hpp"

namespace mdpipe::wiring {

/// A stage that has work and has not moved for so long is stuck: the process is then reported dead (503). A little
/// under the ten seconds that are promised, so that a watcher who asks at ten sees it.
inline constexpr std::int64_t kStuckAfterNs = 9'000'000'000;

struct StageSight {
  std::string name;
  Position written = 0;  ///< last position of the journal
  Position read = 0;     ///< last position that the stage has taken
  Position settled = 0;
  std::int64_t moved_ns = 0;  ///< monotonic
  std::int64_t alive_ns = 0;  ///< monotonic
  std::string waiting_for;
  std::string failure;
};

struct Verdict {
  std::vector<std::string> stuck;    ///< stages that hang
  std::vector<std::string> reasons;  ///< why it is degraded
};

/// Stuck: the stage's thread has not come back from a call for kStuckAfterNs, or has work, waits for nothing that it
/// could name, and does not move. Waiting for a broker is degraded, not stuck.
void judge(const StageSight& stage, std::int64_t now_ns, Verdict& verdict);

}  // namespace mdpipe::wiring
