#pragma once
/// \file
/// Moves records from a journal reader into a stage. Runner puts one on a thread of its own, Invoker drives many from
/// the caller's.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/event/stage.hpp"
#include "mdpipe/journal/reader.hpp"

namespace mdpipe::runner {

/// What a health check and the metrics read of a pump, from any thread.
struct PumpFigures {
  SingleWriterCounter records;
  SingleWriterCounter earlier_trades;            ///< handed over, of records up to `earlier_until`
  SingleWriterGauge<Position> read_position;     ///< last position handed to the stage
  SingleWriterGauge<Position> settled_position;  ///< the stage's settled()
  SingleWriterGauge<std::int64_t> moved_ns;      ///< monotonic time when either last rose, or there was nothing to do
  SingleWriterGauge<std::int64_t> alive_ns;      ///< monotonic time of the last round that ended
  SingleWriterGauge<std::uint64_t> skipped_places;  ///< damage that its reader went on behind, and what that cost
  SingleWriterGauge<std::uint64_t> skipped_bytes;
  SingleWriterGauge<std::uint64_t> skipped_positions;
};

/// Thread safety: one thread at a time; figures() by any.
class Pump {
 public:
  /// Opens the stage's reader behind `after`, once the stage knows where it resumes.
  using OpenReader = std::function<Result<std::unique_ptr<journal::Reader>>(Position after)>;

  /// `earlier_until`: where the journal stood when this process began.
  Pump(OpenReader open_reader, Stage& stage, Position earlier_until = kBeforeEverything);

  /// Hands over at most `limit` records, then polls the stage once. True if anything moved. Does nothing once it has
  /// failed; what the reader's opening or the stage throws is a failure.
  bool step(std::size_t limit) noexcept;
  /// The stage's last call; what it throws is failure(), too.
  void close() noexcept;

  /// No record waits (as far as this round saw) and the last one was taken.
  [[nodiscard]] bool caught_up() const noexcept { return caught_up_; }

  /// Set where it cannot go on: the reader's failure or the stage's.
  [[nodiscard]] const std::optional<Error>& failure() const noexcept { return failure_; }

  /// Damage that its reader went on behind, since it was last asked for: where, and what it cost.
  [[nodiscard]] std::vector<journal::Skip> take_skips() {
    return reader_ != nullptr ? reader_->take_skips() : std::vector<journal::Skip>();
  }

  /// Rung when there is more to read; null where nobody rings.
  [[nodiscard]] Bell* bell() const noexcept;

  [[nodiscard]] Stage& stage() noexcept { return stage_; }
  [[nodiscard]] const PumpFigures& figures() const noexcept { return figures_; }

 private:
  bool round(std::size_t limit);
  void fail_with(std::string_view exception) noexcept;
  [[nodiscard]] bool open();
  void count_skips() noexcept;
  std::size_t hand_over(std::size_t limit);

  OpenReader open_reader_;
  std::unique_ptr<journal::Reader> reader_;  ///< null until the stage knows where it resumes
  Stage& stage_;
  const Position earlier_until_;
  std::optional<RecordView> held_;  ///< answered busy: comes again
  bool caught_up_ = false;
  std::optional<Error> failure_;
  PumpFigures figures_;
};

}  // namespace mdpipe::runner
