#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "publish_body.hpp"
#include "publish_message.hpp"

namespace mdpipe::stage {
namespace {

constexpr std::int64_t kListenIntervalNs = 100'000'000;  // where nothing is in flight: for errors of connections
constexpr std::int64_t kHurryIntervalNs = 5'000'000;     // each takes a millisecond

}  // namespace

/// Nothing but one message to a partition until its first is acknowledged; few where one was refused, and nothing at
/// all beside one that was refused among few.
bool PublishBody::may_go(const LaneEntry& entry, std::uint64_t lane_index, std::int64_t now_ns) {
  Flight& flight = flight_of(entry);
  if (flight.alone) {
    return false;
  }
  if (goes_alone(lane_index)) {
    return in_flight_[lane_index] == 0 && flight.in_flight == 0;
  }
  if (goes_carefully(lane_index) && in_flight_[lane_index] >= kCarefulInFlight) {
    return false;
  }
  if (flight.open && flight.in_flight == 0 && now_ns - flight.heard_ns > options_.silence_ns) {
    flight.open = false;  // a broker may have forgotten our producer id
  }
  return true;
}

bool PublishBody::send(std::uint64_t lane_index, std::int64_t now_ns) {
  Lane& lane = lanes_[lane_index];
  if (lane.next() == lane.end()) {
    return false;
  }
  const std::int64_t wall_ns = wall_clock_ns();
  bool moved = false;
  while (lane.next() != lane.end()) {
    LaneEntry& entry = lane.at(lane.next());
    if (!entry.sent && !entry.acknowledged && entry.position <= previous_of(entry)) {
      found_already(entry);
    }
    if (entry.sent || entry.acknowledged) {
      entry.sent = false;
      lane.sent();
      moved = true;
      continue;
    }
    if (!may_go(entry, lane_index, now_ns)) {
      moved = send_firsts(lane_index, now_ns, wall_ns) || moved;
      break;
    }
    const kafka::ProduceStatus status = hand_over(lane.next(), lane_index, now_ns, wall_ns);
    if (status == kafka::ProduceStatus::queue_full) {
      figures_.queue_full.add();
      break;
    }
    if (status == kafka::ProduceStatus::failed) {
      break;  // the producer says why; poll() rebuilds
    }
    if (status == kafka::ProduceStatus::too_large) {  // of an earlier run, whose frames could be larger
      refused_for_good(entry);
      alone_until_[lane_index] = std::max(alone_until_[lane_index], lane.next() + 1);
      if (failure_) {
        break;
      }
      continue;
    }
    lane.sent();
    moved = true;
  }
  lane.settle();
  return moved;
}

/// While one partition's first message is on its way alone, those of the others may be too: each takes the time of an
/// answer. Only a message before which nothing of its partition waits.
bool PublishBody::send_firsts(std::uint64_t lane_index, std::int64_t now_ns, std::int64_t wall_ns) {
  if (goes_alone(lane_index) || goes_carefully(lane_index)) {
    return false;
  }
  Lane& lane = lanes_[lane_index];
  const std::uint64_t end = std::min(lane.end(), lane.next() + kLookAhead);
  bool moved = false;
  for (std::uint64_t index = lane.ahead(); index < end; index = lane.ahead()) {
    LaneEntry& entry = lane.at(index);
    Flight& flight = flight_of(entry);
    if (!flight.open && !flight.alone && !flight.passed_over && !entry.acknowledged &&
        entry.position > previous_of(entry)) {
      entry.sent = hand_over(index, lane_index, now_ns, wall_ns) == kafka::ProduceStatus::taken;
      moved = moved || entry.sent;
    }
    flight.passed_over = flight.passed_over || !entry.sent;
    lane.looked_at();
  }
  return moved;
}

kafka::ProduceStatus PublishBody::hand_over(std::uint64_t index, std::uint64_t lane_index, std::int64_t now_ns,
                                            std::int64_t wall_ns) {
  const LaneEntry& entry = lanes_[lane_index].at(index);
  const kafka::ProduceStatus status = produce(entry, index << 1U | lane_index, wall_ns);
  if (status == kafka::ProduceStatus::taken) {
    Flight& flight = flight_of(entry);
    flight.alone = !flight.open || goes_alone(lane_index);
    first_waits_ = first_waits_ || flight.alone;
    previous_of(entry) = entry.position;
    flight.waiting_ns = flight.in_flight == 0 ? now_ns : flight.waiting_ns;
    ++flight.in_flight;
    ++in_flight_[lane_index];
    figures_.bytes_sent.add(entry.value_length);
  }
  return status;
}

kafka::ProduceStatus PublishBody::produce(const LaneEntry& entry, std::uint64_t tag, std::int64_t wall_ns) {
  const auto header = kafka::encode({entry.header_flags, entry.source, entry.position, previous_of(entry)});
  const MessageHeaders headers({header.data(), header.size()}, entry);
  kafka::OutgoingMessage message;
  message.topic = static_cast<std::size_t>(entry.destination);
  message.partition = entry.partition;
  message.key = entry.key();
  message.value = entry.value();
  // Not beyond now: a broker refuses a message from the future, and with it the whole batch.
  message.timestamp_ms = floor_to_ms(std::min(entry.receive_time_ns, wall_ns));
  message.headers = headers.list.data();
  message.header_count = headers.count;
  message.tag = tag;
  return producer_->produce(message);
}

/// What nothing will join need not wait for it: the first message of a partition, and the last ones.
void PublishBody::hurry(std::int64_t now_ns) {
  const bool last_ones = draining_ && in_flight() != 0 && std::all_of(lanes_.begin(), lanes_.end(), [](Lane& lane) {
                           return lane.next() == lane.end();
                         });
  if (options_.hurry && (first_waits_ || last_ones) && now_ns - hurried_ns_ >= kHurryIntervalNs) {
    first_waits_ = false;
    hurried_ns_ = now_ns;
    producer_->send_now();
  }
}

bool PublishBody::listen(std::int64_t now_ns, int timeout_ms) {
  if (in_flight() == 0 && timeout_ms == 0 && now_ns - listened_ns_ < kListenIntervalNs) {
    return false;
  }
  listened_ns_ = now_ns;
  const bool moved = producer_->poll(timeout_ms, [this](const kafka::DeliveryReport& report) { on_report(report); });
  for (Lane& lane : lanes_) {
    lane.settle();
  }
  return moved;
}

void PublishBody::on_report(const kafka::DeliveryReport& report) {
  const std::uint64_t lane_index = report.tag & 1U;
  Lane& lane = lanes_[lane_index];
  const std::uint64_t index = report.tag >> 1U;
  LaneEntry& entry = lane.at(index);
  Flight& flight = flight_of(entry);
  const bool alone = std::exchange(flight.alone, false);
  --flight.in_flight;
  --in_flight_[lane_index];
  if (report.delivered) {
    flight.open = true;
    flight.heard_ns = flight.waiting_ns = report.heard_ns;
    PartitionCursor& cursor = cursor_of(entry);
    if (report.offset >= 0) {
      // A broker takes any sequence of a producer of which its log holds nothing: it does not say what it has lost.
      if (report.offset < cursor.offset) {
        alarm_ = fmt::format(
            "{}[{}] has lost messages: one has gone to offset {} where we had written up to {}{}",
            options_.topics[static_cast<std::size_t>(entry.destination)], entry.partition, report.offset, cursor.offset,
            entry.destination == Destination::raw ? "; what was between is in the journal alone (mdpipe journal export)"
                                                  : "");
      }
      cursor.offset = report.offset + 1;
    }
    Position& last = entry.source == options_.source ? cursor.last : cursor.others[entry.source];
    last = std::max(last, entry.position);
    retry_ns_ = 0;
    dirty_ = true;
    acknowledged(entry, report.heard_unix_ns);
    return;
  }
  if (report.permanent) {
    if (alone && index < alone_until_[lane_index]) {
      refused_for_good(entry);  // again, and there was nobody else whose fault it could be
    }
    // The whole batch was refused for one of its messages: which, we find out by sending fewer, then each alone.
    std::uint64_t& until =
        alone || index < careful_until_[lane_index] ? alone_until_[lane_index] : careful_next_[lane_index];
    until = std::max(until, index + 1);
  }
  give_up(std::string(report.error));
}

void PublishBody::acknowledged(LaneEntry& entry, std::int64_t heard_unix_ns) {
  entry.acknowledged = true;
  switch (entry.destination) {
    case Destination::raw:
      figures_.trades_acknowledged.add();
      figures_.receive_to_acknowledged.record_ns(heard_unix_ns - entry.receive_time_ns);
      break;
    case Destination::metrics:
    case Destination::alerts:
      figures_.metrics_acknowledged.add();
      break;
    case Destination::dead_letters:
      figures_.dead_letters_acknowledged.add();
      break;
  }
  if (entry.message != nullptr) {
    outbox_->acknowledge(entry.message);
  }
}

void PublishBody::found_already(LaneEntry& entry) {
  entry.acknowledged = true;
  if (entry.destination == Destination::raw) {
    figures_.trades_found.add();
  } else if (entry.destination == Destination::metrics) {
    figures_.metrics_found.add();
  }
  if (entry.message != nullptr) {
    outbox_->acknowledge(entry.message);
  }
}

/// Kafka will never take it: what can be kept of it becomes a dead letter, under a source of its own.
void PublishBody::refused_for_good(LaneEntry& entry) {
  constexpr std::size_t kKeptBytes = 64U << 10U;
  figures_.refused.add();
  if (options_.topics[static_cast<std::size_t>(Destination::dead_letters)].empty()) {
    failure_ = Error{ErrorCode::environment,
                     fmt::format("{} refuses message {}, of {} bytes, for good, and there is no topic for dead letters",
                                 options_.topics[static_cast<std::size_t>(entry.destination)],
                                 sequence_of(entry.position), entry.value_length)};
    return;
  }
  if (entry.destination == Destination::dead_letters && entry.value_length <= kKeptBytes) {
    failure_ = Error{ErrorCode::environment,
                     fmt::format("{} refuses even a dead letter of {} bytes: look at the broker's log",
                                 options_.topics[static_cast<std::size_t>(entry.destination)], entry.value_length)};
    return;
  }
  figures_.trades_refused.add(entry.destination == Destination::raw ? 1 : 0);
  entry.source =
      hash_source(entry.source, options_.topics[static_cast<std::size_t>(entry.destination)], entry.partition);
  entry.destination = Destination::dead_letters;
  entry.partition = 0;
  entry.refused = true;
  if (entry.value_length > kKeptBytes) {
    entry.value_length = kKeptBytes;
    entry.header_flags = static_cast<std::uint8_t>(entry.header_flags | kafka::kHeaderTruncated);
  }
}

}  // namespace mdpipe::stage
