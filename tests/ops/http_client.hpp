#pragma once
// A client that says what the test says, byte by byte.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "mdpipe/base/file.hpp"

namespace mdpipe::ops {

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port) : HttpClient() { connect(port); }
  HttpClient() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

  void connect(std::uint16_t port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{30, 0};  // only a defect takes so long
    ::setsockopt(descriptor_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(descriptor_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ADD_FAILURE() << "nobody listens";
    }
  }

  bool send(std::string_view bytes) const {
    return ::send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void end() const { ::shutdown(descriptor_.get(), SHUT_WR); }

  /// All until the server closes.
  std::string read_all() {
    while (receive()) {
    }
    return std::move(received_);
  }
  /// One answer: its head, and as much as its Content-Length says. Empty where the server has closed.
  std::string read_answer() {
    while (received_.find("\r\n\r\n") == std::string::npos && receive()) {
    }
    const std::size_t head = received_.find("\r\n\r\n");
    if (head == std::string::npos) {
      return std::move(received_);
    }
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t at = received_.find(kLength);
    const std::size_t size = head + 4 + (at < head ? std::stoul(received_.substr(at + kLength.size())) : 0);
    while (received_.size() < size && receive()) {
    }
    std::string answer = received_.substr(0, size);
    received_.erase(0, size);
    return answer;
  }
  /// The answer's status; 0 where there was none.
  int status() { return status_of(read_answer()); }
  static int status_of(const std::string& answer) {
    return answer.starts_with("HTTP/1.1 ") ? std::stoi(answer.substr(9, 3)) : 0;
  }
  [[nodiscard]] bool closed() { return received_.empty() && !receive(); }

 private:
  bool receive() {
    char block[16384];
    const ssize_t count = ::recv(descriptor_.get(), block, sizeof block, 0);
    received_.append(block, count > 0 ? static_cast<std::size_t>(count) : 0);
    return count > 0;
  }

  FileDescriptor descriptor_;
  std::string received_;
};

}  // namespace mdpipe::ops
