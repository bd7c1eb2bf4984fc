#include "replay/serve/faults/trigger.hpp"

#include <algorithm>

namespace mdpipe::replay {
namespace {

std::uint64_t mixed(std::uint64_t state, std::uint64_t value) {
  return Random(state ^ value * 0x9E37'79B9'7F4A'7C15U).next();
}

bool happens(double probability, Random random) {
  constexpr double kScale = 1.0 / double{1ULL << 53U};
  return static_cast<double>(random.next() >> 11U) * kScale < probability;
}

bool is_of_connection(const Fault& fault, std::uint64_t connection) {
  return fault.connection == 0 || fault.connection == connection;
}

}  // namespace

Random chance_of(const FaultPlan& plan, const Fault& fault, std::uint64_t connection, std::uint64_t frame) {
  const auto index = static_cast<std::uint64_t>(&fault - plan.faults.data());
  return Random(mixed(mixed(mixed(plan.seed, index + 1), connection), frame));
}

const Fault* handshake_fault(const FaultPlan& plan, std::uint64_t connection) {
  const auto found = std::find_if(plan.faults.begin(), plan.faults.end(), [&](const Fault& fault) {
    return (fault.kind == FaultKind::refuse || fault.kind == FaultKind::slow) && is_of_connection(fault, connection) &&
           (!fault.rate || happens(*fault.rate, chance_of(plan, fault, connection, 0)));
  });
  return found == plan.faults.end() ? nullptr : &*found;
}

FrameTrigger::FrameTrigger(const FaultPlan& plan, std::uint64_t connection, const SessionClock& clock)
    : plan_(plan), clock_(clock), connection_(connection), begun_at_ns_(clock.played_ns), struck_(plan.faults.size()) {}

void FrameTrigger::count(std::uint32_t trades, std::int64_t schedule_ns) noexcept {
  ++frame_;
  trades_ += trades;
  schedule_ns_ = schedule_ns;
}

bool FrameTrigger::due(const Fault& fault) const {
  if (fault.kind == FaultKind::refuse || fault.kind == FaultKind::slow || !is_of_connection(fault, connection_)) {
    return false;
  }
  if (fault.trade != 0) {
    return trades_ >= fault.trade;
  }
  if (fault.rate) {
    return happens(*fault.rate, chance_of(plan_, fault, connection_, frame_));
  }
  if (schedule_ns_ == kNoTime) {
    return false;
  }
  std::int64_t time_ns = *fault.time_ns;
  if (fault.time_counts_from_start && __builtin_add_overflow(clock_.first_ns, time_ns, &time_ns)) {
    return false;
  }
  // What lay behind when this connection came is not its own.
  return schedule_ns_ >= time_ns && (begun_at_ns_ == kNoTime || begun_at_ns_ < time_ns);
}

const Fault* FrameTrigger::strike() {
  for (std::size_t i = 0; i < plan_.faults.size(); ++i) {
    const Fault& fault = plan_.faults[i];
    if (struck_[i] == 0 && due(fault)) {
      struck_[i] = fault.rate ? 0 : 1;
      return &fault;
    }
  }
  return nullptr;
}

}  // namespace mdpipe::replay
