#pragma once
// A topic's message as the record that stages take: one trade, its text the message's value.
//
//     message at offset o:   record's position 2o + 1, its trade's 2o + 2: the next offset is half of what is settled
//     nothing in it for us:  a record without trades at 2o + 2

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "mdpipe/feed/decoder.hpp"
#include "mdpipe/kafka/message_header.hpp"

namespace mdpipe::wiring {

[[nodiscard]] constexpr Position position_behind(std::int64_t next_offset) noexcept {
  return static_cast<Position>(next_offset) * 2;
}
[[nodiscard]] constexpr std::int64_t next_offset_behind(Position position) noexcept {
  return static_cast<std::int64_t>(position / 2);
}

/// Thread safety: one thread. The record lies in memory that the next call uses again: for stages that keep no pointers
/// into records (store and aggregate do not).
class MessageRecord {
 public:
  explicit MessageRecord(std::size_t symbols_max);

  struct Outcome {
    std::optional<RecordView> record;
    std::string_view why;  ///< where there is none: what is wrong with the value
  };
  /// `value` must be one trade by the feed's rules, and nothing else. The trade's position is the header's.
  [[nodiscard]] Outcome trade(std::string_view value, std::int64_t offset, std::int64_t time_ns,
                              const kafka::MessageHeader& header, SymbolTable& symbols);

  /// A record without trades: everything before `next_offset` is done with.
  [[nodiscard]] RecordView nothing(std::int64_t next_offset);

 private:
  struct alignas(kRecordAlignment) Block {
    std::byte bytes[kRecordAlignment];
  };
  [[nodiscard]] std::byte* reserve(std::size_t bytes);

  feed::Decoder decoder_;
  std::vector<Block> blocks_;
  Block empty_[1] = {};
};

}  // namespace mdpipe::wiring
