#pragma once
/// \file
/// Which core each thread gets, and what it does when idle.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/idle.hpp"

namespace mdpipe::wiring {

struct ThreadPlan {
  int core = -1;  ///< -1: wherever the scheduler puts it
  IdleKind idle = IdleKind::backoff;
};

using ThreadPlans = std::map<std::string, ThreadPlan, std::less<>>;

/// A plan for each of `threads`. Where every one can have a core of its own and one is left for everything else:
/// pinned, spinning; otherwise unpinned, backing off. `place`: "feed=2,publish=3" puts those threads there. `idle`: one
/// strategy for all, or "publish=park,store=backoff". ErrorCode::usage names what is wrong: an unknown thread, a core
/// that the process may not use, a strategy there is not.
[[nodiscard]] Result<ThreadPlans> plan_threads(const std::vector<std::string>& threads, std::string_view place,
                                               std::string_view idle, const std::vector<int>& cores);

}  // namespace mdpipe::wiring
