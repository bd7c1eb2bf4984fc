#include "mdpipe/wiring/consumer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "consumer_session.hpp"
#include "consumer_watch.hpp"
#include "listener.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/ops/log.hpp"

namespace mdpipe::wiring {
namespace {

using ops::log;
using ops::LogLevel;
using std::chrono::milliseconds;

constexpr milliseconds kAskTimeout{2000};
constexpr std::int32_t kSessionTimeoutMs = 10'000;
constexpr std::int32_t kHeartbeatMs = 1'000;
// Nothing heard of us for so long: the group may have given our partitions to another member, who waits for our locks.
constexpr std::int64_t kSilentNs = std::int64_t{kSessionTimeoutMs} * kNanosecondsPerMillisecond * 8 / 10;
constexpr std::int64_t kDoubtNs = std::int64_t{kHeartbeatMs} * kNanosecondsPerMillisecond * 3;
constexpr std::int64_t kRetryNs = kNanosecondsPerSecond / 2;
constexpr std::int64_t kCommitIntervalNs = kNanosecondsPerSecond;
constexpr std::int64_t kHoldNs = kNanosecondsPerSecond;  // busy for so long: let the group hear of us in between
constexpr int kBatch = 256;
constexpr int kWaitMs = 5;
constexpr std::string_view kFolderWords = "mdpipe folder ";

class ConsumerPipelineBody final : public ConsumerPipeline {
 public:
  ConsumerPipelineBody(ConsumerPlan plan, ConsumerFolder folder)
      : plan_(std::move(plan)), folder_(std::move(folder)), watch_(plan_, figures_) {}
  ~ConsumerPipelineBody() override { session_.reset(); }

  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> run(const std::function<void(const std::string&)>& progress) override;
  void stop() noexcept override { stop_.store(true, std::memory_order_release); }
  [[nodiscard]] ConsumerSummary summary() const override { return watch_.summary(); }

 private:
  [[nodiscard]] Result<bool> connect();
  void answer_rebalances();
  void try_begin();
  [[nodiscard]] bool in_the_right_folder(const std::vector<std::int32_t>& partitions);
  void read_batch();
  void suspend();
  void end_session(bool with_patience);
  void commit(bool all, bool wait);
  [[nodiscard]] bool still_here();
  void tick(const std::function<void(const std::string&)>& progress);
  [[nodiscard]] Error given_away() const {
    return {ErrorCode::environment,
            fmt::format("the group {} has given our partitions to another member while we were away: nothing was "
                        "written since; start again to join it",
                        plan_.group)};
  }
  void fail_with(const Error& error) { failure_ = failure_ ? failure_ : std::optional(error); }
  [[nodiscard]] ConsumerWorld world() {
    return {&plan_, &topic_, admin_.get(), consumer_.get(), &figures_, partition_figures_.get()};
  }

  const ConsumerPlan plan_;
  ConsumerFolder folder_;
  ConsumerFigures figures_;
  ConsumerWatch watch_;
  std::unique_ptr<ops::HttpServer> listener_;
  std::atomic<bool> stop_{false};

  TopicSight topic_;
  std::unique_ptr<PartitionFigures[]> partition_figures_;
  std::unique_ptr<kafka::Admin> admin_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::optional<std::vector<std::int32_t>> assigned_;  // and not begun yet
  std::vector<LockedPartition> locks_;                 // of those that have their lock already
  std::unique_ptr<ConsumerSession> session_;
  bool suspended_ = false;                      // the session reads nothing for now
  std::optional<kafka::IncomingMessage> held_;  // answered busy: comes again before the next
  std::int64_t held_since_ns_ = 0;
  std::int64_t retry_at_ns_ = 0;
  std::int64_t doubt_until_ns_ = 0;
  std::int64_t round_ns_ = 0;
  std::int64_t committed_ns_ = 0;
  std::int64_t ticked_ns_ = 0;
  std::string waiting_;  // why nothing is read
  std::optional<Error> failure_;
};

Result<void> ConsumerPipelineBody::open() {
  if (!plan_.listen) {
    return {};
  }
  auto listener = open_listener(
      *plan_.listen, [this] { return watch_.health(); }, [this] { return watch_.metrics(); });
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  listener_ = std::move(*listener);
  return {};
}

/// False while there is no broker that answers, or no such topic yet.
Result<bool> ConsumerPipelineBody::connect() {
  if (admin_ == nullptr) {
    auto admin = kafka::Admin::connect(plan_.kafka);
    if (!admin) {
      return tl::unexpected(admin.error());
    }
    admin_ = std::move(*admin);
  }
  auto sight = look_at_topic(plan_, *admin_);
  if (!sight && sight.error().for_good) {
    return tl::unexpected(sight.error().error);
  }
  if (!sight) {
    waiting_ = sight.error().error.message;
    return false;
  }
  kafka::ConsumerOptions options;
  options.topic = plan_.topics.raw;
  options.group = plan_.group;
  options.session_timeout_ms = kSessionTimeoutMs;
  options.heartbeat_ms = kHeartbeatMs;
  if (plan_.fixed_partitions.empty()) {
    auto place = folder_.take_place(plan_.group);
    if (!place) {
      return tl::unexpected(place.error());
    }
    options.member = std::move(*place);
  }
  auto consumer = kafka::Consumer::make(plan_.kafka, options);
  if (!consumer) {
    return tl::unexpected(consumer.error());
  }
  consumer_ = std::move(*consumer);
  topic_ = std::move(*sight);
  partition_figures_ = std::make_unique<PartitionFigures[]>(static_cast<std::size_t>(topic_.partitions));
  watch_.meet_partitions({partition_figures_.get(), static_cast<std::size_t>(topic_.partitions)});
  log(LogLevel::info, "kafka", "connected",
      {{"bootstrap", plan_.kafka.bootstrap},
       {"cluster", topic_.cluster_id},
       {"topic", plan_.topics.raw},
       {"partitions", std::to_string(topic_.partitions)},
       {"group", plan_.group},
       {"member", options.member.empty() ? "none: fixed partitions" : options.member}});
  if (!plan_.fixed_partitions.empty()) {
    assigned_ = plan_.fixed_partitions;
    return true;
  }
  waiting_ = fmt::format("for the group {} to give us partitions", plan_.group);
  if (auto joined = consumer_->join(); !joined) {
    return tl::unexpected(joined.error());
  }
  return true;
}

void ConsumerPipelineBody::answer_rebalances() {
  while (const auto rebalance = consumer_->take_rebalance()) {
    held_.reset();
    figures_.rebalances.add();
    switch (rebalance->kind) {
      case kafka::Rebalance::Kind::assigned:
        assigned_ = rebalance->partitions;
        retry_at_ns_ = 0;
        continue;
      case kafka::Rebalance::Kind::revoked:
        if (doubt_until_ns_ == 0) {
          end_session(true);
          break;
        }
        [[fallthrough]];  // we have been away: whatever the group says now, it is not what it said before
      case kafka::Rebalance::Kind::lost:
        if (session_ != nullptr) {
          log(LogLevel::error, plan_.name(), "assignment lost", {{"so", "nothing more is written or committed"}});
          session_.reset();
          if (doubt_until_ns_ != 0) {
            fail_with(given_away());
          }
        }
        break;
    }
    assigned_.reset();
    locks_.clear();
    suspended_ = false;
    figures_.reading.set(false);
    waiting_ = fmt::format("for the group {} to give us partitions", plan_.group);
    if (auto given_up = consumer_->give_up(); !given_up) {
      fail_with(given_up.error());
    }
  }
}

/// Locks first, then the states, then the group's word on what folder they are in.
void ConsumerPipelineBody::try_begin() {
  const std::int64_t now_ns = monotonic_clock_ns();
  if (!assigned_ || now_ns < retry_at_ns_) {
    return;
  }
  retry_at_ns_ = now_ns + kRetryNs;
  for (const std::int32_t partition : *assigned_) {
    const bool have = std::any_of(locks_.begin(), locks_.end(),
                                  [&](const LockedPartition& one) { return one.partition == partition; });
    if (have) {
      continue;
    }
    auto lock = folder_.lock_partition(partition);
    if (!lock) {
      waiting_ = fmt::format("for the lock of {}[{}]: {}", plan_.topics.raw, partition, lock.error().message);
      return;
    }
    locks_.push_back({partition, std::move(*lock)});
  }
  if (!in_the_right_folder(*assigned_)) {
    return;
  }
  auto session = ConsumerSession::open(world(), std::exchange(locks_, {}));
  if (!session) {
    waiting_ = session.error().error.message;
    if (session.error().for_good) {
      fail_with(session.error().error);
    }
    return;
  }
  session_ = std::move(*session);
  round_ns_ = monotonic_clock_ns();
  assigned_.reset();
  waiting_.clear();
  figures_.reading.set(true);
  if (auto reading = consumer_->read(session_->positions()); !reading) {
    fail_with(reading.error());
  }
}

/// False: ask again, or fail. The group's last commit says in which folder its members keep their states.
bool ConsumerPipelineBody::in_the_right_folder(const std::vector<std::int32_t>& partitions) {
  if (partitions.empty()) {
    return true;
  }
  const auto committed = consumer_->committed(partitions, kAskTimeout);
  if (!committed) {
    waiting_ = committed.error().message;
    return false;
  }
  for (const kafka::PartitionOffset& one : *committed) {
    const std::string_view metadata = one.metadata;
    if (metadata.starts_with(kFolderWords) && metadata.substr(kFolderWords.size()) != folder_.id()) {
      fail_with({ErrorCode::environment,
                 fmt::format("the group {} keeps what it knows of {}[{}] in another folder ({}; {} is {}): its members "
                             "share one. Name that one, or another --group",
                             plan_.group, plan_.topics.raw, one.partition, metadata.substr(kFolderWords.size()),
                             folder_.path().string(), folder_.id())});
      return false;
    }
  }
  return true;
}

void ConsumerPipelineBody::read_batch() {
  bool moved = false;
  const bool may_read = session_ != nullptr && doubt_until_ns_ == 0;
  for (int i = 0; i < kBatch; ++i) {
    if (!held_) {
      const bool wait = i == 0 && !moved;
      const kafka::Incoming incoming = consumer_->next(wait ? (may_read ? kWaitMs : kWaitMs * 10) : 0);
      if (incoming.kind == kafka::Incoming::Kind::nothing || !may_read) {
        break;
      }
      if (incoming.kind == kafka::Incoming::Kind::end) {
        session_->on_end(incoming.message.partition, incoming.message.offset);
        continue;
      }
      held_ = incoming.message;
      held_since_ns_ = 0;
    }
    if (!still_here() || session_->take(*held_) == Uptake::busy) {
      break;
    }
    held_.reset();
    moved = true;
  }
  if (!may_read || !still_here()) {
    return;
  }
  moved = session_->poll() || moved;
  const std::int64_t now_ns = monotonic_clock_ns();
  if (moved || !held_) {
    figures_.moved_ns.set(now_ns);
  }
  if (held_) {
    held_since_ns_ = held_since_ns_ == 0 ? now_ns : held_since_ns_;
    if (now_ns - held_since_ns_ > kHoldNs) {
      suspend();  // librdkafka must be asked for more now and then, or the group takes us for dead
    } else if (!moved) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

/// Gives back what was read and not taken: it is read again from where the stages stand.
void ConsumerPipelineBody::suspend() {
  held_.reset();
  held_since_ns_ = 0;
  suspended_ = true;
  retry_at_ns_ = monotonic_clock_ns() + kRetryNs;
  if (auto suspended = consumer_->read({}); !suspended) {
    fail_with(suspended.error());
  }
}

void ConsumerPipelineBody::commit(bool all, bool wait) {
  committed_ns_ = monotonic_clock_ns();
  auto offsets = session_->settled(all);
  for (kafka::PartitionOffset& one : offsets) {
    one.metadata = std::string(kFolderWords) + folder_.id();
  }
  if (offsets.empty()) {
    return;
  }
  if (auto committed = consumer_->commit(offsets, wait); !committed) {
    log(LogLevel::warning, plan_.name(), "not committed", {{"why", committed.error().message}});
    return;
  }
  figures_.commits.add();
}

/// Flush, state, commit; then the locks go.
void ConsumerPipelineBody::end_session(bool with_patience) {
  if (session_ == nullptr) {
    return;
  }
  held_.reset();
  std::int64_t deadline_ns = with_patience && !stop_.load(std::memory_order_acquire)
                                 ? std::numeric_limits<std::int64_t>::max()
                                 : monotonic_clock_ns() + plan_.drain_ns;
  session_->begin_drain();
  while (!session_->drained() && !session_->failure() && monotonic_clock_ns() < deadline_ns) {
    if (!still_here()) {
      fail_with(given_away());
      session_.reset();
      return;
    }
    if (!session_->poll()) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    if (stop_.load(std::memory_order_acquire)) {
      deadline_ns = std::min(deadline_ns, monotonic_clock_ns() + plan_.drain_ns);
    }
    figures_.alive_ns.set(monotonic_clock_ns());
    watch_.say(waiting_, session_->waiting_for());
  }
  if (auto failed = session_->failure()) {
    fail_with(*failed);
  } else {
    session_->close();
    commit(true, true);
  }
  session_.reset();
  figures_.reading.set(false);
}

/// A process that was stopped does not know it: only that its clock went on without it. Asked before anything is
/// written; false: not now.
bool ConsumerPipelineBody::still_here() {
  const std::int64_t now_ns = monotonic_clock_ns();
  const bool away = plan_.fixed_partitions.empty() && session_ != nullptr && now_ns - round_ns_ > kSilentNs;
  if (away) {
    log(LogLevel::warning, plan_.name(), "was away",
        {{"seconds", std::to_string((now_ns - round_ns_) / kNanosecondsPerSecond)},
         {"so", "nothing is written until the group has had time to say whether the partitions are still ours"}});
    suspend();
    doubt_until_ns_ = now_ns + kDoubtNs;
  }
  round_ns_ = now_ns;
  if (doubt_until_ns_ != 0 && now_ns > doubt_until_ns_) {
    doubt_until_ns_ = 0;
  }
  return doubt_until_ns_ == 0;
}

void ConsumerPipelineBody::tick(const std::function<void(const std::string&)>& progress) {
  const std::int64_t now_ns = monotonic_clock_ns();
  figures_.alive_ns.set(now_ns);
  if (now_ns - ticked_ns_ < kNanosecondsPerSecond / 4) {
    return;
  }
  ticked_ns_ = now_ns;
  std::string waiting = session_ != nullptr ? session_->waiting_for() : waiting_;
  if (waiting.empty() && consumer_ != nullptr) {
    waiting = consumer_->trouble();
  }
  watch_.say(session_ != nullptr ? std::string() : waiting_, waiting);
  if (const auto line = watch_.live_line(now_ns); line && progress) {
    progress(*line);
  }
}

Result<void> ConsumerPipelineBody::run(const std::function<void(const std::string&)>& progress) {
  bool at_end = false;
  while (!stop_.load(std::memory_order_acquire) && !failure_ && !at_end) {
    const std::int64_t now_ns = monotonic_clock_ns();
    if (consumer_ == nullptr) {
      if (now_ns >= retry_at_ns_) {
        retry_at_ns_ = now_ns + kRetryNs;
        if (const auto connected = connect(); !connected) {
          fail_with(connected.error());
        }
      }
      if (consumer_ == nullptr) {
        std::this_thread::sleep_for(milliseconds(20));
      }
      tick(progress);
      continue;
    }
    (void)still_here();
    answer_rebalances();
    try_begin();
    if (suspended_ && doubt_until_ns_ == 0 && now_ns >= retry_at_ns_ && session_ != nullptr) {
      suspended_ = false;
      if (auto reading = consumer_->read(session_->positions()); !reading) {
        fail_with(reading.error());
      }
    }
    read_batch();
    if (consumer_->failure()) {
      fail_with(*consumer_->failure());
    }
    if (session_ != nullptr && still_here()) {
      if (auto failed = session_->failure()) {
        fail_with(*failed);
      } else if (now_ns - committed_ns_ >= kCommitIntervalNs) {
        commit(false, false);
      }
      at_end = plan_.until_end && session_->group_at_end();
    }
    tick(progress);
  }
  if (failure_ || doubt_until_ns_ != 0) {
    session_.reset();  // what is saved is saved; what is not, is not known to be good or ours
  }
  end_session(at_end);
  locks_.clear();
  consumer_.reset();
  listener_.reset();
  if (failure_) {
    return tl::unexpected(*failure_);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ConsumerPipeline>> ConsumerPipeline::open(const ConsumerOptions& options) {
  auto plan = make_consumer_plan(options);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  auto folder = ConsumerFolder::open(plan->folder, fmt::format("mdpipe {}", plan->name()));
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  auto pipeline = std::make_unique<ConsumerPipelineBody>(std::move(*plan), std::move(*folder));
  if (auto opened = pipeline->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  return pipeline;
}

}  // namespace mdpipe::wiring
