#include "replay/kafka/publisher.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <semaphore>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/partitioner.hpp"
#include "mdpipe/stage/publish.hpp"
#include "replay/kafka/rebase.hpp"
#include "replay/kafka/record_ring.hpp"
#include "replay/pace/wait.hpp"
#include "replay/session/read_ahead.hpp"
#include "replay/session/summary.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::chrono::milliseconds kAskTimeout{10'000};
constexpr std::int64_t kConnectPatienceNs = 10 * kNanosecondsPerSecond;
// Enough for the batch that is on its way and the next one, which keeps a broker busy; no more, here and in what is
// read ahead: what keeps them is used round and round and stays in the caches, and memory that is touched for the first
// time costs more than anything that is done with it.
constexpr std::uint32_t kInFlightMax = 1U << 15U;
constexpr std::size_t kRingBytes = 3U << 20U;  // of frames with their trades; a frame that needs more gets it
constexpr std::size_t kUsualFrameBytes = 512U << 10U;
constexpr int kLookIntervalMs = 1;  // acknowledgements are looked for so often while nothing is due
constexpr std::int64_t kLookIntervalNs = kLookIntervalMs * kNanosecondsPerMillisecond;
constexpr auto kRaw = static_cast<std::size_t>(stage::Destination::raw);

/// Who a session is that is sent again and again until it is there once: the same for the same trades and name.
std::uint64_t source_of(const std::string& digest, const std::string& name) {
  const std::string identity = "replay\n" + digest + "\n" + name;
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned length = 0;
  ::EVP_Digest(identity.data(), identity.size(), hash.data(), &length, ::EVP_sha256(), nullptr);
  std::uint64_t source = 0;
  std::memcpy(&source, hash.data(), sizeof source);
  return source;
}

Result<std::uint64_t> random_source() {
  std::uint64_t source = 0;
  if (::RAND_bytes(reinterpret_cast<unsigned char*>(&source), sizeof source) != 1) {
    return fail(ErrorCode::environment, "no random number for the source");
  }
  return source;
}

/// What reading ahead has found in it.
struct Frame {
  std::string_view text;
  std::span<const FrameElement> elements;
};

class SessionPublisher {
 public:
  SessionPublisher(const PublishSessionOptions& options, const std::function<void(const std::string&)>& say)
      : options_(options), say_(say), schedule_(options.pace), ring_(kRingBytes), ahead_(options.session, 1, [this] {
          batches_.release();
        }) {}

  Result<PublishSessionReport> run();

 private:
  [[nodiscard]] Result<void> choose_source();
  [[nodiscard]] Result<void> connect();
  [[nodiscard]] Result<void> warn_of_retention();
  [[nodiscard]] Result<std::optional<Error>> play();
  [[nodiscard]] Result<std::unique_ptr<Batch>> next_batch();
  [[nodiscard]] Result<void> take(const Batch& batch, const Batch::Entry& entry);
  [[nodiscard]] Frame rebased(const Frame& frame, std::int64_t schedule_ns);
  [[nodiscard]] Result<FrameClaim> room_for(std::size_t payload_bytes);
  [[nodiscard]] std::uint32_t place(const Frame& frame, const FrameClaim& claim);
  [[nodiscard]] std::int64_t message_time_ns(const Batch::Entry& entry) const;
  [[nodiscard]] bool is_there_already(std::span<const Trade> trades);
  [[nodiscard]] Result<void> wait_until_due(std::int64_t due_ns);
  [[nodiscard]] bool stopped() noexcept;
  [[nodiscard]] Result<bool> poll(int timeout_ms = 0);
  template <class Condition>
  [[nodiscard]] Result<void> poll_until(const Condition& condition);
  [[nodiscard]] Result<void> drain();

  const PublishSessionOptions& options_;
  const std::function<void(const std::string&)>& say_;
  Schedule schedule_;
  RecordRing ring_;
  SymbolTable symbols_;  // the session's
  std::unique_ptr<stage::Publish> publish_;
  stage::PublishCursor found_;                 // what was in the topic when we connected
  Position last_found_ = 0;                    // the greatest position in it
  std::vector<std::int64_t> latest_trade_ns_;  // by symbol
  std::int64_t looked_unix_ns_ = 0;            // when poll() was last called
  std::uint64_t sent_trades_ = 0;              // paced: of frames that were due
  std::optional<std::int64_t> shift_ms_;       // --rebase now, once the first time is known
  std::string rebased_;
  std::vector<FrameElement> rebased_elements_;
  PaceStream pace_;
  std::string said_;
  PublishSessionReport report_;
  std::counting_semaphore<> batches_{0};  // how often the reading thread has said that there may be one
  ReadAhead ahead_;                       // last: its thread ends before the rest goes
};

bool SessionPublisher::stopped() noexcept {
  report_.stopped = report_.stopped || (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed));
  return report_.stopped;
}

/// The condition need not hold then where it was stopped.
template <class Condition>
Result<void> SessionPublisher::poll_until(const Condition& condition) {
  while (!condition() && !stopped()) {
    if (auto moved = poll(kLookIntervalMs); !moved) {
      return tl::unexpected(moved.error());
    }
  }
  return {};
}

Result<PublishSessionReport> SessionPublisher::run() {
  {
    SymbolTable symbols;  // that there is such a session is said before a broker is asked for
    if (auto frames = open_sessions(options_.session, symbols); !frames) {
      return tl::unexpected(frames.error());
    }
  }
  if (auto started = ahead_.start(); !started) {  // it reads while we connect
    return tl::unexpected(started.error());
  }
  for (const auto step : {&SessionPublisher::choose_source, &SessionPublisher::connect}) {
    if (auto done = (this->*step)(); !done) {
      return tl::unexpected(done.error());
    }
  }
  const auto damage = play();
  if (!damage) {
    return tl::unexpected(damage.error());
  }
  if (auto drained = drain(); !drained) {
    return tl::unexpected(drained.error());
  }
  if (*damage) {
    return fail((*damage)->code, fmt::format("{}: the {} trades before it are in {}", (*damage)->message,
                                             report_.trades, options_.topic));
  }
  return report_;
}

/// Sends what there is. What is wrong with the session behind it, if something is.
Result<std::optional<Error>> SessionPublisher::play() {
  sleep_without_slack();
  schedule_.start(monotonic_clock_ns());
  while (!stopped()) {
    auto batch = next_batch();
    if (!batch) {
      return tl::unexpected(batch.error());
    }
    if (*batch == nullptr) {
      break;
    }
    for (const std::string& symbol : (*batch)->new_symbols) {
      (void)symbols_.add(symbol);
    }
    latest_trade_ns_.resize(symbols_.size(), std::numeric_limits<std::int64_t>::min());
    for (const Batch::Entry& entry : (*batch)->entries) {
      if (auto taken = take(**batch, entry); !taken) {
        return tl::unexpected(taken.error());
      }
      if (stopped()) {
        return std::optional<Error>();
      }
    }
    if ((*batch)->last) {
      return (*batch)->failure;
    }
    ahead_.recycle(std::move(*batch));
  }
  return std::optional<Error>();
}

/// Null where it was stopped.
Result<std::unique_ptr<Batch>> SessionPublisher::next_batch() {
  std::unique_ptr<Batch> batch;
  while ((batch = ahead_.pop()) == nullptr && !stopped()) {
    if (auto moved = poll(); !moved) {
      return tl::unexpected(moved.error());
    }
    (void)batches_.try_acquire_for(std::chrono::nanoseconds(kLookIntervalNs));
  }
  return batch;
}

Result<void> SessionPublisher::choose_source() {
  if (options_.resume) {
    const auto summary = summarize(options_.session);
    if (!summary) {
      return tl::unexpected(summary.error());
    }
    report_.source = source_of(summary->digest, options_.name);
    return {};
  }
  const auto source = random_source();
  if (!source) {
    return tl::unexpected(source.error());
  }
  report_.source = *source;
  return {};
}

Result<void> SessionPublisher::connect() {
  stage::PublishOptions publish;
  publish.kafka = options_.kafka;
  publish.topics[kRaw] = options_.topic;
  publish.source = report_.source;
  publish.begin.emplace();
  publish.begin_at_ends = !options_.resume;
  publish.topics_must_exist = true;
  publish.in_flight_max = kInFlightMax;
  publish.hurry = options_.pace.kind == Pace::Kind::max;
  publish.message_max_bytes = static_cast<std::uint32_t>(kUsualFrameBytes);
  publish_ = stage::Publish::make(std::move(publish), nullptr);
  const std::int64_t deadline_ns = monotonic_clock_ns() + kConnectPatienceNs;
  const auto connected = [this] { return publish_->resume_after().has_value(); };
  if (auto waited = poll_until([&] { return connected() || monotonic_clock_ns() > deadline_ns; }); !waited) {
    return waited;
  }
  if (stopped()) {
    return fail(ErrorCode::difference, "stopped before anything was sent");
  }
  if (!connected()) {
    return fail(ErrorCode::environment, publish_->waiting_for());
  }
  found_ = publish_->cursor();
  for (const auto& partition : found_.partitions[kRaw]) {
    last_found_ = std::max(last_found_, partition.last);
  }
  return options_.recorded_time ? warn_of_retention() : Result<void>();
}

Result<void> SessionPublisher::warn_of_retention() {
  auto admin = kafka::Admin::connect(options_.kafka);
  if (!admin) {
    return tl::unexpected(admin.error());
  }
  const auto settings = (*admin)->settings(options_.topic, kAskTimeout);
  if (settings && settings->retention_ms >= 0) {
    say_(fmt::format("{} keeps messages for {} h: what was recorded before that is deleted as soon as it arrives",
                     options_.topic, settings->retention_ms / 3'600'000));
  }
  return {};
}

/// Moves what is in flight, says what it waits for where that has changed.
Result<bool> SessionPublisher::poll(int timeout_ms) {
  const bool moved = publish_->poll_for(timeout_ms);
  looked_unix_ns_ = wall_clock_ns();
  if (auto failure = publish_->failure()) {
    return tl::unexpected(*failure);
  }
  ring_.release(publish_->settled());
  if (std::string waiting = publish_->waiting_for(); waiting != said_) {
    if (!waiting.empty()) {
      say_("waits for Kafka: " + waiting);
    }
    said_ = std::move(waiting);
  }
  return moved;
}

Result<FrameClaim> SessionPublisher::room_for(std::size_t payload_bytes) {
  FrameClaim claim;
  const auto found = poll_until([&] { return static_cast<bool>(claim = ring_.claim(payload_bytes)); });
  return found ? Result<FrameClaim>(claim) : tl::unexpected(found.error());
}

/// The frame with its trades behind it, marked as the feed marks them; how many. Of a trade there is what publishing
/// needs: no price, no size, no conditions; its time when it goes.
std::uint32_t SessionPublisher::place(const Frame& frame, const FrameClaim& claim) {
  std::memcpy(claim.payload(), frame.text.data(), frame.text.size());
  Trade* const trades = claim.trades(frame.text.size());
  std::uint32_t count = 0;
  for (const FrameElement& element : frame.elements) {
    if (!element.is_trade) {
      continue;
    }
    Trade& trade = trades[count++] = Trade{};
    trade.position = ++report_.trades;
    trade.exchange_time_ns = element.exchange_time_ms * kNanosecondsPerMillisecond;
    trade.symbol_id = element.symbol;
    trade.text_offset = static_cast<std::uint32_t>(sizeof(RecordHeader) + element.offset);
    trade.text_length = element.length;
    trade.flags = element.trade_flags;
    std::int64_t& latest_ns = latest_trade_ns_[element.symbol];
    if (trade.exchange_time_ns < latest_ns) {
      trade.flags = static_cast<std::uint16_t>(trade.flags | kTradeOutOfOrder);
    }
    latest_ns = std::max(latest_ns, trade.exchange_time_ns);
  }
  return count;
}

/// Of what is sent as fast as it goes, that of the last look: a reading for each frame would take longer than most
/// else.
std::int64_t SessionPublisher::message_time_ns(const Batch::Entry& entry) const {
  if (options_.recorded_time && entry.time_ns != kNoTime) {
    return entry.time_ns;
  }
  return options_.pace.kind == Pace::Kind::max ? looked_unix_ns_ : wall_clock_ns();
}

Frame SessionPublisher::rebased(const Frame& frame, std::int64_t schedule_ns) {
  if (!shift_ms_) {  // a frame with trades has a time
    shift_ms_ = report_.rebased_by_ms = floor_to_ms(wall_clock_ns()) - floor_to_ms(schedule_ns);
  }
  report_.rebase_cut += shift_times(frame.text, frame.elements, *shift_ms_, rebased_, rebased_elements_);
  return {rebased_, rebased_elements_};
}

bool SessionPublisher::is_there_already(std::span<const Trade> trades) {
  if (trades.back().position > last_found_) {
    return false;
  }
  const auto& partitions = found_.partitions[kRaw];
  return std::all_of(trades.begin(), trades.end(), [&](const Trade& trade) {
    const auto partition =
        kafka::partition_of(symbols_.text(trade.symbol_id), static_cast<std::int32_t>(partitions.size()));
    return trade.position <= partitions[static_cast<std::size_t>(partition)].last;
  });
}

Result<void> SessionPublisher::take(const Batch& batch, const Batch::Entry& entry) {
  ++report_.frames;
  if (!entry.is_json || entry.trade_count == 0) {
    ++report_.frames_without;
    return {};
  }
  Frame frame{batch.text_of(entry), std::span(batch.elements).subspan(entry.first_element, entry.element_count)};
  if (options_.rebase_now) {
    frame = rebased(frame, entry.schedule_ns);
  }
  const auto claim = room_for(frame.text.size());
  if (!claim) {
    return tl::unexpected(claim.error());
  }
  if (stopped()) {
    --report_.frames;
    return {};
  }
  const Position before = report_.trades;
  const std::uint32_t count = place(frame, *claim);
  const std::span<Trade> trades(claim->trades(frame.text.size()), count);
  if (is_there_already(trades)) {
    report_.found += count;
    return {};
  }
  const std::int64_t due_ns = schedule_.due_ns(entry.schedule_ns, sent_trades_);
  if (auto due = wait_until_due(due_ns); !due) {
    return due;
  }
  bool handed_over = false;
  if (!stopped()) {
    const std::int64_t time_ns = message_time_ns(entry);
    for (Trade& trade : trades) {
      trade.receive_time_ns = time_ns;
    }
    const RecordView record = ring_.commit(*claim, frame.text.size(), count, before + 1, time_ns);
    auto taken = poll_until(
        [&] { return handed_over || (handed_over = publish_->on_record(record, symbols_) == Uptake::taken); });
    if (!taken) {
      return taken;
    }
  }
  if (!handed_over) {
    report_.trades = before;
    --report_.frames;
    return {};
  }
  sent_trades_ += count;
  // Handed over is not sent: the producer gets it now, or where nothing waits for it, with some others.
  constexpr std::uint64_t kFramesTogether = 64;
  if (options_.pace.kind != Pace::Kind::max || report_.frames % kFramesTogether == 0) {
    if (auto moved = poll(); !moved) {
      return tl::unexpected(moved.error());
    }
    report_.last_sent_ns = monotonic_clock_ns();
  } else if (report_.last_sent_ns == 0) {
    report_.last_sent_ns = monotonic_clock_ns();
  }
  report_.first_sent_ns = report_.first_sent_ns == 0 ? report_.last_sent_ns : report_.first_sent_ns;
  report_.pacing.record(pace_, due_ns, report_.last_sent_ns, count);
  if (options_.position != nullptr) {
    options_.position->trades.store(report_.trades, std::memory_order_relaxed);
    options_.position->market_ns.store(entry.schedule_ns, std::memory_order_relaxed);
  }
  return {};
}

/// Moves what is in flight meanwhile; comes back early where it is stopped.
Result<void> SessionPublisher::wait_until_due(std::int64_t due_ns) {
  if (due_ns == Schedule::kAtOnce) {
    return {};
  }
  const std::int64_t sleep_end_ns = options_.precise ? due_ns - kSpinNs : due_ns;
  for (std::int64_t now_ns = monotonic_clock_ns(); now_ns < sleep_end_ns; now_ns = monotonic_clock_ns()) {
    if (stopped()) {
      return {};
    }
    if (auto moved = poll(); !moved) {
      return tl::unexpected(moved.error());
    }
    sleep_until(std::min(sleep_end_ns, monotonic_clock_ns() + kLookIntervalNs));
  }
  spin_until(due_ns);
  return {};
}

/// Waits for what is in flight; where it was stopped, for so long as there is patience.
Result<void> SessionPublisher::drain() {
  publish_->begin_drain();
  const bool stopped_before_the_end = report_.stopped;
  std::optional<std::int64_t> stopped_at_ns;
  while (!publish_->drained()) {
    if (stopped()) {
      stopped_at_ns = stopped_at_ns.value_or(monotonic_clock_ns());
      if (monotonic_clock_ns() - *stopped_at_ns > options_.stop_patience_ns) {
        break;
      }
    }
    if (auto moved = poll(kLookIntervalMs); !moved) {
      return tl::unexpected(moved.error());
    }
  }
  publish_->close();
  report_.stopped = stopped_before_the_end;
  report_.done_ns = monotonic_clock_ns();
  const stage::PublishFigures& figures = publish_->figures();
  report_.acknowledged = figures.trades_acknowledged.get();
  report_.found += figures.trades_found.get();
  report_.refused = figures.trades_refused.get();
  report_.rebuilds = figures.rebuilds.get();
  return {};
}

}  // namespace

Result<PublishSessionReport> publish_session(const PublishSessionOptions& options,
                                             const std::function<void(const std::string&)>& say) {
  return SessionPublisher(options, say).run();
}

}  // namespace mdpipe::replay
