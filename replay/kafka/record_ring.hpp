#pragma once
/// \file
/// Frames as records in memory that stays where it is until Kafka has acknowledged their trades.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "mdpipe/event/frame_sink.hpp"
#include "mdpipe/event/record.hpp"

namespace mdpipe::replay {

/// Thread safety: one thread.
class RecordRing {
 public:
  explicit RecordRing(std::size_t bytes);

  /// Room for a frame of so many bytes and all trades that it can hold; none until release() has made some. A frame
  /// that is larger than the ring gets it where nothing else is in it.
  [[nodiscard]] FrameClaim claim(std::size_t payload_bytes);

  /// The frame that lies in the claim last given, with its trades, whose positions are set already.
  RecordView commit(const FrameClaim& claim, std::size_t payload_bytes, std::uint32_t trade_count, Position first_trade,
                    std::int64_t receive_time_ns);

  /// Everything up to here is done with.
  void release(Position settled) noexcept;

 private:
  struct alignas(kRecordAlignment) Line {
    std::byte bytes[kRecordAlignment];
  };
  struct Held {
    Position last;
    std::size_t begin_line;
  };

  void grow(std::size_t lines);

  std::unique_ptr<Line[]> lines_;  // not cleared: memory that is never used is never touched
  std::size_t line_count_ = 0;
  std::size_t next_line_ = 0;
  std::deque<Held> held_;
};

}  // namespace mdpipe::replay
