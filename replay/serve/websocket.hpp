#pragma once
/// \file
/// The server's side of RFC 6455 as bytes: what to send, and what a client's bytes mean. No socket here. Written by
/// ourselves so that many frames leave in one send, and so that a fault can be put into any byte of a frame.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mdpipe::replay {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// Close codes of RFC 6455, section 7.4.1, that we send or note.
inline constexpr std::uint16_t kCloseNormal = 1000;
inline constexpr std::uint16_t kCloseGoingAway = 1001;
inline constexpr std::uint16_t kCloseProtocolError = 1002;
inline constexpr std::uint16_t kCloseNone = 1005;      ///< a close frame without a code; never sent
inline constexpr std::uint16_t kCloseAbnormal = 1006;  ///< no close frame; never sent
inline constexpr std::uint16_t kCloseNotUtf8 = 1007;
inline constexpr std::uint16_t kClosePolicy = 1008;
inline constexpr std::uint16_t kCloseTooLarge = 1009;
inline constexpr std::uint16_t kCloseInternal = 1011;

/// A whole unmasked frame, appended to `out`. Returns where its payload begins in `out`.
std::size_t append_frame(Opcode opcode, std::string_view payload, std::string& out);
void append_close(std::uint16_t code, std::string_view reason, std::string& out);

/// The answer to Sec-WebSocket-Key.
[[nodiscard]] std::string websocket_accept(std::string_view key);

/// A client's frames, put together to messages. Thread safety: none.
class ClientMessages {
 public:
  static constexpr std::size_t kMessageMaxBytes = 64U << 10U;

  enum class Event : std::uint8_t {
    none,       ///< more bytes are needed
    text,       ///< payload() is a message
    binary,     ///< likewise
    ping,       ///< payload() must be sent back
    pong,       ///< nothing to do
    close,      ///< the client closes, with code()
    violation,  ///< close with code(); nothing more may be read
  };

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  [[nodiscard]] Event next();
  [[nodiscard]] const std::string& payload() const noexcept { return payload_; }
  [[nodiscard]] std::uint16_t code() const noexcept { return code_; }

 private:
  struct Header {
    bool final;
    Opcode opcode;
    std::size_t header_bytes;
    std::uint64_t payload_bytes;
  };

  Event violation(std::uint16_t code);
  Event check(const Header& header);
  Event finish(const Header& header, std::string payload);
  Event finish_close(std::string_view payload);

  std::string buffer_;
  std::string message_;  // of the fragments so far
  std::string payload_;
  Opcode message_opcode_ = Opcode::continuation;  // continuation: none is open
  std::uint16_t code_ = 0;
  bool broken_ = false;
};

}  // namespace mdpipe::replay
