#pragma once
// What a record becomes on its way to Kafka: flags of the header, which frames are dead letters, sources.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "mdpipe/event/record.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/producer.hpp"
#include "publish_lane.hpp"

namespace mdpipe::stage {

[[nodiscard]] inline std::uint8_t header_flags(const Trade& trade) noexcept {
  const auto flag = [&](TradeFlag of_trade, kafka::HeaderFlag of_header) {
    return static_cast<std::uint8_t>((trade.flags & of_trade) != 0 ? of_header : 0);
  };
  return static_cast<std::uint8_t>(
      flag(kTradeAfterGap, kafka::kHeaderAfterGap) | flag(kTradePriceUpdate, kafka::kHeaderPriceUpdate) |
      flag(kTradeOutOfOrder, kafka::kHeaderOutOfOrder) | flag(kTradeInexact, kafka::kHeaderInexact));
}

[[nodiscard]] inline bool is_dead(FrameKind kind) noexcept {
  return kind == FrameKind::bad || kind == FrameKind::bad_truncated || kind == FrameKind::partly_bad;
}

/// FNV-1a, 64 bits: the source of what Kafka refused for good is not the journal's own, whose positions must rise.
[[nodiscard]] inline std::uint64_t hash_source(std::uint64_t journal, std::string_view topic, std::int32_t partition) {
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325U;
  for (const char c : fmt::format("{} {} {}", journal, topic, partition)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01B3U;
  }
  return hash;
}

/// `mdp`; on dead letters what was wrong and who could not use it; on those of a topic's message where that stands.
struct MessageHeaders {
  MessageHeaders(std::string_view mdp, const LaneEntry& entry) : list{{{kafka::kHeaderName, mdp}}} {
    if (entry.destination != Destination::dead_letters) {
      return;
    }
    const OutboxMessage::Origin* const origin = entry.message == nullptr ? nullptr : &entry.message->origin;
    const bool has_origin = origin != nullptr && !origin->topic.empty();
    if (entry.refused) {
      list[count++] = {"error", "refused by Kafka for good"};
      list[count++] = {"stage", "publish"};
    } else if (origin == nullptr) {
      list[count++] = {"error", to_string(entry.reason)};
      list[count++] = {"stage", "feed"};
    } else {
      list[count++] = {"error", origin->error};
      list[count++] = {"stage", origin->stage.empty() ? std::string_view("aggregate") : origin->stage};
    }
    if (has_origin) {
      list[count++] = {"topic", origin->topic};
      list[count++] = {"partition", origin->partition};
      list[count++] = {"offset", origin->offset};
    }
  }

  std::array<kafka::OutgoingHeader, 6> list;
  std::size_t count = 1;
};

/// A producer wants a name for each: those that are not used get one that is there.
[[nodiscard]] inline std::vector<std::string> producer_topics(const std::array<std::string, kDestinations>& topics) {
  std::vector<std::string> names(topics.begin(), topics.end());
  for (std::string& name : names) {
    name = name.empty() ? topics[static_cast<std::size_t>(Destination::dead_letters)] : name;
  }
  return names;
}

}  // namespace mdpipe::stage
