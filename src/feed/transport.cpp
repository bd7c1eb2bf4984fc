#include "transport.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fmt/format.h>

#include "lookup.hpp"
#include "mdpipe/base/clock.hpp"
#include "socket.hpp"
#include "tls.hpp"

namespace mdpipe::feed {
namespace {

constexpr int kReceiveBufferBytes = 1 << 20;  // rides out a pause of the feed thread without the venue noticing

Result<FileDescriptor> connect_to(const addrinfo& address, std::int64_t deadline_ns, int stop_descriptor) {
  FileDescriptor descriptor(
      ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
  if (!descriptor) {
    return tl::unexpected(system_error("socket", errno));
  }
  const int on = 1;
  ::setsockopt(descriptor.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(descriptor.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(descriptor.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  if (::connect(descriptor.get(), address.ai_addr, address.ai_addrlen) == 0) {
    return descriptor;
  }
  if (errno != EINPROGRESS) {
    return tl::unexpected(system_error("connecting", errno));
  }
  switch (wait_ready(descriptor.get(), POLLOUT, stop_descriptor, deadline_ns)) {
    case IoStatus::timed_out:
      return fail(ErrorCode::environment, "connecting: no answer in time");
    case IoStatus::stopped:
      return fail(ErrorCode::environment, "connecting: stopped");
    default:
      break;
  }
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(descriptor.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    return tl::unexpected(system_error("connecting", error));
  }
  return descriptor;
}

class PlainTransport final : public Transport {
 public:
  PlainTransport(FileDescriptor descriptor, int stop_descriptor) noexcept
      : descriptor_(std::move(descriptor)), stop_descriptor_(stop_descriptor) {}

  IoResult read_some(void* data, std::size_t size, std::int64_t deadline_ns) override {
    return transfer(POLLIN, deadline_ns, [&] { return ::recv(descriptor_.get(), data, size, 0); });
  }
  IoResult write_some(const void* data, std::size_t size, std::int64_t deadline_ns) override {
    return transfer(POLLOUT, deadline_ns, [&] { return ::send(descriptor_.get(), data, size, MSG_NOSIGNAL); });
  }
  std::string error() const override { return system_error("the connection", error_number_).message; }

 private:
  template <class Call>
  IoResult transfer(short events, std::int64_t deadline_ns, Call&& call) {
    for (;;) {
      const ssize_t count = call();
      if (count > 0) {
        return {IoStatus::ok, static_cast<std::size_t>(count)};
      }
      if (count == 0) {
        return {IoStatus::closed, 0};
      }
      if (errno == EINTR) {
        continue;
      }
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        error_number_ = errno;
        return {IoStatus::failed, 0};
      }
      if (const IoStatus status = wait_ready(descriptor_.get(), events, stop_descriptor_, deadline_ns);
          status != IoStatus::ok) {
        error_number_ = errno;
        return {status, 0};
      }
    }
  }

  FileDescriptor descriptor_;
  int stop_descriptor_;
  int error_number_ = 0;
};

}  // namespace

IoStatus wait_ready(int descriptor, short events, int stop_descriptor, std::int64_t deadline_ns) noexcept {
  pollfd waits[2] = {{descriptor, events, 0}, {stop_descriptor, POLLIN, 0}};
  for (;;) {
    const std::int64_t left_ns = deadline_ns - monotonic_clock_ns();
    // Rounded up, so that the last fraction of a millisecond is not spun away.
    const std::int64_t left_ms = std::clamp<std::int64_t>((left_ns + 999'999) / 1'000'000, 0, INT_MAX);
    const int ready = ::poll(waits, stop_descriptor >= 0 ? 2 : 1, static_cast<int>(left_ms));
    if (ready < 0 && errno != EINTR) {
      return IoStatus::failed;
    }
    if (ready > 0) {
      return waits[1].revents != 0 ? IoStatus::stopped : IoStatus::ok;
    }
    if (ready == 0 && left_ms == 0) {
      return IoStatus::timed_out;
    }
  }
}

Result<std::unique_ptr<Transport>> connect(const Url& url, const ConnectOptions& options) {
  auto addresses = look_up(url.host, url.port, options.deadline_ns, options.stop_descriptor);
  if (!addresses) {
    return tl::unexpected(addresses.error());
  }
  Error last{ErrorCode::environment, "no address"};
  std::int64_t left = 0;
  for (const addrinfo* address = addresses->get(); address != nullptr; address = address->ai_next) {
    ++left;
  }
  for (const addrinfo* address = addresses->get(); address != nullptr; address = address->ai_next) {
    // An equal share of the time for each: one that swallows what we send must not use up that of those behind it.
    const std::int64_t now_ns = monotonic_clock_ns();
    auto descriptor = connect_to(*address, now_ns + (options.deadline_ns - now_ns) / left--, options.stop_descriptor);
    if (!descriptor) {
      last = descriptor.error();
      continue;
    }
    if (url.tls) {
      return connect_tls(std::move(*descriptor), url, options);
    }
    return std::make_unique<PlainTransport>(std::move(*descriptor), options.stop_descriptor);
  }
  last.message = fmt::format("{}: {}", url.authority(), last.message);
  return tl::unexpected(last);
}

}  // namespace mdpipe::feed
