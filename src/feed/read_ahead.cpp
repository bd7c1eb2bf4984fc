#include "read_ahead.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::feed {
namespace {

constexpr std::uint8_t kOpcodeMask = 0x0F;
constexpr std::uint8_t kContinuation = 0;
constexpr std::uint8_t kFirstControlOpcode = 8;
constexpr std::uint8_t kMaskedBit = 0x80;
constexpr std::size_t kMaskBytes = 4;

std::size_t header_length(std::uint8_t second_byte) noexcept {
  const std::uint8_t length = second_byte & 0x7FU;
  const std::size_t extended = length == 127 ? 8 : (length == 126 ? 2 : 0);
  return 2 + extended + ((second_byte & kMaskedBit) != 0 ? kMaskBytes : 0);
}

std::uint64_t payload_length(const unsigned char* header) noexcept {
  const std::uint8_t length = header[1] & 0x7FU;
  if (length < 126) {
    return length;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < (length == 126 ? 2U : 8U); ++i) {
    value = value << 8U | header[2 + i];
  }
  return value;
}

}  // namespace

IoStatus ReadAhead::fill() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ != 0 && end_ == buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, pending());
    end_ -= begin_;
    begin_ = 0;
  }
  for (;;) {
    // The transport looks at its stop and its deadline only where it has to wait. A venue that never pauses (a flood of
    // pings, an endless message) must not get around them.
    if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) {
      return IoStatus::stopped;
    }
    const IoResult result = transport_->read_some(buffer_.data() + end_, buffer_.size() - end_, read_deadline_ns_);
    if (result.status == IoStatus::ok) {
      end_ += result.bytes;
      bytes_ += result.bytes;
      receive_time_ns_ = wall_clock_ns();
      heard_ns_ = monotonic_clock_ns();
      const bool in_time = heard_ns_ < read_deadline_ns_ || (on_deadline_ && on_deadline_());
      return in_time ? IoStatus::ok : IoStatus::timed_out;
    }
    if (result.status != IoStatus::timed_out || !on_deadline_ || !on_deadline_()) {
      return result.status;
    }
  }
}

// The response ends with a blank line; what follows it in the same read are frames already.
std::size_t ReadAhead::handshake_bytes(std::size_t size) noexcept {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t count = std::min(pending(), size);
  for (std::size_t i = 0; i < count; ++i) {
    const char c = buffer_[begin_ + i];
    matched_ = c == kEnd[matched_] ? matched_ + 1 : (c == kEnd[0] ? 1 : 0);
    if (matched_ == kEnd.size()) {
      matched_ = 0;
      return i + 1;
    }
  }
  return count;
}

IoStatus ReadAhead::begin_frame() {
  std::size_t needed = 2;
  while (pending() < needed) {
    if (const IoStatus status = fill(); status != IoStatus::ok) {
      return status;
    }
    if (pending() >= 2) {
      needed = header_length(static_cast<std::uint8_t>(buffer_[begin_ + 1]));
    }
  }
  needed = header_length(static_cast<std::uint8_t>(buffer_[begin_ + 1]));
  while (pending() < needed) {
    if (const IoStatus status = fill(); status != IoStatus::ok) {
      return status;
    }
  }
  const auto* const header = reinterpret_cast<const unsigned char*>(buffer_.data() + begin_);
  const std::uint8_t opcode = header[0] & kOpcodeMask;
  counts_ = opcode < kFirstControlOpcode;
  if (counts_ && opcode != kContinuation) {
    message_bytes_ = 0;
  }
  header_left_ = needed;
  // A length that no payload can have (RFC 6455 forbids the top bit) must not make the sum with the header's wrap.
  payload_left_ = std::min(payload_length(header), std::numeric_limits<std::uint64_t>::max() / 2);
  return IoStatus::ok;
}

IoResult ReadAhead::read_some(char* data, std::size_t size) {
  if (!in_handshake_ && header_left_ == 0 && payload_left_ == 0) {
    if (const IoStatus status = begin_frame(); status != IoStatus::ok) {
      return {status, 0};
    }
  }
  if (begin_ == end_) {
    if (const IoStatus status = fill(); status != IoStatus::ok) {
      return {status, 0};
    }
  }
  const std::uint64_t left = header_left_ + payload_left_;
  const std::size_t count = in_handshake_ ? handshake_bytes(size)
                                          : static_cast<std::size_t>(std::min<std::uint64_t>({pending(), left, size}));
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  if (!in_handshake_) {
    const std::size_t of_header = std::min(header_left_, count);
    header_left_ -= of_header;
    payload_left_ -= count - of_header;
    message_bytes_ += counts_ ? count - of_header : 0;
  }
  return {IoStatus::ok, count};
}

IoResult ReadAhead::write_all(const char* data, std::size_t size) {
  const std::int64_t deadline_ns = monotonic_clock_ns() + write_timeout_ns_;
  std::size_t written = 0;
  while (written < size) {
    const IoResult result = transport_->write_some(data + written, size - written, deadline_ns);
    if (result.status != IoStatus::ok) {
      return {result.status, written};
    }
    written += result.bytes;
  }
  return {IoStatus::ok, written};
}

}  // namespace mdpipe::feed
