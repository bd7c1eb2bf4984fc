#include "mdpipe/wiring/tail.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "consumer_plan.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/journal/reader.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/consumer.hpp"
#include "mdpipe/ops/health.hpp"
#include "mdpipe/ops/log.hpp"
#include "mdpipe/ops/metrics_page.hpp"

namespace mdpipe::wiring {
namespace {

using ops::log;
using ops::LogLevel;
using std::chrono::milliseconds;

constexpr milliseconds kAskTimeout{2000};
constexpr milliseconds kRetry{500};
constexpr std::size_t kBlockBytes = 1U << 16U;
constexpr int kBatch = 1000;
constexpr int kWaitMs = 50;

class JournalTail final : public Tail {
 public:
  explicit JournalTail(TailOptions options) : options_(std::move(options)) {}

  void stop() noexcept override { stop_.store(true, std::memory_order_release); }

  Result<void> run(const Put& put) override {
    auto start = start_of();
    if (!start) {
      return tl::unexpected(start.error());
    }
    auto reader = journal::Reader::open(options_.journal, start->after);
    if (!reader) {
      return tl::unexpected(reader.error());
    }
    std::string lines;
    bool silent = start->latest;  // until what is there is behind us
    while (!stop_.load(std::memory_order_acquire)) {
      const auto record = (*reader)->next();
      for (const journal::Skip& skip : (*reader)->take_skips()) {
        log(LogLevel::error, "journal", "goes on behind damage", {{"what", to_string(skip)}});
      }
      if (record && record->kind() == RecordKind::frame && !silent && record->receive_time_ns() >= start->time_ns) {
        append(*record, (*reader)->symbols(), lines);
      }
      if (record) {
        (*reader)->release(record->last_position());
      }
      if (!lines.empty() && (lines.size() >= kBlockBytes || !record)) {
        if (auto done = put(lines); !done) {
          return done;
        }
        lines.clear();
      }
      if (record) {
        continue;
      }
      if ((*reader)->failure()) {
        return tl::unexpected(*(*reader)->failure());
      }
      if (!options_.follow) {
        return (*reader)->skipped().places == 0 ? Result<void>{} : fail(ErrorCode::data, "the journal is damaged");
      }
      silent = false;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return {};
  }

  [[nodiscard]] Result<void> check() const {
    const auto start = start_of();
    return start ? Result<void>{} : tl::unexpected(start.error());
  }

 private:
  struct Start {
    Position after = kBeforeEverything;
    std::int64_t time_ns = 0;
    bool latest = false;
  };

  /// earliest, latest, EPOCH/SEQUENCE or a time. Without --from: what follows, or with nothing to follow everything.
  [[nodiscard]] Result<Start> start_of() const {
    const std::string from = !options_.from.empty() ? options_.from : options_.follow ? "latest" : "earliest";
    Start start;
    if (const std::size_t slash = from.find('/'); slash != std::string::npos) {
      std::uint16_t epoch = 0;
      std::uint64_t sequence = 0;
      const char* const text = from.data();
      const auto first = std::from_chars(text, text + slash, epoch);
      const auto second = std::from_chars(text + slash + 1, text + from.size(), sequence);
      if (first.ec != std::errc{} || first.ptr != text + slash || second.ec != std::errc{} ||
          second.ptr != text + from.size() || sequence == 0 || sequence >> kSequenceBits != 0) {
        return fail(ErrorCode::usage, fmt::format("--from {}: give a position as EPOCH/SEQUENCE, 0/1234", from));
      }
      start.after = make_position(epoch, sequence) - 1;
      return start;
    }
    const auto point = parse_start_point(from);
    if (!point) {
      return tl::unexpected(point.error());
    }
    start.latest = point->kind == StartPoint::Kind::latest;
    start.time_ns = point->time_ms * kNanosecondsPerMillisecond;
    return start;
  }

  void append(const RecordView& record, const SymbolTable& symbols, std::string& lines) const {
    for (const Trade& trade : record.trades()) {
      TailLine line;
      line.epoch = epoch_of(trade.position);
      line.sequence = sequence_of(trade.position);
      line.key = symbols.text(trade.symbol_id);
      line.time_ms = trade.exchange_time_ms();
      line.latency_ms = floor_to_ms(trade.receive_time_ns - trade.exchange_time_ns);
      line.value = record.text(trade);
      append_tail_line(line, options_.json, options_.colour, lines);
    }
  }

  const TailOptions options_;
  std::atomic<bool> stop_{false};
};

class KafkaTail final : public Tail {
 public:
  explicit KafkaTail(TailOptions options) : options_(std::move(options)) {}

  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> run(const Put& put) override;
  void stop() noexcept override { stop_.store(true, std::memory_order_release); }

 private:
  [[nodiscard]] Result<bool> connect();
  [[nodiscard]] Result<void> begin(const std::vector<std::int32_t>& partitions);
  [[nodiscard]] Result<std::int64_t> start_of(const kafka::PartitionOffset& committed);
  void answer_rebalances();
  [[nodiscard]] bool read(std::string& lines);
  [[nodiscard]] bool at_end() const;
  void commit(bool wait);
  void say(std::string waiting);
  [[nodiscard]] std::string waiting() const {
    const std::scoped_lock lock(mutex_);
    return waiting_;
  }

  const TailOptions options_;
  kafka::Config config_;
  StartPoint from_;
  std::vector<std::int32_t> fixed_;
  std::optional<Endpoint> listen_;
  std::unique_ptr<kafka::Admin> admin_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::vector<std::int64_t> ends_;                     // by partition, when it started
  std::optional<std::vector<std::int32_t>> assigned_;  // and not begun
  std::map<std::int32_t, std::int64_t> next_;          // by partition that is ours
  std::int64_t committed_ns_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<bool> reading_{false};
  SingleWriterCounter messages_;
  SingleWriterCounter bytes_;
  SingleWriterGauge<std::int64_t> lag_;
  SingleWriterGauge<std::int64_t> alive_ns_;
  mutable std::mutex mutex_;
  std::string waiting_ = "not connected to Kafka yet";
  ops::MetricsPage page_;
  std::unique_ptr<ops::HttpServer> listener_;
};

Result<void> KafkaTail::open() {
  auto config = kafka::make_config(options_.kafka.empty() ? "localhost:9092" : options_.kafka,
                                   options_.kafka_properties, options_.kafka_config);
  if (!config) {
    return tl::unexpected(config.error());
  }
  config_ = std::move(*config);
  auto from = parse_start_point(options_.from.empty() ? "latest" : options_.from);
  if (!from) {
    return tl::unexpected(from.error());
  }
  from_ = *from;
  auto fixed = parse_partitions(options_.partitions);
  if (!fixed) {
    return tl::unexpected(fixed.error());
  }
  fixed_ = std::move(*fixed);
  if (options_.listen == "none") {
    return {};
  }
  const auto endpoint = parse_endpoint("--listen", options_.listen);
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  const ops::Labels labels = {{"topic", options_.topic}};
  page_.add_counter("mdpipe_consumer_messages_total", "Messages shown", labels,
                    [this] { return static_cast<double>(messages_.get()); });
  page_.add_counter("mdpipe_consumer_bytes_total", "Bytes of their values", labels,
                    [this] { return static_cast<double>(bytes_.get()); });
  page_.add_gauge("mdpipe_consumer_lag", "Messages that are not shown yet", labels,
                  [this] { return static_cast<double>(lag_.get()); });
  const auto report = [this] {
    constexpr std::int64_t kStuckAfterNs = 9 * kNanosecondsPerSecond;
    ops::HealthReport health;
    if (const std::string why = waiting(); !why.empty()) {
      health.reasons.push_back(why);
    }
    if (alive_ns_.get() != 0 && monotonic_clock_ns() - alive_ns_.get() > kStuckAfterNs) {
      health.stuck.emplace_back("tail");
    }
    if (!reading_.load()) {
      health.missing.emplace_back("kafka: no partitions yet");
    }
    return health;
  };
  ops::HttpOptions http;
  http.address = endpoint->address;
  http.port = endpoint->port;
  ops::HttpRoutes routes;
  routes["/healthz"] = [report] { return ops::render_health(report()); };
  routes["/readyz"] = [report] { return ops::render_readiness(report()); };
  routes["/metrics"] = [this] { return ops::HttpAnswer{200, ops::MetricsPage::kContentType, page_.render()}; };
  auto listener = ops::HttpServer::start(http, std::move(routes));
  if (!listener) {
    return tl::unexpected(listener.error());
  }
  listener_ = std::move(*listener);
  log(LogLevel::info, "ops", "listening", {{"health", fmt::format("{}:{}", http.address, listener_->port())}});
  return {};
}

void KafkaTail::say(std::string waiting) {
  {
    const std::scoped_lock lock(mutex_);
    if (waiting == waiting_) {
      return;
    }
    waiting_ = waiting;
  }
  if (!waiting.empty()) {
    log(LogLevel::warning, "tail", "waits", {{"for", std::move(waiting)}});
  }
}

Result<bool> KafkaTail::connect() {
  if (admin_ == nullptr) {
    auto admin = kafka::Admin::connect(config_);
    if (!admin) {
      return tl::unexpected(admin.error());
    }
    admin_ = std::move(*admin);
  }
  const auto described = admin_->describe(options_.topic, kAskTimeout);
  if (!described || !described->exists) {
    say(described ? fmt::format("there is no topic {}", options_.topic) : described.error().message);
    return false;
  }
  std::vector<std::int64_t> ends;
  for (std::int32_t partition = 0; partition < described->partitions; ++partition) {
    const auto range = admin_->offsets(options_.topic, partition, kAskTimeout);
    if (!range) {
      say(range.error().message);
      return false;
    }
    ends.push_back(range->end);
  }
  for (const std::int32_t partition : fixed_) {
    if (partition >= described->partitions) {
      return fail(ErrorCode::usage, fmt::format("--partitions {}: {} has {}, counted from 0", partition, options_.topic,
                                                described->partitions));
    }
  }
  kafka::ConsumerOptions options;
  options.topic = options_.topic;
  options.group = options_.group;
  auto consumer = kafka::Consumer::make(config_, options);
  if (!consumer) {
    return tl::unexpected(consumer.error());
  }
  consumer_ = std::move(*consumer);
  ends_ = std::move(ends);
  say({});
  if (!fixed_.empty()) {
    assigned_ = fixed_;
    return true;
  }
  if (auto joined = consumer_->join(); !joined) {
    return tl::unexpected(joined.error());
  }
  return true;
}

Result<std::int64_t> KafkaTail::start_of(const kafka::PartitionOffset& committed) {
  const auto range = consumer_->offsets(committed.partition, kAskTimeout);
  if (!range) {
    return tl::unexpected(range.error());
  }
  if (options_.from.empty() && committed.offset >= range->begin && committed.offset <= range->end) {
    return committed.offset;
  }
  switch (from_.kind) {
    case StartPoint::Kind::earliest:
      return range->begin;
    case StartPoint::Kind::latest:
      return range->end;
    case StartPoint::Kind::time:
      break;
  }
  return consumer_->offset_at(committed.partition, from_.time_ms, kAskTimeout);
}

Result<void> KafkaTail::begin(const std::vector<std::int32_t>& partitions) {
  std::vector<kafka::PartitionOffset> positions;
  if (!partitions.empty()) {
    auto committed = consumer_->committed(partitions, kAskTimeout);
    if (!committed) {
      return tl::unexpected(committed.error());
    }
    positions = std::move(*committed);
  }
  std::map<std::int32_t, std::int64_t> next;
  for (kafka::PartitionOffset& one : positions) {
    const auto start = start_of(one);
    if (!start) {
      return tl::unexpected(start.error());
    }
    one = {one.partition, *start, {}};
    next[one.partition] = *start;
  }
  next_ = std::move(next);
  reading_ = true;
  return consumer_->read(positions);
}

void KafkaTail::answer_rebalances() {
  while (const auto rebalance = consumer_->take_rebalance()) {
    if (rebalance->kind == kafka::Rebalance::Kind::assigned) {
      assigned_ = rebalance->partitions;
      continue;
    }
    if (rebalance->kind == kafka::Rebalance::Kind::revoked) {
      commit(true);
    }
    assigned_.reset();
    next_.clear();
    reading_ = false;
    (void)consumer_->give_up();
  }
}

/// Lines of what has come; false where nothing had.
bool KafkaTail::read(std::string& lines) {
  bool any = false;
  std::int64_t now_ms = 0;
  for (int i = 0; i < kBatch && lines.size() < kBlockBytes; ++i) {
    const kafka::Incoming incoming = consumer_->next(any ? 0 : kWaitMs);
    const kafka::IncomingMessage& message = incoming.message;
    const auto next = next_.find(message.partition);
    if (incoming.kind == kafka::Incoming::Kind::nothing || next == next_.end()) {
      break;
    }
    if (incoming.kind == kafka::Incoming::Kind::end) {
      next->second = std::max(next->second, message.offset);
      continue;
    }
    if (message.offset < next->second ||
        (options_.until_end && message.offset >= ends_[static_cast<std::size_t>(message.partition)])) {
      continue;
    }
    now_ms = any ? now_ms : floor_to_ms(wall_clock_ns());
    any = true;
    TailLine line;
    line.topic = options_.topic;
    line.partition = message.partition;
    line.offset = message.offset;
    line.key = message.key;
    line.time_ms = message.timestamp_ms;
    if (message.timestamp_ms >= 0) {
      line.latency_ms = now_ms - message.timestamp_ms;
    }
    line.value = message.value;
    append_tail_line(line, options_.json, options_.colour, lines);
    next->second = message.offset + 1;
    messages_.add();
    bytes_.add(message.value.size());
  }
  return any;
}

bool KafkaTail::at_end() const {
  return options_.until_end && reading_ && std::all_of(next_.begin(), next_.end(), [this](const auto& one) {
           return one.second >= ends_[static_cast<std::size_t>(one.first)];
         });
}

void KafkaTail::commit(bool wait) {
  committed_ns_ = monotonic_clock_ns();
  std::vector<kafka::PartitionOffset> offsets;
  std::int64_t lag = 0;
  for (const auto& [partition, offset] : next_) {
    offsets.push_back({partition, offset, {}});
    lag += std::max<std::int64_t>(consumer_->known_end(partition) - offset, 0);
  }
  lag_.set(lag);
  (void)consumer_->commit(offsets, wait);  // a figure of lag: what is not committed is shown again, no more
}

Result<void> KafkaTail::run(const Put& put) {
  std::string lines;
  while (!stop_.load(std::memory_order_acquire)) {
    alive_ns_.set(monotonic_clock_ns());
    if (consumer_ == nullptr) {
      const auto connected = connect();
      if (!connected) {
        return tl::unexpected(connected.error());
      }
      if (!*connected) {
        std::this_thread::sleep_for(kRetry);
        continue;
      }
    }
    answer_rebalances();
    if (assigned_) {
      if (auto begun = begin(*assigned_); begun) {
        assigned_.reset();
        say({});
      } else {
        say(begun.error().message);
      }
    }
    const bool any = read(lines);
    if (!lines.empty() && (!any || lines.size() >= kBlockBytes)) {
      if (auto done = put(lines); !done) {
        return done;
      }
      lines.clear();
    }
    if (consumer_->failure()) {
      return tl::unexpected(*consumer_->failure());
    }
    if (!assigned_ && reading_ && !any) {
      say(consumer_->trouble());
    }
    if (monotonic_clock_ns() - committed_ns_ >= kNanosecondsPerSecond) {
      commit(false);
    }
    if (at_end()) {
      break;
    }
  }
  if (!lines.empty()) {
    if (auto done = put(lines); !done) {
      return done;
    }
  }
  if (consumer_ != nullptr) {
    commit(true);
  }
  listener_.reset();
  return {};
}

}  // namespace

Result<std::unique_ptr<Tail>> Tail::open(const TailOptions& options) {
  if (!options.journal.empty()) {
    auto tail = std::make_unique<JournalTail>(options);
    if (auto good = tail->check(); !good) {
      return tl::unexpected(good.error());
    }
    return tail;
  }
  if (options.follow) {
    return fail(ErrorCode::usage, "--follow: of a journal (--journal DIR); a topic is followed anyway");
  }
  auto tail = std::make_unique<KafkaTail>(options);
  if (auto opened = tail->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  return tail;
}

}  // namespace mdpipe::wiring
