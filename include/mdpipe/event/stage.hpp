#pragma once
/// \file
/// The interface that every stage implements: work apart from the thread that runs it and from where records come from.

#include <optional>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe {

enum class Uptake : std::uint8_t {
  taken,  ///< done with this record, or it is kept (see settled()); give the next
  busy,   ///< no room now: give the same record again after poll(). Nothing of it is lost or done twice
};

/// Thread safety: all but name() is called by one thread at a time. What on_record(), poll(),
/// resume_after() or close() throws (memory that is not there) ends the stage, and with it the run, in its words.
///
/// Memory: a record handed to on_record() stays where it is until settled() has reached its last_position(), so a stage
/// may keep pointers into it that long, and hand them on without a copy.
class Stage {
 public:
  virtual ~Stage() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  /// Everything up to here it has already handled durably in an earlier life; records begin behind it. Nothing while it
  /// cannot know yet (which cluster is it?): asked again after each poll(), and no record comes before. 0 = from the
  /// oldest record there is.
  [[nodiscard]] virtual std::optional<Position> resume_after() { return kBeforeEverything; }

  /// Records in order, each exactly once unless the answer was busy: frames, session events; symbol records have gone
  /// into `symbols` already. `symbols` is the same object for the stage's whole life.
  [[nodiscard]] virtual Uptake on_record(const RecordView& record, const SymbolTable& symbols) = 0;

  /// Work that waits for nothing from the journal: acknowledgements, flushes by age. Called every round; true if
  /// anything moved.
  virtual bool poll() { return false; }

  /// Everything caused by positions up to here is done for good: acknowledged, written, counted.
  [[nodiscard]] virtual Position settled() const noexcept = 0;

  /// No more records come: flush. Then poll() goes on until drained() or until the runner's patience ends.
  virtual void begin_drain() noexcept {}
  [[nodiscard]] virtual bool drained() const noexcept { return true; }

  /// Saves what can be saved and lets go of files and connections; the last call.
  virtual void close() {}

  /// Waiting for something outside, in words ("broker away since …"); empty where not. Such a stage is degraded, not
  /// stuck.
  [[nodiscard]] virtual std::string waiting_for() const { return {}; }

  /// Set where it can never go on (a foreign topic, a lost disk): the runner stops calling it.
  [[nodiscard]] virtual std::optional<Error> failure() const { return std::nullopt; }
};

}  // namespace mdpipe
