#pragma once
// A WebSocket client over ReadAhead: Boost.Beast behind a wall, so that one file alone pays for compiling it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "read_ahead.hpp"

namespace mdpipe::feed {

struct HandshakeAnswer {
  bool accepted = false;
  unsigned status = 0;             ///< of HTTP; 0 where there was no answer
  std::int64_t retry_after_s = 0;  ///< of the header Retry-After, at most a day; 0 where there is none
  std::string words;               ///< why not
};

enum class ReadStatus : std::uint8_t {
  some,          ///< bytes, and the message goes on
  message_done,  ///< the last bytes of a message
  closed,        ///< a close frame came; close_code() says which
  not_utf8,      ///< closed with 1007 by us
  lost,          ///< the connection broke without a close frame, or the peer broke the protocol (1002 by us)
  timed_out,
  stopped,
};

struct ReadResult {
  ReadStatus status = ReadStatus::lost;
  std::size_t bytes = 0;
};

/// Thread safety: one thread. Nothing throws but for want of memory. After a read that is not some or message_done:
/// destroy it.
class WebSocket {
 public:
  explicit WebSocket(std::unique_ptr<Transport> transport);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  [[nodiscard]] HandshakeAnswer handshake(const std::string& authority, const std::string& target);

  /// Payload of the current message, straight into `data`; answers pings and closes on the way.
  [[nodiscard]] ReadResult read_some(char* data, std::size_t size);
  [[nodiscard]] bool message_is_binary() const noexcept;

  /// False where the connection is lost.
  [[nodiscard]] bool write_text(std::string_view text);
  [[nodiscard]] bool ping();

  /// Says goodbye with this code and waits for the answer, at most until the deadline.
  void close(std::uint16_t code, std::int64_t deadline_ns);

  /// The peer's close code: 1005 where its close frame held none, 1006 where no close frame came.
  [[nodiscard]] std::uint16_t close_code() const noexcept;
  [[nodiscard]] std::string close_words() const;

  [[nodiscard]] ReadAhead& layer() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::feed
