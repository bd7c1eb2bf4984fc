#pragma once
/// \file
/// When a fault strikes. Decided by the seed, the connection's number, the frame's number on it and what the session
/// says of itself: never by how fast anything goes.

#include <cstdint>
#include <vector>

#include "replay/generate/random.hpp"
#include "replay/serve/faults/plan.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

/// How far a session has been played.
struct SessionClock {
  std::int64_t first_ns = kNoTime;   ///< of its first frame that has a time
  std::int64_t played_ns = kNoTime;  ///< of the last frame played
};

/// Chance of one fault at one frame of one connection (a handshake: frame 0), the same in every run of a seed.
[[nodiscard]] Random chance_of(const FaultPlan& plan, const Fault& fault, std::uint64_t connection,
                               std::uint64_t frame);

/// The first fault that a connection's handshake is to meet, or null.
[[nodiscard]] const Fault* handshake_fault(const FaultPlan& plan, std::uint64_t connection);

/// The frames of one connection. Thread safety: none.
class FrameTrigger {
 public:
  /// `plan` and `clock` must outlive it.
  FrameTrigger(const FaultPlan& plan, std::uint64_t connection, const SessionClock& clock);

  /// The next frame: counts it.
  void count(std::uint32_t trades, std::int64_t schedule_ns) noexcept;
  /// The fault that strikes the frame just counted, or null: of several the first in the file. Those that wait for a
  /// trade or a time and come second strike the next frame that is asked for.
  [[nodiscard]] const Fault* strike();

  [[nodiscard]] std::uint64_t frame() const noexcept { return frame_; }

 private:
  [[nodiscard]] bool due(const Fault& fault) const;

  const FaultPlan& plan_;
  const SessionClock& clock_;
  const std::uint64_t connection_;
  const std::int64_t begun_at_ns_;
  std::uint64_t frame_ = 0;
  std::uint64_t trades_ = 0;
  std::int64_t schedule_ns_ = kNoTime;
  std::vector<char> struck_;  // those that strike once
};

}  // namespace mdpipe::replay
