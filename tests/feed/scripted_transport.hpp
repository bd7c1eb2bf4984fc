#pragma once
// Transports whose other side is a script of the test: no socket, no clock, every split of the bytes.

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "mdpipe/base/base64.hpp"
#include "transport.hpp"

namespace mdpipe::feed {

inline constexpr std::uint8_t kText = 1;
inline constexpr std::uint8_t kBinary = 2;
inline constexpr std::uint8_t kClose = 8;
inline constexpr std::uint8_t kPing = 9;
inline constexpr std::uint8_t kPong = 10;
inline constexpr std::uint8_t kFinal = 0x80;

/// A frame's header as a server sends it; `first` = FIN, reserved bits and opcode; the length may be a lie.
inline std::string frame_header(std::uint8_t first, std::uint64_t length) {
  std::string header(1, static_cast<char>(first));
  const int bytes = length < 126 ? 0 : (length < 65'536 ? 2 : 8);
  header += static_cast<char>(bytes == 0 ? length : (bytes == 2 ? 126U : 127U));
  for (int i = bytes - 1; i >= 0; --i) {
    header += static_cast<char>(length >> (8U * static_cast<unsigned>(i)));
  }
  return header;
}
inline std::string frame(std::string_view payload, std::uint8_t first = kFinal | kText) {
  return frame_header(first, payload.size()) + std::string(payload);
}

/// The answer to an upgrade request that RFC 6455 asks for.
inline std::string upgrade_answer(std::string_view request, std::string_view more = {}) {
  constexpr std::string_view kKeyHeader = "Sec-WebSocket-Key: ";
  const std::size_t begin = request.find(kKeyHeader) + kKeyHeader.size();
  const std::string salted =
      std::string(request.substr(begin, request.find('\r', begin) - begin)) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  ::SHA1(reinterpret_cast<const unsigned char*>(salted.data()), salted.size(), digest);
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         base64_encode({reinterpret_cast<const char*>(digest), sizeof digest}) + "\r\n" + std::string(more) + "\r\n";
}

/// What it gives comes from `next` (a block, or "" for the status in `when_empty`); what it is given is kept.
class ScriptedTransport final : public Transport {
 public:
  struct Script {
    std::function<std::string()> next = [] { return std::string(); };
    IoStatus when_empty = IoStatus::closed;
    std::size_t write_max = SIZE_MAX;  // of one call
    IoStatus write_status = IoStatus::ok;
    std::string written;
    std::string waiting;  // given before `next` is asked
  };
  explicit ScriptedTransport(Script& script) : script_(script) {}

  IoResult read_some(void* data, std::size_t size, std::int64_t /*deadline_ns*/) override {
    if (script_.waiting.empty()) {
      script_.waiting = script_.next();
    }
    if (script_.waiting.empty()) {
      return {script_.when_empty, 0};
    }
    const std::size_t count = std::min(size, script_.waiting.size());
    std::memcpy(data, script_.waiting.data(), count);
    script_.waiting.erase(0, count);
    return {IoStatus::ok, count};
  }
  IoResult write_some(const void* data, std::size_t size, std::int64_t /*deadline_ns*/) override {
    if (script_.write_status != IoStatus::ok) {
      return {script_.write_status, 0};
    }
    const std::size_t count = std::min(size, script_.write_max);
    script_.written.append(static_cast<const char*>(data), count);
    return {IoStatus::ok, count};
  }
  std::string error() const override { return "scripted"; }

 private:
  Script& script_;
};

}  // namespace mdpipe::feed
