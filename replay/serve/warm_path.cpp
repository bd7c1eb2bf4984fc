#include "replay/serve/warm_path.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

constexpr int kMessages = 3;
constexpr std::size_t kMessageBytes = 300;     // as of a frame of two trades
constexpr std::int64_t kTimeLeftNs = 150'000;  // one takes 10 to 30 µs

}  // namespace

std::optional<WarmPath> WarmPath::make() {
  const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  FileDescriptor from(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  auto* const any_address = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (!listener || !from || ::bind(listener.get(), any_address, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), any_address, &length) != 0 || ::connect(from.get(), any_address, length) != 0) {
    return std::nullopt;
  }
  sockaddr_in ours{};
  sockaddr_in theirs{};
  FileDescriptor to(::accept4(listener.get(), reinterpret_cast<sockaddr*>(&theirs), &length, SOCK_CLOEXEC));
  length = sizeof ours;
  // Somebody else's connection, made between our listen and our connect, is none of ours.
  if (!to || ::getsockname(from.get(), reinterpret_cast<sockaddr*>(&ours), &length) != 0 ||
      ours.sin_port != theirs.sin_port) {
    return std::nullopt;
  }
  const int on = 1;
  ::setsockopt(from.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return WarmPath(std::move(from), std::move(to));
}

void WarmPath::use_until(std::int64_t monotonic_ns) noexcept {
  std::array<char, kMessageBytes> bytes{};
  for (int message = 0; message < kMessages && monotonic_ns - monotonic_clock_ns() > kTimeLeftNs; ++message) {
    if (::send(from_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ||
        ::recv(to_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) < 0) {
      return;
    }
  }
}

}  // namespace mdpipe::replay
