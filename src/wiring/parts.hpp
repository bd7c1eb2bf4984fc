#pragma once
// The parts of a running pipeline, and what can be said of them from outside their threads.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/feed/session.hpp"
#include "mdpipe/journal/writer.hpp"
#include "mdpipe/kafka/embedded_broker.hpp"
#include "mdpipe/ops/health.hpp"
#include "mdpipe/ops/metrics_page.hpp"
#include "mdpipe/runner/runner.hpp"
#include "mdpipe/stage/aggregate.hpp"
#include "mdpipe/stage/outbox.hpp"
#include "mdpipe/stage/publish.hpp"
#include "mdpipe/stage/store.hpp"
#include "mdpipe/wiring/pipeline.hpp"
#include "run_plan.hpp"

namespace mdpipe::wiring {

/// A stage on its thread, with its places on the journal's register.
struct RunningStage {
  std::unique_ptr<Stage> stage;
  std::unique_ptr<runner::Runner> runner;
  std::vector<std::unique_ptr<journal::RegisteredCursor>> cursors;
  bool finishing = false;
  std::string said_waiting_for;  // what the log has said last
};

struct Parts {
  RunPlan plan;
  std::unique_ptr<journal::Writer> writer;
  std::unique_ptr<kafka::EmbeddedBroker> embedded;
  std::unique_ptr<stage::Outbox> outbox;
  std::vector<RunningStage> stages;
  const stage::Publish* publish = nullptr;      // in `stages`; null where it does not run
  const stage::Aggregate* aggregate = nullptr;  // the same
  const stage::Store* store = nullptr;          // the same
  std::unique_ptr<feed::Session> session;
  std::uint64_t said_helper_failures = 0;        // what the log has said last
  SingleWriterGauge<double> write_rate_bytes_s;  // of the journal, smoothed over about a minute
};

[[nodiscard]] std::uint64_t positions_between(Position earlier, Position later) noexcept;

/// Positions between what is written and what a stage has settled.
[[nodiscard]] std::uint64_t lag_of(const Parts& parts, const RunningStage& stage) noexcept;

/// Registers every figure. The parts must outlive the page.
void add_metrics(const Parts& parts, ops::MetricsPage& page);

[[nodiscard]] ops::HealthReport report_health(const Parts& parts);

/// Logs what went wrong with the journal since the last call: damage that readers went on behind, no memory.
void say_journal_troubles(Parts& parts);

[[nodiscard]] RunSummary summarize(const Parts& parts);

}  // namespace mdpipe::wiring
