#pragma once
/// \file
/// Many pumps on the caller's thread: tests and replays, where one caller drives all stages and nothing depends on
/// time.

#include <cstddef>
#include <memory>
#include <vector>

#include "mdpipe/runner/pump.hpp"

namespace mdpipe::runner {

/// Thread safety: one thread.
class Invoker {
 public:
  void add(Pump::OpenReader open_reader, Stage& stage);

  /// One step of each pump; true if anything moved.
  bool step(std::size_t limit = 256) noexcept;

  /// Steps until every pump has caught up, then drains every stage. False where `idle_rounds_max` idle rounds in a row
  /// brought nothing (a stage waits for something that does not come).
  [[nodiscard]] bool drain(std::size_t idle_rounds_max) noexcept;

  /// What the first pump that cannot go on says.
  [[nodiscard]] std::optional<Error> failure() const noexcept;

  /// Damage that the pumps' readers went on behind, since it was last asked for.
  [[nodiscard]] std::vector<journal::Skip> take_skips();

 private:
  std::vector<std::unique_ptr<Pump>> pumps_;
};

}  // namespace mdpipe::runner
