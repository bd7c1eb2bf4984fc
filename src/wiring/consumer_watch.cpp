#include "consumer_watch.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/version.hpp"
#include "mdpipe/ops/log.hpp"
#include "mdpipe/wiring/text.hpp"
#include "summary.hpp"
#include "watch.hpp"

namespace mdpipe::wiring {
namespace {

template <class Figure>
std::function<double()> value_of(const Figure& figure) {
  return [&figure] { return static_cast<double>(figure.get()); };
}

/// "no acknowledgement for 7 s" and "… for 8 s" are one trouble.
std::string without_numbers(std::string text) {
  std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

void add_figures(const ConsumerPlan& plan, const ConsumerFigures& figures, ops::MetricsPage& page) {
  page.add_gauge("mdpipe_build_info", "1; which build this is", {{"version", version_text("mdpipe")}},
                 [] { return 1.0; });
  const ops::Labels stage = {{"stage", plan.name()}};
  page.add_counter("mdpipe_consumer_messages_total", "Messages read and dealt with", stage, value_of(figures.messages));
  page.add_counter("mdpipe_consumer_bytes_total", "Bytes of their values", stage, value_of(figures.bytes));
  page.add_counter("mdpipe_consumer_trades_total", "Trades given to the stage", stage, value_of(figures.trades));
  page.add_counter("mdpipe_consumer_foreign_total", "Of them without our header", stage, value_of(figures.foreign));
  page.add_counter("mdpipe_consumer_duplicates_total", "Messages that had come already: dropped", stage,
                   value_of(figures.duplicates));
  page.add_counter("mdpipe_consumer_dead_letters_total", "Messages that could not be used", stage,
                   value_of(figures.dead_letters));
  page.add_counter("mdpipe_consumer_gaps_total", "Messages before which others of their source are missing", stage,
                   value_of(figures.gaps));
  page.add_counter("mdpipe_consumer_rebalances_total", "Changes of what the group gives us", stage,
                   value_of(figures.rebalances));
  page.add_counter("mdpipe_consumer_commits_total", "Commits of offsets", stage, value_of(figures.commits));
  page.add_gauge("mdpipe_consumer_reading", "1 while partitions are read", stage, value_of(figures.reading));
  page.add_counter("mdpipe_kafka_acknowledged_total", "Messages that Kafka has acknowledged",
                   {{"topic", plan.topics.dead_letters}}, value_of(figures.dead_letters_acknowledged));
  if (plan.role == ConsumerRole::store) {
    page.add_counter("mdpipe_store_trades_total", "Trades taken", {}, value_of(figures.taken));
    return;
  }
  page.add_counter("mdpipe_aggregate_trades_total", "Trades counted in", {}, value_of(figures.taken));
  page.add_counter("mdpipe_aggregate_metrics_total", "Metrics formed", {}, value_of(figures.metrics));
  page.add_counter("mdpipe_kafka_acknowledged_total", "Messages that Kafka has acknowledged",
                   {{"topic", plan.topics.metrics}}, value_of(figures.metrics_acknowledged));
  page.add_counter("mdpipe_kafka_found_total", "Messages that were in the topic when a producer began: not sent again",
                   {{"topic", plan.topics.metrics}}, value_of(figures.metrics_found));
}

void add_partition(const ConsumerPlan& plan, std::size_t number, const PartitionFigures& figures,
                   ops::MetricsPage& page) {
  const ops::Labels labels = {{"topic", plan.topics.raw}, {"partition", std::to_string(number)}};
  page.add_gauge(
      "mdpipe_consumer_lag", "Messages of a partition of ours that are not done for good", labels, [&figures] {
        return figures.ours.get()
                   ? static_cast<double>(std::max<std::int64_t>(figures.end.get() - figures.settled.get(), 0))
                   : 0.0;
      });
  page.add_gauge("mdpipe_consumer_offset", "Of the message that comes next", labels, value_of(figures.next_offset));
  page.add_gauge("mdpipe_consumer_assigned", "1 where the partition is ours", labels, value_of(figures.ours));
}

}  // namespace

ConsumerWatch::ConsumerWatch(const ConsumerPlan& plan, const ConsumerFigures& figures)
    : plan_(plan), figures_(figures), page_(std::make_unique<ops::MetricsPage>()) {
  add_figures(plan_, figures_, *page_);
}

void ConsumerWatch::meet_partitions(std::span<const PartitionFigures> partitions) {
  auto page = std::make_unique<ops::MetricsPage>();
  add_figures(plan_, figures_, *page);
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    add_partition(plan_, i, partitions[i], *page);
  }
  const std::scoped_lock lock(mutex_);
  partitions_ = partitions;
  page_ = std::move(page);
}

void ConsumerWatch::say(const std::string& not_reading, const std::string& waiting_for) {
  std::string before;
  {
    const std::scoped_lock lock(mutex_);
    before = waiting_for_;
    not_reading_ = not_reading;
    waiting_for_ = waiting_for;
  }
  if (without_numbers(before) == without_numbers(waiting_for)) {
    return;
  }
  if (waiting_for.empty()) {
    ops::log(ops::LogLevel::info, plan_.name(), "goes on");
  } else {
    ops::log(ops::LogLevel::warning, plan_.name(), "waits", {{"for", waiting_for}});
  }
}

ConsumerWatch::Sums ConsumerWatch::sums() const {
  Sums sums;
  for (const PartitionFigures& one : partitions_) {
    if (one.ours.get()) {
      sums.next += one.next_offset.get();
      sums.settled += one.settled.get();
      sums.end += one.end.get();
    }
  }
  return sums;
}

ops::HealthReport ConsumerWatch::health() const {
  const std::scoped_lock lock(mutex_);
  ops::HealthReport report;
  const Sums now = sums();
  Verdict verdict;
  judge({.name = plan_.name(),
         .written = static_cast<Position>(now.end),
         .read = static_cast<Position>(now.next),
         .settled = static_cast<Position>(now.settled),
         .moved_ns = figures_.moved_ns.get(),
         .alive_ns = figures_.alive_ns.get(),
         .waiting_for = waiting_for_.empty() ? not_reading_ : waiting_for_,
         .failure = {}},
        monotonic_clock_ns(), verdict);
  report.stuck = std::move(verdict.stuck);
  report.reasons = std::move(verdict.reasons);
  if (!figures_.reading.get()) {
    report.missing.push_back(fmt::format("kafka: {}", not_reading_.empty() ? "no partitions yet" : not_reading_));
  }
  return report;
}

std::string ConsumerWatch::metrics() const {
  const std::scoped_lock lock(mutex_);
  return page_->render();
}

std::optional<std::string> ConsumerWatch::live_line(std::int64_t now_ns) {
  live_ns_ = live_ns_ == 0 ? now_ns : live_ns_;
  const std::int64_t elapsed_ns = now_ns - live_ns_;
  if (elapsed_ns < kNanosecondsPerSecond) {
    return std::nullopt;
  }
  const std::uint64_t messages = figures_.messages.get();
  const double rate = static_cast<double>(messages - live_messages_) * static_cast<double>(kNanosecondsPerSecond) /
                      static_cast<double>(elapsed_ns);
  live_ns_ = now_ns;
  live_messages_ = messages;
  const Sums now = sums();
  std::string line = fmt::format("{:>10.0f} messages/s  {:>12} messages  lag {}", rate, messages, now.end - now.next);
  if (plan_.role == ConsumerRole::aggregate) {
    line += fmt::format("  metrics {}  acknowledged {}", figures_.metrics.get(), figures_.metrics_acknowledged.get());
  }
  if (figures_.dead_letters.get() != 0) {
    line += fmt::format("  dead letters {}", figures_.dead_letters.get());
  }
  return line;
}

ConsumerSummary ConsumerWatch::summary() const {
  ConsumerSummary summary;
  summary.role = plan_.role;
  summary.messages = figures_.messages.get();
  summary.trades = figures_.trades.get();
  summary.foreign = figures_.foreign.get();
  summary.duplicates = figures_.duplicates.get();
  summary.dead_letters = figures_.dead_letters.get();
  summary.gaps = figures_.gaps.get();
  summary.taken = figures_.taken.get();
  summary.metrics = figures_.metrics.get();
  summary.metrics_acknowledged = figures_.metrics_acknowledged.get();
  summary.metrics_found = figures_.metrics_found.get();
  summary.outputs.push_back(
      fmt::format("kafka    {}, {} by group {}", plan_.kafka.bootstrap, plan_.topics.raw, plan_.group));
  if (plan_.role == ConsumerRole::store) {
    summary.outputs.push_back(fmt::format("files    {}/trades_*.jsonl", plan_.store.directory.string()));
  } else {
    summary.outputs.push_back(fmt::format("states   {}", plan_.folder.string()));
  }
  return summary;
}

std::string ConsumerSummary::text() const {
  std::string text =
      fmt::format("messages      {:>14}  = {} trades + {} duplicates + {} dead letters\n", grouped_text(messages),
                  grouped_text(trades), grouped_text(duplicates), grouped_text(dead_letters));
  if (messages != trades + duplicates + dead_letters) {
    text += "  NOT EQUAL\n";
  }
  if (foreign != 0) {
    text += fmt::format("  of the trades {} without our header: another producer's\n", grouped_text(foreign));
  }
  if (gaps != 0) {
    text += fmt::format("  gaps        {:>14}  messages before which others of their source are missing\n",
                        grouped_text(gaps));
  }
  text += against_trades(role == ConsumerRole::store ? "stored" : "aggregated", taken, trades, 0);
  if (role == ConsumerRole::aggregate) {
    text += fmt::format("  metrics     {:>14}  {} acknowledged + {} in the topic already\n", grouped_text(metrics),
                        grouped_text(metrics_acknowledged), grouped_text(metrics_found));
  }
  for (const std::string& one : outputs) {
    text += one + "\n";
  }
  return text;
}

}  // namespace mdpipe::wiring
