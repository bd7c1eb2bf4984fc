#pragma once
/// \file
/// A pump on a thread of its own: the pinned form.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/idle.hpp"
#include "mdpipe/base/thread.hpp"
#include "mdpipe/runner/pump.hpp"

namespace mdpipe::runner {

struct RunnerOptions {
  int core = -1;  ///< -1: any
  IdleKind idle = IdleKind::backoff;
  std::size_t batch_records = 256;             ///< records between two polls of the stage
  Position earlier_until = kBeforeEverything;  ///< see Pump
};

/// Thread safety: start(), finish() and abandon() by the owner's thread; the rest by any.
class Runner {
 public:
  Runner(Pump::OpenReader open_reader, Stage& stage, const RunnerOptions& options);
  ~Runner();  ///< abandons

  [[nodiscard]] Result<void> start();

  /// The writer has stopped: take what is left, flush, end. Returns at once; done() says when.
  void finish() noexcept;
  /// Stop at the next record; what the stage has not done stays in the journal.
  void abandon() noexcept;
  [[nodiscard]] bool done() const noexcept;

  /// After done(): waits for the thread. What the stage or the thread failed with.
  std::optional<Error> join();

  [[nodiscard]] const PumpFigures& figures() const noexcept;
  /// The stage's waiting_for() and failure(), copied by its thread about once a second.
  [[nodiscard]] std::string waiting_for() const;
  [[nodiscard]] std::optional<Error> failure() const;
  /// Damage that the stage's reader went on behind, since this was last asked; copied as those above.
  [[nodiscard]] std::vector<journal::Skip> take_skips();
  [[nodiscard]] std::string_view name() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::runner
