#include "mdpipe/stage/publish.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/partitioner.hpp"
#include "publish_body.hpp"
#include "publish_message.hpp"

namespace mdpipe::stage {
namespace {

constexpr std::int64_t kFirstRetryNs = 100'000'000;
constexpr std::int64_t kLastWordsNs = 500'000'000;
constexpr std::int64_t kCountIntervalNs = 10 * kNanosecondsPerSecond;
constexpr int kCountPatienceMs = 100;

}  // namespace

std::int32_t PublishBody::partition_of_symbol(SymbolId id, std::string_view symbol) {
  if (id >= partitions_.size()) [[unlikely]] {
    partitions_.resize(std::max<std::size_t>(std::size_t{id} + 1, partitions_.size() * 2), -1);
  }
  if (partitions_[id] < 0) [[unlikely]] {
    const auto count = cursor_.partitions[static_cast<std::size_t>(Destination::raw)].size();
    partitions_[id] = kafka::partition_of(symbol, static_cast<std::int32_t>(count));
  }
  return partitions_[id];
}

Uptake PublishBody::on_record(const RecordView& record, const SymbolTable& symbols) {
  if (record.kind() != RecordKind::frame) {
    taken_ = record.last_position();
    return Uptake::taken;
  }
  Lane& lane = lanes_[kJournalLane];
  const auto trades = record.trades();
  const std::size_t dead_letters = is_dead(record.frame_kind()) ? 1 : 0;
  // By parts where the lane has no room for all: a frame may hold more trades than the lane has places.
  for (; begun_ < dead_letters + trades.size(); ++begun_) {
    if (lane.room() == 0) {
      return Uptake::busy;
    }
    LaneEntry& entry = lane.append();
    entry.source = options_.source;
    if (begun_ < dead_letters) {
      entry.position = record.position();
      entry.set_value(record.payload());
      entry.receive_time_ns = record.receive_time_ns();
      entry.destination = Destination::dead_letters;
      entry.header_flags =
          record.frame_kind() == FrameKind::bad_truncated ? std::uint8_t{kafka::kHeaderTruncated} : std::uint8_t{0};
      entry.reason = record.frame_reason();
      continue;
    }
    const Trade& trade = trades[begun_ - dead_letters];
    entry.position = trade.position;
    entry.set_key(symbols.text(trade.symbol_id));
    entry.set_value(record.text(trade));
    entry.receive_time_ns = trade.receive_time_ns;
    entry.partition = partition_of_symbol(trade.symbol_id, entry.key());
    entry.header_flags = header_flags(trade);
  }
  begun_ = 0;
  taken_ = record.last_position();
  return Uptake::taken;
}

bool PublishBody::take_outbox() {
  if (outbox_ == nullptr) {
    return false;
  }
  Lane& lane = lanes_[kOutboxLane];
  bool any = false;
  while (lane.room() != 0) {
    const OutboxMessage* const message = outbox_->take();
    outbox_empty_ = message == nullptr;
    if (outbox_empty_) {
      break;
    }
    any = true;
    LaneEntry& entry = lane.append();
    entry.position = message->position;
    entry.set_key(message->key);
    entry.set_value(message->value);
    entry.receive_time_ns = message->receive_time_ns;
    entry.source = message->source;
    entry.message = message;
    entry.destination = message->destination;
    entry.header_flags = message->header_flags;
    const auto count = cursor_.partitions[static_cast<std::size_t>(message->destination)].size();
    entry.partition = kafka::partition_of(entry.key(), static_cast<std::int32_t>(count));
  }
  return any;
}

bool PublishBody::poll_for(int timeout_ms) {
  if (failure_) {
    return false;
  }
  const std::int64_t now_ns = monotonic_clock_ns();
  if (producer_ == nullptr) {
    if (now_ns < retry_at_ns_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
      return false;
    }
    connect(now_ns);
    return producer_ != nullptr;
  }
  bool moved = false;
  if (!broken_) {
    moved = take_outbox();
    for (std::uint64_t lane = 0; lane < kLanes; ++lane) {
      moved = send(lane, now_ns) || moved;
    }
  }
  hurry(now_ns);
  moved = listen(now_ns, moved ? 0 : timeout_ms) || moved;
  figures_.in_flight.set(in_flight());
  if (producer_->failure()) {
    give_up(*producer_->failure());
  }
  if (broken_) {
    // What it still has to say of its last messages is worth waiting for: which of them Kafka will never take.
    if (in_flight() == 0 || now_ns - broken_ns_ > kLastWordsNs) {
      rebuild();
      return true;
    }
    return moved;
  }
  if (now_ns - saved_ns_ >= options_.save_interval_ns) {
    save(now_ns);
    count_partitions(now_ns);
    say_waiting(now_ns);
  }
  return moved;
}

void PublishBody::give_up(std::string why) {
  if (!broken_) {
    broken_ = std::move(why);
    broken_ns_ = monotonic_clock_ns();
  }
}

void PublishBody::connect(std::int64_t now_ns) {
  // First, so that it meets the brokers while we look around; it has nothing to send yet.
  const auto make_producer = [this] {
    return kafka::Producer::make(options_.kafka, producer_topics(options_.topics), options_.message_max_bytes,
                                 batch_bytes_);
  };
  auto producer = make_producer();
  if (!producer) {
    failure_ = producer.error();
    return;
  }
  const auto admin = (*producer)->admin();
  auto connection = connect_cluster(options_, connected_once_ ? std::optional(cursor_) : std::nullopt, *admin);
  if (connection && connected_once_ && connection->cluster_id != cluster_id()) {
    connection = tl::unexpected(ConnectFailure{
        Error{ErrorCode::environment,
              fmt::format("{} is another cluster now: start mdpipe again to publish there", options_.kafka.bootstrap)},
        true});
  }
  if (!connection) {
    waiting_for_ = connection.error().error.message;
    if (connection.error().for_good) {
      failure_ = connection.error().error;
    }
    wait_before_retry();
    return;
  }
  const bool too_large = batch_bytes_ > connection->batch_bytes;
  batch_bytes_ = connection->batch_bytes;
  if (too_large) {
    producer = make_producer();
    if (!producer) {
      failure_ = producer.error();
      return;
    }
  }
  producer_ = std::move(*producer);
  alarm_ = connection->alarm;
  cursor_ = std::move(connection->cursor);
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    flights_[topic].assign(cursor_.partitions[topic].size(), Flight{});
    for (std::size_t i = 0; i < flights_[topic].size(); ++i) {
      flights_[topic][i].previous = cursor_.partitions[topic][i].last;
      flights_[topic][i].others = cursor_.partitions[topic][i].others;
    }
  }
  taken_ = connected_once_ ? taken_ : cursor_.settled;
  {
    const std::scoped_lock lock(shared_mutex_);
    cluster_id_ = connection->cluster_id;
    shared_cursor_ = options_.begin ? cursor_ : PublishCursor{};
  }
  connected_once_ = true;
  figures_.saved.set(cursor_.settled);
  counted_ns_ = now_ns;
  figures_.online.set(true);
  waiting_for_ = alarm_;
}

/// The one answer to every failure: give this producer up, look again at what arrived, send the rest anew.
void PublishBody::rebuild() {
  producer_.reset();
  for (Lane& lane : lanes_) {
    lane.settle();
    lane.rewind();
  }
  in_flight_.fill(0);
  figures_.in_flight.set(0);
  careful_until_ = careful_next_;
  figures_.rebuilds.add();
  figures_.online.set(false);
  waiting_for_ = fmt::format("producer given up: {}", broken_.value_or("no reason"));
  broken_.reset();
  wait_before_retry();
}

void PublishBody::wait_before_retry() {
  retry_ns_ = std::min(std::max(retry_ns_, kFirstRetryNs), options_.retry_max_ns);
  retry_at_ns_ = monotonic_clock_ns() + retry_ns_;
  retry_ns_ *= 2;
}

void PublishBody::save(std::int64_t now_ns) {
  saved_ns_ = now_ns;
  const Position now_settled = settled();
  if (options_.embedded || (!dirty_ && now_settled == cursor_.settled)) {
    return;
  }
  cursor_.settled = now_settled;
  if (options_.begin) {
    dirty_ = false;
    const std::scoped_lock lock(shared_mutex_);
    shared_cursor_ = cursor_;
    return;
  }
  if (auto saved = save_cursor(cursor_path(options_.state_directory, cluster_id()), cursor_, options_.topics); !saved) {
    trouble_ = saved.error().message;  // the next start scans from further back: slower, not wrong
    return;
  }
  figures_.saved.set(now_settled);
  trouble_.clear();
  dirty_ = false;
}

/// N is pinned for our life: symbols must not change their partition. Somebody may add partitions all the same.
void PublishBody::count_partitions(std::int64_t now_ns) {
  if (options_.embedded || now_ns - counted_ns_ < kCountIntervalNs) {
    return;
  }
  counted_ns_ = now_ns;
  for (const Destination topic : {Destination::raw, Destination::metrics}) {
    const auto index = static_cast<std::size_t>(topic);
    if (options_.topics[index].empty()) {
      continue;
    }
    const std::size_t pinned = cursor_.partitions[index].size();
    const auto found = producer_->partition_count(index, kCountPatienceMs);
    if (found && static_cast<std::size_t>(*found) > pinned) {
      alarm_ = more_partitions(options_.topics[index], static_cast<std::size_t>(*found), pinned);
    } else if (found && static_cast<std::size_t>(*found) < pinned) {
      give_up(fmt::format("{} has {} partitions and had {}", options_.topics[index], *found, pinned));
    }
  }
}

void PublishBody::say_waiting(std::int64_t now_ns) {
  waiting_for_ = alarm_;
  if (!trouble_.empty()) {
    waiting_for_ = trouble_;
  }
  const std::string& trouble = producer_->trouble();
  if (const std::string quiet = say_quiet(now_ns); !quiet.empty()) {
    waiting_for_ = fmt::format("{}{}{}", quiet, trouble.empty() ? "" : ": ", trouble);
  } else if (in_flight() != 0 && !trouble.empty()) {
    waiting_for_ = trouble;
  }
}

/// The partition that has waited longest, where that is too long. One alone may have no leader, or too few replicas:
/// librdkafka tries again and says nothing, while the others go on.
std::string PublishBody::say_quiet(std::int64_t now_ns) const {
  std::int64_t longest_ns = options_.quiet_ns;
  std::string words;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    for (std::size_t partition = 0; partition < flights_[topic].size(); ++partition) {
      const Flight& flight = flights_[topic][partition];
      if (flight.in_flight != 0 && now_ns - flight.waiting_ns > longest_ns) {
        longest_ns = now_ns - flight.waiting_ns;
        words = fmt::format("no acknowledgement of {}[{}] for {} s", options_.topics[topic], partition,
                            longest_ns / kNanosecondsPerSecond);
      }
    }
  }
  return words;
}

void PublishBody::close() {
  if (producer_ != nullptr) {
    save(monotonic_clock_ns());
  }
  producer_.reset();
}

std::unique_ptr<Publish> Publish::make(PublishOptions options, Outbox* outbox) {
  return std::make_unique<PublishBody>(std::move(options), outbox);
}

}  // namespace mdpipe::stage
