#pragma once
/// \file
/// Metrics of each symbol over its last trades: after every 10th trade of a symbol one message over its last 20.
///
///     {"symbol":"SPY","trade_count":30,"window_size":20,"avg_price":168.2,"min_price":168.1,"max_price":168.3,
///      "latest_price":168.25,"total_volume":2400,"vwap":168.21,"price_change_pct":0.05,
///      "timestamp":"2013-10-07T08:00:00.464Z"}
///
/// trade_count counts the symbol's trades since the journal's start. Minimum, maximum, latest and volume are exact
/// decimals. avg_price = Σp/n, vwap = Σpv/Σv (0 where Σv is) and price_change_pct = (last - first)/first × 100 (0 where
/// the first is) are formed from exact sums and rounded once, to the nearest double. timestamp is the exchange time of
/// the trade that caused the message. A pure function of the trades: live, replayed or resumed, the same bytes.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/event/stage.hpp"
#include "mdpipe/stage/outbox.hpp"
#include "mdpipe/stage/source_state.hpp"

namespace mdpipe::stage {

struct AggregateOptions {
  std::uint32_t window = 20;               ///< trades of a symbol that a metric looks back on, 1..10,000
  std::uint32_t every = 10;                ///< trades of a symbol between two metrics
  std::optional<std::uint32_t> precision;  ///< decimals of the three ratios, half-even; nothing: the nearest double
  std::uint64_t source = 0;                ///< the journal's id, for the messages' header; see set_source()

  /// Where windows and counts are kept over a restart, one file a cluster. Empty: nowhere, begin at start_after.
  std::filesystem::path state_directory;
  /// The cluster that the messages go to, once it is known; asked for by the stage's thread.
  std::function<std::optional<std::string>()> cluster_id;
  Position start_after = kBeforeEverything;       ///< without a state directory
  Position begin_after = kBeforeEverything;       ///< with one, where there is no state in it yet
  std::int64_t save_interval_ns = 1'000'000'000;  ///< least time between two snapshots
  SourceState source_state;
};

/// Readable from any thread.
struct AggregateFigures {
  SingleWriterCounter trades;
  SingleWriterCounter metrics;  ///< handed to the outbox (or formed, where there is none)
  SingleWriterGauge<std::uint64_t> symbols;
  SingleWriterCounter snapshots;
  SingleWriterCounter held_back;  ///< times that the outbox was full
};

class Aggregate : public Stage {
 public:
  /// `port` may be null: metrics are then formed and counted, no more.
  [[nodiscard]] static std::unique_ptr<Aggregate> make(AggregateOptions options, std::unique_ptr<Outbox::Port> port);

  [[nodiscard]] virtual const AggregateFigures& figures() const noexcept = 0;

  /// The stage's thread: whose trades the next records bring, where one topic holds those of several.
  virtual void set_source(std::uint64_t source) noexcept = 0;
  /// After resume_after() has answered: what SourceState::append gave to the state that it goes on from; nothing where
  /// there was no state.
  [[nodiscard]] virtual const std::optional<std::string>& source_state() const noexcept = 0;
};

}  // namespace mdpipe::stage
