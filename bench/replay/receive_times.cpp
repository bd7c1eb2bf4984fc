// A client of `mdreplay serve` that knows nothing of its clock: when the kernel had received each text frame, by the
// socket's own time stamps (SO_TIMESTAMPNS), ns since 1970, one a line.
//
// It takes a core for itself: where frames wait to be read, TCP joins them, and all have the stamp of the last then.
//
//   receive_times PORT SYMBOL... > FILE      until the server closes

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/core.h>

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(3);
}

void send_all(int socket, const std::string& bytes) {
  if (::send(socket, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    die("send");
  }
}

/// A masked text frame (the mask is 0: what is under it is as it was).
std::string client_text(const std::string& text) {
  constexpr std::size_t kShortMax = 125;
  std::string frame = "\x81";
  if (text.size() <= kShortMax) {
    frame += static_cast<char>(0x80U | text.size());
  } else {
    frame += '\xFE';
    frame += static_cast<char>(text.size() >> 8U);
    frame += static_cast<char>(text.size() & 0xFFU);
  }
  return frame + std::string(4, '\0') + text;
}

/// The length of the frame that begins here, header included; 0 where more must come.
std::size_t frame_length(const std::string& bytes, std::size_t at) {
  const auto byte = [&](std::size_t index) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + index]));
  };
  const std::size_t there = bytes.size() - at;
  if (there < 2) {
    return 0;
  }
  std::uint64_t length = byte(1) & 0x7FU;
  std::size_t header = 2;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (extended != 0) {
    header += extended;
    if (there < header) {
      return 0;
    }
    length = 0;
    for (std::size_t index = 2; index < header; ++index) {
      length = length << 8U | byte(index);
    }
  }
  return there >= header + length ? header + length : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("receive_times PORT SYMBOL...\n", stderr);
    return 2;
  }
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = ::htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  const int on = 1;
  if (::setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) {
    die("SO_TIMESTAMPNS");
  }
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    die("connect");
  }
  send_all(socket,
           "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  std::string bytes;
  std::vector<char> buffer(1U << 16U);
  std::vector<std::int64_t> times_ns;
  bool upgraded = false;
  while (true) {
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec)) + 64];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      continue;
    }
    if (count <= 0) {
      break;
    }
    timespec stamp{};
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
      if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_TIMESTAMPNS) {
        std::memcpy(&stamp, CMSG_DATA(head), sizeof stamp);
      }
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(count));
    if (!upgraded) {
      const std::size_t end = bytes.find("\r\n\r\n");
      if (end == std::string::npos) {
        continue;
      }
      bytes.erase(0, end + 4);
      upgraded = true;
      for (int index = 2; index < argc; ++index) {
        send_all(socket, client_text(fmt::format(R"({{"type":"subscribe","symbol":"{}"}})", argv[index])));
      }
    }
    std::size_t at = 0;
    while (const std::size_t length = frame_length(bytes, at)) {
      constexpr unsigned kOpcode = 0x0F;
      const unsigned opcode = static_cast<unsigned char>(bytes[at]) & kOpcode;
      if (opcode == 1) {
        times_ns.push_back(std::int64_t{stamp.tv_sec} * 1'000'000'000 + stamp.tv_nsec);
      } else if (opcode == 8) {  // it closes; so do we
        send_all(socket, std::string("\x88\x80\0\0\0\0", 6));
      }
      at += length;
    }
    bytes.erase(0, at);
  }
  for (const std::int64_t time_ns : times_ns) {
    std::fputs(fmt::format("{}\n", time_ns).c_str(), stdout);
  }
  ::close(socket);
  return 0;
}
