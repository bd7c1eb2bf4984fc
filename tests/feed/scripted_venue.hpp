#pragma once
// A venue on a real socket of this machine, and a sink that remembers what the feed wrote into it.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "mdpipe/base/file.hpp"
#include "mdpipe/event/frame_sink.hpp"
#include "scripted_transport.hpp"

namespace mdpipe::feed {

/// True as soon as the condition is; false after half a minute, which only a defect takes.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 15'000; ++i) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

class VenueConnection {
 public:
  VenueConnection(int descriptor, int which) : number(which), descriptor_(descriptor) {}

  const int number;  // from 1

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }

  /// False where the client is gone.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  /// The request, with its blank line; less where the client has gone.
  std::string read_request() {
    while (received_.find("\r\n\r\n") == std::string::npos && receive()) {
    }
    const std::size_t end = std::min(received_.size(), received_.find("\r\n\r\n") + 4);
    std::string request = received_.substr(0, end);
    received_.erase(0, end);
    return request;
  }
  bool upgrade() { return send(upgrade_answer(read_request())); }

  /// The client's next frame (of at most 64 KiB): opcode and payload; opcode 0 where it has gone.
  std::pair<std::uint8_t, std::string> read_frame() {
    const auto have = [&](std::size_t count) {
      while (received_.size() < count && receive()) {
      }
      return received_.size() >= count;
    };
    if (!have(6)) {
      return {};
    }
    std::size_t length = static_cast<std::uint8_t>(received_[1]) & 0x7FU;
    std::size_t header = 6;
    if (length == 126) {
      if (!have(8)) {
        return {};
      }
      length = static_cast<std::size_t>(static_cast<std::uint8_t>(received_[2])) << 8U |
               static_cast<std::uint8_t>(received_[3]);
      header = 8;
    }
    if (!have(header + length)) {
      return {};
    }
    std::string payload = received_.substr(header, length);
    for (std::size_t i = 0; i < length; ++i) {
      payload[i] = static_cast<char>(payload[i] ^ received_[header - 4 + i % 4]);
    }
    const auto opcode = static_cast<std::uint8_t>(static_cast<std::uint8_t>(received_[0]) & 0x0FU);
    received_.erase(0, header + length);
    return {opcode, payload};
  }
  /// Reads whatever comes until the client has gone.
  void discard() {
    while (receive()) {
      received_.clear();
    }
  }
  /// Reads until the client has gone; its close frame's code, 0 where there was none.
  unsigned wait_gone() {
    unsigned code = 0;
    for (auto one = read_frame(); one.first != 0; one = read_frame()) {
      if (one.first == kClose && one.second.size() >= 2) {
        code = static_cast<unsigned>(static_cast<std::uint8_t>(one.second[0])) << 8U |
               static_cast<std::uint8_t>(one.second[1]);
      }
    }
    return code;
  }

 private:
  bool receive() {
    char block[65536];
    const ssize_t count = ::recv(descriptor_.get(), block, sizeof block, 0);
    received_.append(block, count > 0 ? static_cast<std::size_t>(count) : 0);
    return count > 0;
  }

  FileDescriptor descriptor_;
  std::string received_;
};

/// Serves one connection after the other by the script, on a thread.
class ScriptedVenue {
 public:
  explicit ScriptedVenue(std::function<void(VenueConnection&)> script) : script_(std::move(script)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t length = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(listener_.get(), 16) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      ADD_FAILURE() << "no port for the venue";
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedVenue() {
    ending_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  ScriptedVenue(const ScriptedVenue&) = delete;
  ScriptedVenue& operator=(const ScriptedVenue&) = delete;

  [[nodiscard]] std::string host_and_port() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void serve() {
    for (;;) {
      const int descriptor = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (descriptor < 0) {
        return;
      }
      VenueConnection connection(descriptor, ++connections_);
      if (!ending_) {
        script_(connection);
      }
    }
  }

  std::function<void(VenueConnection&)> script_;
  FileDescriptor listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

/// Read it when the session's thread has ended.
class RememberingSink final : public FrameSink {
 public:
  explicit RememberingSink(std::size_t payload_capacity = 4096)
      : capacity_(payload_capacity),
        room_(record_length(payload_capacity, payload_capacity / kTradeTextMinBytes + 1)) {}

  struct Frame {
    FrameKind kind;
    FrameReason reason;
    std::string payload;
    std::vector<std::uint16_t> flags;  // of its trades
  };
  struct Event {
    SessionKind kind;
    SessionPayload payload;
    std::string text;
  };

  SymbolTable& symbols() noexcept override { return symbols_; }
  FrameClaim claim() noexcept override {
    return claims_refused_.fetch_sub(1) > 0 ? FrameClaim() : FrameClaim(room_.data(), capacity_);
  }
  void commit(const FrameClaim& claim, const FrameDescription& frame) noexcept override {
    Frame kept{frame.kind, frame.reason, {claim.payload(), frame.payload_length}, {}};
    for (std::uint32_t i = 0; i < frame.trade_count; ++i) {
      kept.flags.push_back(claim.trades(frame.payload_length)[i].flags);
    }
    frames.push_back(std::move(kept));
  }
  bool append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                      std::int64_t /*time_ns*/) noexcept override {
    events.push_back({kind, payload, std::string(text)});
    return true;
  }

  void refuse_claims(int count) { claims_refused_ = count; }
  [[nodiscard]] std::vector<Event> events_of(SessionKind kind) const {
    std::vector<Event> found;
    std::copy_if(events.begin(), events.end(), std::back_inserter(found),
                 [kind](const Event& event) { return event.kind == kind; });
    return found;
  }

  std::vector<Frame> frames;
  std::vector<Event> events;

 private:
  std::size_t capacity_;
  struct alignas(64) Block {
    std::byte bytes[64];
  };
  struct Room {
    explicit Room(std::size_t bytes) : blocks(bytes / 64 + 2) {}
    std::byte* data() { return blocks.front().bytes; }
    std::vector<Block> blocks;
  } room_;
  SymbolTable symbols_;
  std::atomic<int> claims_refused_{0};
};

}  // namespace mdpipe::feed
