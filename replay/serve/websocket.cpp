#include "replay/serve/websocket.hpp"
#include "mdpipe/base/base64.hpp"

#include <openssl/evp.h>

#include <array>
#include <utility>

#include "replay/session/json_scanner.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::string_view kAcceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, section 1.3
constexpr std::size_t kControlMaxBytes = 125;
constexpr std::size_t kMaskBytes = 4;

void append_big_endian(std::uint64_t value, int bytes, std::string& out) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift) & 0xFFU));
  }
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) {
    value = value << 8U | static_cast<unsigned char>(c);
  }
  return value;
}

bool is_control(Opcode opcode) {
  return static_cast<std::uint8_t>(opcode) >= static_cast<std::uint8_t>(Opcode::close);
}

bool may_be_sent(std::uint64_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

}  // namespace

std::size_t append_frame(Opcode opcode, std::string_view payload, std::string& out) {
  out.push_back(static_cast<char>(0x80U | static_cast<unsigned>(opcode)));
  if (payload.size() <= kControlMaxBytes) {
    out.push_back(static_cast<char>(payload.size()));
  } else if (payload.size() <= 0xFFFF) {
    out.push_back(126);
    append_big_endian(payload.size(), 2, out);
  } else {
    out.push_back(127);
    append_big_endian(payload.size(), 8, out);
  }
  const std::size_t begin = out.size();
  out.append(payload);
  return begin;
}

void append_close(std::uint16_t code, std::string_view reason, std::string& out) {
  std::string payload;
  if (code != kCloseNone) {
    append_big_endian(code, 2, payload);
    payload.append(reason.substr(0, kControlMaxBytes - 2));
  }
  append_frame(Opcode::close, payload, out);
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += kAcceptGuid;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  ::EVP_Digest(text.data(), text.size(), digest.data(), &length, ::EVP_sha1(), nullptr);
  return base64_encode({reinterpret_cast<const char*>(digest.data()), length});
}

ClientMessages::Event ClientMessages::violation(std::uint16_t code) {
  broken_ = true;
  code_ = code;
  return Event::violation;
}

ClientMessages::Event ClientMessages::next() {
  while (!broken_ && buffer_.size() >= 2) {
    const auto first = static_cast<unsigned char>(buffer_[0]);
    const auto second = static_cast<unsigned char>(buffer_[1]);
    Header header{(first & 0x80U) != 0, static_cast<Opcode>(first & 0x0FU), 2, second & 0x7FU};
    if ((first & 0x70U) != 0 || (second & 0x80U) == 0) {
      return violation(kCloseProtocolError);  // a reserved bit, or a frame that is not masked
    }
    const std::size_t length_bytes = header.payload_bytes == 126 ? 2 : header.payload_bytes == 127 ? 8 : 0;
    header.header_bytes += length_bytes + kMaskBytes;
    if (buffer_.size() < header.header_bytes) {
      return Event::none;
    }
    if (length_bytes != 0) {
      header.payload_bytes = big_endian(std::string_view(buffer_).substr(2, length_bytes));
    }
    if (const Event bad = check(header); bad != Event::none) {
      return bad;
    }
    if (buffer_.size() < header.header_bytes + header.payload_bytes) {
      return Event::none;
    }
    std::string payload = buffer_.substr(header.header_bytes, header.payload_bytes);
    for (std::size_t i = 0; i < payload.size(); ++i) {
      payload[i] = static_cast<char>(payload[i] ^ buffer_[header.header_bytes - kMaskBytes + i % kMaskBytes]);
    }
    buffer_.erase(0, header.header_bytes + payload.size());
    if (const Event event = finish(header, std::move(payload)); event != Event::none) {
      return event;
    }
  }
  return Event::none;
}

/// What can be said before the payload is there.
ClientMessages::Event ClientMessages::check(const Header& header) {
  switch (header.opcode) {
    case Opcode::close:
    case Opcode::ping:
    case Opcode::pong:
      return header.final && header.payload_bytes <= kControlMaxBytes ? Event::none : violation(kCloseProtocolError);
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary:
      break;
    default:
      return violation(kCloseProtocolError);
  }
  if ((header.opcode == Opcode::continuation) == (message_opcode_ == Opcode::continuation)) {
    return violation(kCloseProtocolError);  // goes on with nothing, or begins within another
  }
  return header.payload_bytes <= kMessageMaxBytes - message_.size() ? Event::none : violation(kCloseTooLarge);
}

ClientMessages::Event ClientMessages::finish(const Header& header, std::string payload) {
  if (is_control(header.opcode)) {
    payload_ = std::move(payload);
    switch (header.opcode) {
      case Opcode::ping:
        return Event::ping;
      case Opcode::pong:
        return Event::pong;
      default:
        return finish_close(payload_);
    }
  }
  if (header.opcode != Opcode::continuation) {
    message_opcode_ = header.opcode;
  }
  message_ += payload;
  if (!header.final) {
    return Event::none;
  }
  payload_.swap(message_);
  message_.clear();
  const Opcode opcode = std::exchange(message_opcode_, Opcode::continuation);
  if (opcode == Opcode::binary) {
    return Event::binary;
  }
  return is_utf8(payload_) ? Event::text : violation(kCloseNotUtf8);
}

ClientMessages::Event ClientMessages::finish_close(std::string_view payload) {
  if (payload.empty()) {
    code_ = kCloseNone;
    return Event::close;
  }
  if (payload.size() == 1 || !may_be_sent(big_endian(payload.substr(0, 2)))) {
    return violation(kCloseProtocolError);
  }
  if (!is_utf8(payload.substr(2))) {
    return violation(kCloseNotUtf8);
  }
  code_ = static_cast<std::uint16_t>(big_endian(payload.substr(0, 2)));
  return Event::close;
}

}  // namespace mdpipe::replay
