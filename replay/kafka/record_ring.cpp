#include "replay/kafka/record_ring.hpp"

#include <algorithm>
#include <cstring>

namespace mdpipe::replay {
namespace {

std::size_t lines_for(std::size_t payload_bytes) noexcept {
  return (record_length(payload_bytes + kClaimPaddingBytes, payload_bytes / kTradeTextMinBytes + 1)) / kRecordAlignment;
}

}  // namespace

RecordRing::RecordRing(std::size_t bytes) {
  grow(bytes / kRecordAlignment);
}

void RecordRing::grow(std::size_t lines) {
  lines_ = std::make_unique_for_overwrite<Line[]>(lines);
  line_count_ = lines;
}

FrameClaim RecordRing::claim(std::size_t payload_bytes) {
  const std::size_t lines = lines_for(payload_bytes);
  if (held_.empty()) {
    next_line_ = 0;
    if (lines > line_count_) {
      grow(lines);
    }
  } else {
    // What is held begins here; a record may end up to it, never at it: equal would look like empty.
    const std::size_t oldest = held_.front().begin_line;
    if (next_line_ > oldest && lines > line_count_ - next_line_) {
      next_line_ = 0;
    }
    if (next_line_ <= oldest && lines >= oldest - next_line_) {
      return {};
    }
  }
  return {lines_[next_line_].bytes, payload_bytes};
}

RecordView RecordRing::commit(const FrameClaim& claim, std::size_t payload_bytes, std::uint32_t trade_count,
                              Position first_trade, std::int64_t receive_time_ns) {
  const std::size_t length = record_length(payload_bytes, trade_count);
  const RecordHeader header{static_cast<std::uint32_t>(length),
                            0,
                            first_trade - 1,
                            receive_time_ns,
                            static_cast<std::uint16_t>(RecordKind::frame),
                            make_frame_sub(FrameKind::trades),
                            static_cast<std::uint32_t>(payload_bytes)};
  std::memcpy(claim.record(), &header, sizeof header);
  const RecordView record(claim.record());
  held_.push_back({record.last_position(), next_line_});
  next_line_ += length / kRecordAlignment;
  return record;
}

void RecordRing::release(Position settled) noexcept {
  while (!held_.empty() && held_.front().last <= settled) {
    held_.pop_front();
  }
}

}  // namespace mdpipe::replay
