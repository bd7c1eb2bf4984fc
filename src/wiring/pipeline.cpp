#include "mdpipe/wiring/pipeline.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "listener.hpp"
#include "live_line.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/ops/log.hpp"
#include "parts.hpp"
#include "run_plan.hpp"
#include "venue_memory.hpp"

namespace mdpipe::wiring {
namespace {

using ops::log;
using ops::LogLevel;

constexpr std::chrono::milliseconds kTick{20};
/// For what a stage does between two looks at whether it was told to let go: a flush, a sync.
constexpr std::int64_t kLetGoNs = kNanosecondsPerSecond;
constexpr std::size_t kOutboxSlots = 1U << 13U;
/// What the feed's thread leaves behind.
struct FeedOutcome {
  std::mutex mutex;
  std::optional<Result<feed::SessionEnd>> result;
  std::atomic<bool> done{false};

  /// Also where it throws (out of memory): what it threw is found by whoever joins it.
  struct AtEnd {
    FeedOutcome& outcome;
    ~AtEnd() { outcome.done.store(true, std::memory_order_release); }
  };
};

class PipelineBody final : public Pipeline {
 public:
  explicit PipelineBody(RunPlan plan) : venue_memory_(plan.journal.directory / "state") {
    parts_.plan = std::move(plan);
  }
  ~PipelineBody() override { shut_down(); }

  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> run(const std::function<void(const std::string&)>& progress) override;
  void stop() noexcept override { stop_.store(true, std::memory_order_release); }
  [[nodiscard]] RunSummary summary() const override { return summary_; }
  [[nodiscard]] bool hangs() const noexcept override { return !hanging_.empty(); }

 private:
  [[nodiscard]] Result<void> open_journal();
  [[nodiscard]] Result<void> open_broker();
  [[nodiscard]] Result<void> open_stages();
  [[nodiscard]] Result<void> add_stage(std::unique_ptr<Stage> stage);
  [[nodiscard]] Result<void> open_listener();
  [[nodiscard]] Result<void> start_threads();
  [[nodiscard]] Result<void> register_cursor(RunningStage& stage, const std::string& name);

  void tick(const std::function<void(const std::string&)>& progress);
  void advance_cursors();
  void say_changes();
  [[nodiscard]] bool done_but(const Stage* left_out) const;
  [[nodiscard]] std::optional<Error> stage_failure() const;
  void drain(bool with_patience, const std::function<void(const std::string&)>& progress);
  void shut_down() noexcept;

  [[nodiscard]] bool keeps_publishing_state() const noexcept {
    return parts_.plan.broker == Broker::real && parts_.plan.publishes;
  }
  /// publish and aggregate without a state begin where this run begins.
  [[nodiscard]] Position start() const noexcept { return parts_.writer->recovery().last_position; }

  Parts parts_;
  VenueMemory venue_memory_;
  ops::MetricsPage metrics_;
  std::unique_ptr<ops::HttpServer> listener_;
  FeedOutcome feed_outcome_;
  Worker feed_;
  std::atomic<bool> stop_{false};
  std::string cluster_id_;  // once the publisher knows it
  RunSummary summary_;
  std::string hanging_;  // stages that did not let go
  bool shut_down_ = false;

  feed::SessionState said_state_ = feed::SessionState::starting;  // what the log has said last
  std::uint64_t said_complaints_ = 0;
  LiveLine live_line_;
};

Result<void> PipelineBody::open() {
  for (const auto step : {&PipelineBody::open_journal, &PipelineBody::open_broker, &PipelineBody::open_stages,
                          &PipelineBody::open_listener, &PipelineBody::start_threads}) {
    if (auto done = (this->*step)(); !done) {
      return done;
    }
  }
  return {};
}

Result<void> PipelineBody::open_journal() {
  auto writer = journal::Writer::open(parts_.plan.journal);
  if (!writer) {
    return tl::unexpected(writer.error());
  }
  parts_.writer = std::move(*writer);
  const journal::RecoveryReport& recovery = parts_.writer->recovery();
  log(recovery.words.empty() ? LogLevel::info : LogLevel::warning, "journal", recovery.created ? "created" : "opened",
      {{"directory", parts_.plan.journal.directory.string()},
       {"journal", fmt::format("{:016x}", parts_.writer->journal_id())},
       {"position", fmt::format("{}/{}", epoch_of(recovery.last_position), sequence_of(recovery.last_position))},
       {"recovery", recovery.words.empty() ? "nothing to mend" : recovery.words}});
  parts_.plan.session.connections_before = recovery.connections;
  parts_.plan.session.last_receive_time_ns = recovery.last_record_time_ns;
  parts_.plan.session.not_before_ns = venue_memory_.not_before_ns(parts_.plan.session.url);
  auto session = feed::Session::make(parts_.plan.session, *parts_.writer);
  if (!session) {
    return tl::unexpected(session.error());
  }
  parts_.session = std::move(*session);
  return {};
}

Result<void> PipelineBody::open_broker() {
  if (parts_.plan.broker != Broker::embedded) {
    return {};
  }
  const TopicNames& topics = parts_.plan.topics;
  auto broker = kafka::EmbeddedBroker::start(
      {{topics.raw, 3}, {topics.metrics, 3}, {topics.alerts, 2}, {topics.dead_letters, 1}});
  if (!broker) {
    return tl::unexpected(broker.error());
  }
  parts_.embedded = std::move(*broker);
  parts_.plan.kafka.bootstrap = parts_.embedded->bootstrap();
  log(LogLevel::info, "kafka", "embedded broker, which forgets everything at exit",
      {{"bootstrap", parts_.plan.kafka.bootstrap}});
  return {};
}

Result<void> PipelineBody::open_stages() {
  const RunPlan& plan = parts_.plan;
  const auto state_directory = plan.journal.directory / "state";
  if (keeps_publishing_state()) {
    if (auto made = make_directories(state_directory); !made) {
      return made;
    }
  }
  if (plan.publishes) {
    parts_.outbox = stage::Outbox::make();
    stage::PublishOptions options;
    options.kafka = plan.kafka;
    options.topics = {plan.topics.raw, plan.topics.metrics, plan.topics.alerts, plan.topics.dead_letters};
    options.source = parts_.writer->journal_id();
    options.state_directory = state_directory;
    options.new_journal = parts_.writer->recovery().created;
    options.embedded = plan.broker == Broker::embedded;
    options.start_after = start();
    options.message_max_bytes = plan.journal.payload_max_bytes;
    auto publish = stage::Publish::make(std::move(options), parts_.outbox.get());
    parts_.publish = publish.get();
    if (auto added = add_stage(std::move(publish)); !added) {
      return added;
    }
  }
  if (plan.aggregates) {
    stage::AggregateOptions options = plan.aggregate;
    options.source = parts_.writer->journal_id();
    options.start_after = start();
    if (keeps_publishing_state()) {
      options.state_directory = state_directory;
      options.cluster_id = [publish = parts_.publish]() -> std::optional<std::string> {
        std::string id = publish->cluster_id();
        return id.empty() ? std::nullopt : std::optional(std::move(id));
      };
    }
    auto aggregate =
        stage::Aggregate::make(std::move(options), plan.publishes ? parts_.outbox->port(kOutboxSlots) : nullptr);
    parts_.aggregate = aggregate.get();
    if (auto added = add_stage(std::move(aggregate)); !added) {
      return added;
    }
  }
  if (plan.stores) {
    stage::StoreOptions options = plan.store;
    options.source = parts_.writer->journal_id();
    auto store = stage::Store::open(std::move(options));
    if (!store) {
      return tl::unexpected(store.error());
    }
    parts_.store = store->get();
    return add_stage(std::move(*store));
  }
  return {};
}

Result<void> PipelineBody::add_stage(std::unique_ptr<Stage> stage) {
  const ThreadPlan& thread = parts_.plan.threads.find(stage->name())->second;
  runner::RunnerOptions options;
  options.core = thread.core;
  options.idle = thread.idle;
  options.earlier_until = start();
  RunningStage running;
  running.runner = std::make_unique<runner::Runner>(
      [writer = parts_.writer.get()](Position after) { return writer->reader(after); }, *stage, options);
  running.stage = std::move(stage);
  // From the first moment, so that retention waits for a stage that has not begun yet (its broker is away).
  const bool durable = running.stage.get() == parts_.store || keeps_publishing_state();
  if (durable) {
    if (auto registered = register_cursor(running, std::string(running.stage->name())); !registered) {
      return registered;
    }
  }
  parts_.stages.push_back(std::move(running));
  return {};
}

Result<void> PipelineBody::register_cursor(RunningStage& stage, const std::string& name) {
  auto cursor = parts_.writer->register_cursor(name);
  if (!cursor) {
    return tl::unexpected(cursor.error());
  }
  stage.cursors.push_back(std::move(*cursor));
  return {};
}

Result<void> PipelineBody::open_listener() {
  add_metrics(parts_, metrics_);
  if (!parts_.plan.listen) {
    return {};
  }
  auto listener = wiring::open_listener(
      *parts_.plan.listen, [this] { return report_health(parts_); }, [this] { return metrics_.render(); });
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  listener_ = std::move(*listener);
  return {};
}

Result<void> PipelineBody::start_threads() {
  for (RunningStage& stage : parts_.stages) {
    if (auto started = stage.runner->start(); !started) {
      return started;
    }
  }
  auto feed = Worker::start(kFeedThread, parts_.plan.threads.find(kFeedThread)->second.core, [this] {
    const FeedOutcome::AtEnd at_end{feed_outcome_};
    auto result = parts_.session->run();
    const std::scoped_lock lock(feed_outcome_.mutex);
    feed_outcome_.result = std::move(result);
  });
  if (!feed) {
    return tl::unexpected(feed.error());
  }
  feed_ = std::move(*feed);
  return {};
}

Result<void> PipelineBody::run(const std::function<void(const std::string&)>& progress) {
  std::optional<Error> failure;
  while (!stop_.load(std::memory_order_acquire) && !feed_outcome_.done.load(std::memory_order_acquire)) {
    tick(progress);
    if (failure = stage_failure(); failure) {
      break;
    }
  }
  parts_.session->request_stop();
  if (auto thrown = feed_.join()) {
    failure = thrown;
  }
  {
    const std::scoped_lock lock(feed_outcome_.mutex);
    if (feed_outcome_.result && !*feed_outcome_.result && !failure) {
      failure = feed_outcome_.result->error();
    }
  }
  const bool closed_in_order = !failure && !stop_.load(std::memory_order_acquire);
  drain(closed_in_order, progress);
  if (!failure) {
    failure = stage_failure();
  }
  if (!hanging_.empty()) {
    failure = Error{ErrorCode::environment,
                    fmt::format("{} hangs (a disk, a file system that does not answer?) and was left behind: what it "
                                "has not done stays in the journal for the next start",
                                hanging_)};
  }
  summary_ = summarize(parts_);
  summary_.outputs.insert(summary_.outputs.begin(), [&]() -> std::string {
    switch (parts_.plan.broker) {
      case Broker::none:
        return "kafka    none";
      case Broker::embedded:
        return "kafka    embedded: what it had is gone with it";
      case Broker::real:
        break;
    }
    return fmt::format("kafka    {}", parts_.plan.kafka.bootstrap);
  }());
  shut_down();
  if (failure) {
    return tl::unexpected(*failure);
  }
  return {};
}

void PipelineBody::tick(const std::function<void(const std::string&)>& progress) {
  std::this_thread::sleep_for(kTick);
  advance_cursors();
  say_changes();
  if (const auto line = live_line_.next(parts_, said_state_, monotonic_clock_ns()); line && progress) {
    progress(*line);
  }
}

void PipelineBody::advance_cursors() {
  if (keeps_publishing_state() && cluster_id_.empty()) {
    cluster_id_ = parts_.publish->cluster_id();
    if (!cluster_id_.empty()) {
      // Of this cluster alone: whoever publishes to another one now does not lose what this one still wants.
      std::string name = cluster_id_;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == '_' || c == '/' || c == '+' || c == '='; }, '.');
      for (RunningStage& stage : parts_.stages) {
        if (stage.stage.get() == parts_.store) {
          continue;
        }
        if (auto registered = register_cursor(stage, fmt::format("{}-{}", stage.stage->name(), name)); !registered) {
          log(LogLevel::error, "journal", "cursor not registered", {{"why", registered.error().message}});
        }
      }
      log(LogLevel::info, "kafka", "connected", {{"bootstrap", parts_.plan.kafka.bootstrap}, {"cluster", cluster_id_}});
    }
  }
  say_journal_troubles(parts_);
  for (RunningStage& stage : parts_.stages) {
    Position settled = stage.runner->figures().settled_position.get();
    if (stage.stage.get() == parts_.publish && keeps_publishing_state()) {
      // Not what only this life knows: the next one begins where the publisher's state stands.
      settled = std::min(settled, parts_.publish->figures().saved.get());
    }
    for (const auto& cursor : stage.cursors) {
      if (settled > cursor->saved()) {
        cursor->advance(settled);
      }
    }
  }
}

void PipelineBody::say_changes() {
  const auto state = parts_.session->figures().state.load(std::memory_order_relaxed);
  if (state != said_state_) {
    said_state_ = state;
    const std::string trouble = parts_.session->last_trouble();
    log(trouble.empty() ? LogLevel::info : LogLevel::warning, "feed", feed::to_string(state),
        {{"url", parts_.session->shown_url()},
         {"symbols", std::to_string(parts_.plan.session.symbols.size())},
         {"why", trouble.empty() ? "all is well" : trouble}});
  }
  venue_memory_.keep(parts_.plan.session.url, parts_.session->figures().not_before_ns.get());
  if (const auto complaints = parts_.session->figures().frames_of(FrameKind::error); complaints != said_complaints_) {
    said_complaints_ = complaints;
    log(LogLevel::warning, "feed", "the venue complains", {{"last", parts_.session->last_complaint()}});
  }
  for (RunningStage& stage : parts_.stages) {
    std::string waiting_for = stage.runner->waiting_for();
    // "no acknowledgement for 7 s" and "… for 8 s" are one trouble.
    const auto without_numbers = [](std::string text) {
      std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
      return text;
    };
    if (without_numbers(waiting_for) != without_numbers(stage.said_waiting_for)) {
      if (waiting_for.empty()) {
        log(LogLevel::info, stage.stage->name(), "goes on");
      } else {
        log(LogLevel::warning, stage.stage->name(), "waits", {{"for", waiting_for}});
      }
    }
    stage.said_waiting_for = std::move(waiting_for);
  }
}

std::optional<Error> PipelineBody::stage_failure() const {
  for (const RunningStage& stage : parts_.stages) {
    if (auto failure = stage.runner->failure()) {
      failure->message = fmt::format("{}: {}", stage.runner->name(), failure->message);
      return failure;
    }
  }
  return std::nullopt;
}

/// Every stage, whatever `left_out` is at.
bool PipelineBody::done_but(const Stage* left_out) const {
  return std::all_of(parts_.stages.begin(), parts_.stages.end(), [left_out](const RunningStage& stage) {
    return stage.stage.get() == left_out || stage.runner->done();
  });
}

/// Aggregate and store first; the publisher, which takes what they hand it, last. `with_patience`: as long as it takes,
/// until a stage fails or somebody calls stop().
void PipelineBody::drain(bool with_patience, const std::function<void(const std::string&)>& progress) {
  std::int64_t deadline_ns = with_patience ? 0 : monotonic_clock_ns() + parts_.plan.drain_ns;
  while (!done_but(nullptr)) {
    const bool others_done = done_but(parts_.publish);
    if (parts_.publish != nullptr && done_but(parts_.aggregate)) {
      break;  // publish has failed: what aggregate has handed it nobody will acknowledge
    }
    for (RunningStage& stage : parts_.stages) {
      if (!stage.finishing && (stage.stage.get() != parts_.publish || others_done)) {
        stage.finishing = true;
        stage.runner->finish();
      }
    }
    tick(progress);
    if (deadline_ns == 0 && (stop_.load(std::memory_order_acquire) || stage_failure())) {
      deadline_ns = monotonic_clock_ns() + parts_.plan.drain_ns;
    }
    if (deadline_ns != 0 && monotonic_clock_ns() >= deadline_ns) {
      break;
    }
  }
  for (RunningStage& stage : parts_.stages) {
    stage.runner->abandon();
  }
  deadline_ns = monotonic_clock_ns() + kLetGoNs;
  while (!done_but(nullptr) && monotonic_clock_ns() < deadline_ns) {
    std::this_thread::sleep_for(kTick);
  }
  for (RunningStage& stage : parts_.stages) {
    if (stage.runner->done()) {
      (void)stage.runner->join();  // its failure is stage_failure()'s
    } else {
      hanging_ += fmt::format("{}{}", hanging_.empty() ? "" : ", ", stage.stage->name());
    }
  }
  advance_cursors();
}

void PipelineBody::shut_down() noexcept {
  if (std::exchange(shut_down_, true)) {
    return;
  }
  listener_.reset();
  if (parts_.session != nullptr) {
    parts_.session->request_stop();
  }
  (void)feed_.join();
  for (RunningStage& stage : parts_.stages) {
    if (hanging_.empty()) {
      stage.runner.reset();
    }
    stage.cursors.clear();
  }
  if (parts_.writer != nullptr) {
    if (auto closed = parts_.writer->close(); !closed) {
      log(LogLevel::error, "journal", "closed with trouble", {{"why", closed.error().message}});
    }
  }
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::open(const RunOptions& options) {
  auto plan = make_run_plan(options);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  auto pipeline = std::make_unique<PipelineBody>(std::move(*plan));
  if (auto opened = pipeline->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  return pipeline;
}

}  // namespace mdpipe::wiring
