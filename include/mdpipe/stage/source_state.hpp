#pragma once
/// \file
/// What a source of records keeps beside the state of the stage that it feeds, so that the two never disagree: a
/// topic's filter says which messages the stage has had, and is saved in the stage's own file, in one write.

#include <functional>
#include <string>

#include "mdpipe/event/position.hpp"

namespace mdpipe::stage {

/// Called by the stage's thread.
struct SourceState {
  /// Appends the source's state as it is behind the last record that was taken: one line without its end. Null: none.
  std::function<void(std::string&)> append;
  /// Up to which record everything is acknowledged that the source itself has sent elsewhere (dead letters): no state
  /// is saved beyond it. Null: everything.
  std::function<Position()> acknowledged;

  [[nodiscard]] bool allows(Position position) const { return !acknowledged || acknowledged() >= position; }
};

}  // namespace mdpipe::stage
