#pragma once
// The layer between Beast and the transport: one large read of the socket serves many frames.
//
// It follows the boundaries of frames (RFC 6455, section 5.2; a server's frames are not masked) and never hands Beast
// bytes beyond the frame that it is reading. So it knows at any moment how many bytes of the current message Beast has
// been given: what must be kept of a message that turns out to be no UTF-8, of which Beast itself reports nothing.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transport.hpp"

namespace mdpipe::feed {

class ReadAhead {
 public:
  static constexpr std::size_t kBufferBytes = 256U << 10U;

  /// Called where the deadline has passed, whether bytes came or not: true = go on waiting, until the new deadline. May
  /// write.
  using OnDeadline = std::function<bool()>;

  explicit ReadAhead(std::unique_ptr<Transport> transport) : transport_(std::move(transport)), buffer_(kBufferBytes) {}

  /// At least one byte of what the current step may have: the response of the handshake, or the current frame.
  [[nodiscard]] IoResult read_some(char* data, std::size_t size);
  [[nodiscard]] IoResult write_all(const char* data, std::size_t size);

  /// Set by another thread where reading shall end: heard also while the venue never pauses.
  void set_stop(const std::atomic<bool>* stop) noexcept { stop_ = stop; }
  void set_read_deadline(std::int64_t deadline_ns) noexcept { read_deadline_ns_ = deadline_ns; }
  void set_write_timeout(std::int64_t timeout_ns) noexcept { write_timeout_ns_ = timeout_ns; }
  void set_on_deadline(OnDeadline on_deadline) { on_deadline_ = std::move(on_deadline); }

  /// From now on what comes are frames.
  void handshake_done() noexcept { in_handshake_ = false; }

  /// Bytes of the current data message that have been handed over so far, its frames together.
  [[nodiscard]] std::uint64_t message_bytes() const noexcept { return message_bytes_; }

  /// Wall clock when the read of the socket returned that brought the bytes handed over last.
  [[nodiscard]] std::int64_t receive_time_ns() const noexcept { return receive_time_ns_; }
  /// Monotonic clock of the same.
  [[nodiscard]] std::int64_t heard_ns() const noexcept { return heard_ns_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::string error() const { return transport_->error(); }

 private:
  [[nodiscard]] IoStatus fill();
  [[nodiscard]] IoStatus begin_frame();
  [[nodiscard]] std::size_t handshake_bytes(std::size_t size) noexcept;
  [[nodiscard]] std::size_t pending() const noexcept { return end_ - begin_; }

  std::unique_ptr<Transport> transport_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;

  bool in_handshake_ = true;
  std::size_t matched_ = 0;         // of the blank line that ends the handshake's response
  std::size_t header_left_ = 0;     // of the current frame's header
  std::uint64_t payload_left_ = 0;  // of the current frame's payload
  bool counts_ = false;             // the current frame carries data, not control
  std::uint64_t message_bytes_ = 0;

  const std::atomic<bool>* stop_ = nullptr;
  std::int64_t read_deadline_ns_ = 0;
  std::int64_t write_timeout_ns_ = 0;
  OnDeadline on_deadline_;
  std::int64_t receive_time_ns_ = 0;
  std::int64_t heard_ns_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace mdpipe::feed
