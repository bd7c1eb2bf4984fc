// What a running pipeline says of itself: metrics, health, the summary at the end.

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/version.hpp"
#include "mdpipe/ops/log.hpp"
#include "parts.hpp"
#include "watch.hpp"

namespace mdpipe::wiring {
namespace {

using feed::SessionState;

constexpr std::array kStates = {SessionState::starting,  SessionState::connecting,  SessionState::subscribed,
                                SessionState::stale,     SessionState::backing_off, SessionState::auth_failed,
                                SessionState::held_back, SessionState::ended};
constexpr std::array kFrameKinds = {FrameKind::trades, FrameKind::partly_bad, FrameKind::ping,         FrameKind::error,
                                    FrameKind::other,  FrameKind::bad,        FrameKind::bad_truncated};

template <class Figure>
std::function<double()> value_of(const Figure& figure) {
  return [&figure] { return static_cast<double>(figure.get()); };
}

void add_feed_metrics(const feed::SessionFigures& feed, ops::MetricsPage& page) {
  for (const SessionState state : kStates) {
    page.add_gauge("mdpipe_feed_state", "1 for the state that the feed is in",
                   {{"state", std::string(to_string(state))}},
                   [&feed, state] { return feed.state.load(std::memory_order_relaxed) == state ? 1.0 : 0.0; });
  }
  for (const FrameKind kind : kFrameKinds) {
    page.add_counter("mdpipe_feed_frames_total", "Messages heard, by what they were",
                     {{"kind", std::string(to_string(kind))}},
                     [&feed, kind] { return static_cast<double>(feed.frames_of(kind)); });
  }
  page.add_counter("mdpipe_feed_bad_frames_total", "Messages that could not be used, wholly or in part", {}, [&feed] {
    return static_cast<double>(feed.frames_of(FrameKind::bad) + feed.frames_of(FrameKind::bad_truncated) +
                               feed.frames_of(FrameKind::partly_bad));
  });
  page.add_counter("mdpipe_feed_trades_total", "Trades heard", {}, value_of(feed.trades));
  page.add_counter("mdpipe_feed_bytes_total", "Bytes of messages", {}, value_of(feed.bytes));
  page.add_counter("mdpipe_feed_fallbacks_total", "Messages that the quick scanner left to simdjson", {},
                   value_of(feed.fallbacks));
  page.add_counter("mdpipe_feed_out_of_order_trades_total", "Trades stamped before an earlier one of their symbol", {},
                   value_of(feed.out_of_order_trades));
  page.add_counter("mdpipe_feed_price_updates_total", "Trades of size 0", {}, value_of(feed.price_updates));
  page.add_counter("mdpipe_feed_inexact_trades_total", "Trades with more digits than 18", {},
                   value_of(feed.inexact_trades));
  page.add_counter("mdpipe_feed_early_trades_total", "Trades stamped later than they were received", {},
                   value_of(feed.early_trades));
  page.add_counter("mdpipe_feed_connections_total", "Connections that were subscribed", {}, value_of(feed.connections));
  page.add_counter("mdpipe_feed_connect_failures_total", "Attempts to connect that failed", {},
                   value_of(feed.connect_failures));
  page.add_counter("mdpipe_feed_refusals_total", "Attempts that the venue refused (401, 403, 429)", {},
                   value_of(feed.refusals));
  page.add_counter("mdpipe_feed_gaps_total", "Times that trades may have been missed", {}, value_of(feed.gaps));
  page.add_counter("mdpipe_feed_stale_periods_total", "Times that a connection brought no trades for too long", {},
                   value_of(feed.stale_periods));
  page.add_counter("mdpipe_feed_held_back_total", "Times that the journal had no room", {}, value_of(feed.held_back));
  page.add_gauge("mdpipe_feed_last_frame_timestamp_seconds", "When the last message came, since 1970", {}, [&feed] {
    return static_cast<double>(feed.last_frame_ns.get()) / static_cast<double>(kNanosecondsPerSecond);
  });
}

void add_skip_metrics(const RunningStage& stage, ops::MetricsPage& page) {
  const runner::PumpFigures& figures = stage.runner->figures();
  const auto add = [&](const char* name, const char* help, const SingleWriterGauge<std::uint64_t>& figure) {
    page.add_counter(name, help, {{"cursor", std::string(stage.stage->name())}}, value_of(figure));
  };
  add("mdpipe_journal_skipped_places_total", "Damage in the journal that a stage went on behind",
      figures.skipped_places);
  add("mdpipe_journal_skipped_positions_total", "Records and trades lost to a stage by that",
      figures.skipped_positions);
  add("mdpipe_journal_skipped_bytes_total", "Bytes of the journal passed over by that", figures.skipped_bytes);
}

void add_journal_metrics(const Parts& parts, ops::MetricsPage& page) {
  const journal::WriterFigures& journal = parts.writer->figures();
  page.add_counter("mdpipe_journal_records_total", "Records written", {}, value_of(journal.records));
  page.add_counter("mdpipe_journal_bytes_total", "Bytes written", {}, value_of(journal.bytes));
  page.add_gauge("mdpipe_journal_position", "Sequence of the last position", {},
                 [&journal] { return static_cast<double>(sequence_of(journal.position.get())); });
  page.add_gauge("mdpipe_journal_unsynced_bytes", "Written, and lost if the machine lost its power now", {},
                 [&journal] {
                   const std::uint64_t synced = journal.synced_bytes.get();
                   return static_cast<double>(journal.bytes.get() - std::min(synced, journal.bytes.get()));
                 });
  page.add_gauge("mdpipe_journal_disk_free_bytes", "Free where the journal lies", {},
                 value_of(journal.disk_free_bytes));
  page.add_gauge("mdpipe_journal_disk_left_hours", "Until that is full, as fast as the last minute wrote", {},
                 [&parts, &journal] {
                   const double rate = parts.write_rate_bytes_s.get();
                   return rate > 0 ? static_cast<double>(journal.disk_free_bytes.get()) / rate / 3600
                                   : std::numeric_limits<double>::infinity();
                 });
  page.add_gauge("mdpipe_journal_segments", "Files of the journal", {}, value_of(journal.segments));
  page.add_counter("mdpipe_journal_sync_failures_total", "Syncs that failed", {}, value_of(journal.sync_failures));
  page.add_counter("mdpipe_journal_allocation_failures_total", "Times that the next file could not be allocated", {},
                   value_of(journal.allocation_failures));
  page.add_counter("mdpipe_journal_helper_failures_total",
                   "Times that there was no memory to sync, to prepare the next file, to save cursors", {},
                   value_of(journal.helper_failures));
  for (const RunningStage& stage : parts.stages) {
    page.add_gauge("mdpipe_journal_lag", "Positions written that a stage has not settled",
                   {{"cursor", std::string(stage.stage->name())}},
                   [&parts, &stage] { return static_cast<double>(lag_of(parts, stage)); });
    add_skip_metrics(stage, page);
  }
}

void add_kafka_metrics(const Parts& parts, ops::MetricsPage& page) {
  const stage::PublishFigures& kafka = parts.publish->figures();
  const TopicNames& topics = parts.plan.topics;
  const auto add = [&](const char* name, const char* help, const std::string& topic,
                       const SingleWriterCounter& figure) {
    page.add_counter(name, help, {{"topic", topic}}, value_of(figure));
  };
  constexpr const char* kAcknowledged = "mdpipe_kafka_acknowledged_total";
  constexpr const char* kAcknowledgedHelp = "Messages that Kafka has acknowledged";
  add(kAcknowledged, kAcknowledgedHelp, topics.raw, kafka.trades_acknowledged);
  add(kAcknowledged, kAcknowledgedHelp, topics.metrics, kafka.metrics_acknowledged);
  add(kAcknowledged, kAcknowledgedHelp, topics.dead_letters, kafka.dead_letters_acknowledged);
  constexpr const char* kFound = "mdpipe_kafka_found_total";
  constexpr const char* kFoundHelp = "Messages that were in the topic when a producer began: not sent again";
  add(kFound, kFoundHelp, topics.raw, kafka.trades_found);
  add(kFound, kFoundHelp, topics.metrics, kafka.metrics_found);
  page.add_counter("mdpipe_kafka_refused_total", "Messages that Kafka will never take: dead-lettered", {},
                   value_of(kafka.refused));
  page.add_counter("mdpipe_kafka_sent_bytes_total", "Bytes of values sent", {}, value_of(kafka.bytes_sent));
  page.add_counter("mdpipe_kafka_rebuilds_total", "Producers given up after a failure", {}, value_of(kafka.rebuilds));
  page.add_counter("mdpipe_kafka_queue_full_total", "Times that the producer's queue was full", {},
                   value_of(kafka.queue_full));
  page.add_gauge("mdpipe_kafka_in_flight", "Messages sent and not acknowledged", {}, value_of(kafka.in_flight));
  page.add_gauge("mdpipe_kafka_online", "1 where there is a producer", {}, value_of(kafka.online));
  page.add_histogram("mdpipe_receive_to_acknowledged_seconds",
                     "From a trade's arrival at our socket to Kafka's acknowledgement", {},
                     kafka.receive_to_acknowledged);
}

void add_stage_metrics(const Parts& parts, ops::MetricsPage& page) {
  if (parts.aggregate != nullptr) {
    const stage::AggregateFigures& aggregate = parts.aggregate->figures();
    page.add_counter("mdpipe_aggregate_trades_total", "Trades counted in", {}, value_of(aggregate.trades));
    page.add_counter("mdpipe_aggregate_metrics_total", "Metrics formed", {}, value_of(aggregate.metrics));
    page.add_gauge("mdpipe_aggregate_symbols", "Symbols with a window", {}, value_of(aggregate.symbols));
    page.add_counter("mdpipe_aggregate_snapshots_total", "Snapshots saved", {}, value_of(aggregate.snapshots));
    page.add_counter("mdpipe_aggregate_held_back_total", "Times that Kafka's side was full", {},
                     value_of(aggregate.held_back));
  }
  if (parts.store != nullptr) {
    const stage::StoreFigures& store = parts.store->figures();
    page.add_counter("mdpipe_store_trades_total", "Trades taken", {}, value_of(store.trades));
    page.add_counter("mdpipe_store_bytes_total", "Bytes written", {}, value_of(store.bytes));
    page.add_counter("mdpipe_store_syncs_total", "Syncs of files", {}, value_of(store.syncs));
    page.add_counter("mdpipe_store_held_back_total", "Times that the disk had no room", {}, value_of(store.held_back));
  }
}

std::string feed_reason(SessionState state, const std::string& trouble) {
  return trouble.empty() ? fmt::format("feed: {}", to_string(state))
                         : fmt::format("feed: {}: {}", to_string(state), trouble);
}

}  // namespace

std::uint64_t positions_between(Position earlier, Position later) noexcept {
  if (earlier >= later) {
    return 0;
  }
  // How long another epoch was we do not know: at least all of the later one.
  return sequence_of(later) - (epoch_of(earlier) == epoch_of(later) ? sequence_of(earlier) : 0);
}

std::uint64_t lag_of(const Parts& parts, const RunningStage& stage) noexcept {
  return positions_between(stage.runner->figures().settled_position.get(), parts.writer->figures().position.get());
}

void add_metrics(const Parts& parts, ops::MetricsPage& page) {
  page.add_gauge("mdpipe_build_info", "1; which build this is", {{"version", version_text("mdpipe")}},
                 [] { return 1.0; });
  add_feed_metrics(parts.session->figures(), page);
  add_journal_metrics(parts, page);
  if (parts.publish != nullptr) {
    add_kafka_metrics(parts, page);
  }
  add_stage_metrics(parts, page);
}

ops::HealthReport report_health(const Parts& parts) {
  ops::HealthReport report;
  const auto state = parts.session->figures().state.load(std::memory_order_relaxed);
  if (state != SessionState::subscribed && state != SessionState::ended) {
    report.reasons.push_back(feed_reason(state, parts.session->last_trouble()));
    report.missing.push_back(report.reasons.back());
  } else if (state == SessionState::ended) {
    report.missing.emplace_back("feed: ended");
  }
  const journal::WriterFigures& journal = parts.writer->figures();
  if (journal.sync_failures.get() != 0) {
    report.reasons.push_back(
        fmt::format("journal: {} syncs failed: a power loss may take more than a second", journal.sync_failures.get()));
  }
  if (journal.helper_failures.get() != 0) {
    report.reasons.push_back(fmt::format("journal: {} times there was no memory to sync it or to prepare its next file",
                                         journal.helper_failures.get()));
  }
  if (state == SessionState::held_back) {
    report.reasons.emplace_back("journal: no room for another record: the feed is not read until there is");
  }
  Verdict verdict;
  const std::int64_t now_ns = monotonic_clock_ns();
  for (const RunningStage& stage : parts.stages) {
    const runner::PumpFigures& figures = stage.runner->figures();
    if (const std::uint64_t places = figures.skipped_places.get(); places != 0) {
      report.reasons.push_back(fmt::format("{}: the journal is damaged in {} places: {} positions are lost to it",
                                           stage.runner->name(), places, figures.skipped_positions.get()));
    }
    const auto failure = stage.runner->failure();
    if (stage.runner->done() && !failure) {
      continue;
    }
    judge({.name = std::string(stage.runner->name()),
           .written = journal.position.get(),
           .read = figures.read_position.get(),
           .settled = figures.settled_position.get(),
           .moved_ns = figures.moved_ns.get(),
           .alive_ns = figures.alive_ns.get(),
           .waiting_for = stage.runner->waiting_for(),
           .failure = failure ? failure->message : std::string()},
          now_ns, verdict);
  }
  report.stuck = std::move(verdict.stuck);
  report.reasons.insert(report.reasons.end(), verdict.reasons.begin(), verdict.reasons.end());
  if (parts.publish != nullptr && !parts.publish->figures().online.get()) {
    report.missing.emplace_back("kafka: no producer yet");
  }
  return report;
}

void say_journal_troubles(Parts& parts) {
  for (const RunningStage& stage : parts.stages) {
    for (const journal::Skip& skip : stage.runner->take_skips()) {
      ops::log(ops::LogLevel::error, stage.runner->name(), "goes on behind damage in the journal",
               {{"file", skip.file.string()},
                {"byte", std::to_string(skip.offset)},
                {"skipped_bytes", std::to_string(skip.bytes)},
                {"skipped_positions", std::to_string(skip.positions)},
                {"why", skip.reason}});
    }
  }
  const std::uint64_t failures = parts.writer->figures().helper_failures.get();
  if (parts.said_helper_failures == 0 && failures != 0) {
    ops::log(ops::LogLevel::error, "journal", "no memory to sync and to prepare the next file: tried again and again",
             {{"times", std::to_string(failures)}});
  }
  parts.said_helper_failures = failures;
}

RunSummary summarize(const Parts& parts) {
  RunSummary summary;
  const feed::SessionFigures& feed = parts.session->figures();
  summary.frames.received = feed.messages.get();
  summary.frames.partly_bad = feed.frames_of(FrameKind::partly_bad);
  summary.frames.trades = feed.frames_of(FrameKind::trades) + summary.frames.partly_bad;
  summary.frames.pings = feed.frames_of(FrameKind::ping);
  summary.frames.errors = feed.frames_of(FrameKind::error);
  summary.frames.other = feed.frames_of(FrameKind::other);
  summary.frames.bad = feed.frames_of(FrameKind::bad) + feed.frames_of(FrameKind::bad_truncated);
  summary.trades = feed.trades.get();
  summary.connections = feed.connections.get();
  summary.gaps = feed.gaps.get();
  for (const RunningStage& stage : parts.stages) {
    const runner::PumpFigures& figures = stage.runner->figures();
    if (const std::uint64_t places = figures.skipped_places.get(); places != 0) {
      summary.lost.push_back(
          fmt::format("{}: {} positions, in {} damaged places of the journal (mdpipe journal "
                      "verify says which)",
                      stage.runner->name(), figures.skipped_positions.get(), places));
    }
    const std::uint64_t earlier = figures.earlier_trades.get();
    if (stage.stage.get() == parts.publish) {
      summary.earlier_to_publish = earlier;
    } else if (stage.stage.get() == parts.store) {
      summary.earlier_to_store = earlier;
    }
    if (const std::uint64_t lag = lag_of(parts, stage); lag != 0) {
      summary.left.push_back(fmt::format("{}: {} positions; they stay in the journal, the next run goes on there",
                                         stage.runner->name(), lag));
    }
  }
  if (parts.publish != nullptr) {
    const stage::PublishFigures& kafka = parts.publish->figures();
    summary.publishes = true;
    summary.published = kafka.trades_acknowledged.get();
    summary.already_published = kafka.trades_found.get();
    summary.refused = kafka.trades_refused.get();
    summary.dead_letters = kafka.dead_letters_acknowledged.get();
  }
  if (parts.aggregate != nullptr) {
    summary.aggregates = true;
    summary.metrics = parts.aggregate->figures().metrics.get();
  }
  if (parts.store != nullptr) {
    summary.stores = true;
    summary.stored = parts.store->figures().trades.get();
    summary.outputs.push_back(fmt::format("files    {}/trades_*.jsonl", parts.plan.store.directory.string()));
  }
  summary.outputs.push_back(fmt::format("journal  {}", parts.plan.journal.directory.string()));
  return summary;
}

}  // namespace mdpipe::wiring
