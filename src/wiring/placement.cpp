#include "mdpipe/wiring/placement.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {
namespace {

Result<ThreadPlan*> plan_of(ThreadPlans& plans, std::string_view option, std::string_view thread) {
  const auto plan = plans.find(thread);
  if (plan == plans.end()) {
    std::vector<std::string_view> known;
    for (const auto& [name, unused] : plans) {
      known.push_back(name);
    }
    return fail(ErrorCode::usage, fmt::format("{}: there is no thread \"{}\" here; there are {}", option, thread,
                                              fmt::join(known, ", ")));
  }
  return &plan->second;
}

}  // namespace

Result<ThreadPlans> plan_threads(const std::vector<std::string>& threads, std::string_view place, std::string_view idle,
                                 const std::vector<int>& cores) {
  ThreadPlans plans;
  const bool a_core_each = cores.size() > threads.size();
  for (std::size_t i = 0; i < threads.size(); ++i) {
    // The first core stays free: interrupts and the threads that are not hot live there.
    plans[threads[i]] = a_core_each ? ThreadPlan{cores[i + 1], IdleKind::spin} : ThreadPlan{};
  }
  for (const std::string_view entry : split(place, ',')) {
    const auto [thread, text] = split_at(entry, '=');
    auto plan = plan_of(plans, "--place", thread);
    if (!plan) {
      return tl::unexpected(plan.error());
    }
    int core = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), core);
    if (error != std::errc{} || end != text.data() + text.size() ||
        std::find(cores.begin(), cores.end(), core) == cores.end()) {
      return fail(ErrorCode::usage, fmt::format("--place {}: \"{}\" is no core that this process may use; those are {}",
                                                entry, text, fmt::join(cores, ", ")));
    }
    (*plan)->core = core;
  }
  for (const std::string_view entry : split(idle, ',')) {
    const auto [thread, text] = split_at(entry, '=');
    const bool for_all = entry.find('=') == std::string_view::npos;
    auto kind = parse_idle_kind(for_all ? entry : text);
    if (!kind) {
      return fail(ErrorCode::usage, fmt::format("--idle: {}", kind.error().message));
    }
    if (for_all) {
      for (auto& [name, plan] : plans) {
        plan.idle = *kind;
      }
      continue;
    }
    auto plan = plan_of(plans, "--idle", thread);
    if (!plan) {
      return tl::unexpected(plan.error());
    }
    (*plan)->idle = *kind;
  }
  return plans;
}

}  // namespace mdpipe::wiring
