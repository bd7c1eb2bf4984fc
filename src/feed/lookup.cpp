#include "lookup.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/file.hpp"
#include "socket.hpp"

namespace mdpipe::feed {
namespace {

/// Shared with the thread that asks, and gone with the last of the two.
struct Question {
  std::string host;
  std::string port;
  FileDescriptor done;
  AddressList addresses;
  int error = 0;

  void ask(int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* first = nullptr;
    error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &first);
    addresses.reset(first);
  }
};

tl::unexpected<Error> no_address(const std::string& host, const char* why) {
  return fail(ErrorCode::environment, fmt::format("{}: {}", host, why));
}

}  // namespace

Result<AddressList> look_up(const std::string& host, const std::string& port, std::int64_t deadline_ns,
                            int stop_descriptor) {
  const auto question = std::make_shared<Question>();
  question->host = host;
  question->port = port;
  question->ask(AI_NUMERICHOST);
  if (question->error == 0) {
    return std::move(question->addresses);
  }
  question->done = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  if (!question->done) {
    return tl::unexpected(system_error("eventfd", errno));
  }
  try {
    std::thread([question] {
      question->ask(AI_ADDRCONFIG);
      const std::uint64_t one = 1;
      (void)!::write(question->done.get(), &one, sizeof one);
    }).detach();
  } catch (const std::system_error& error) {
    return no_address(host, error.what());
  }
  switch (wait_ready(question->done.get(), POLLIN, stop_descriptor, deadline_ns)) {
    case IoStatus::timed_out:
      return no_address(host, "no answer from the name server in time");
    case IoStatus::stopped:
      return no_address(host, "stopped");
    default:
      break;
  }
  std::uint64_t answered = 0;
  if (::read(question->done.get(), &answered, sizeof answered) != sizeof answered) {
    return tl::unexpected(system_error("eventfd", errno));
  }
  if (question->error != 0) {
    return no_address(host, ::gai_strerror(question->error));
  }
  return std::move(question->addresses);
}

}  // namespace mdpipe::feed
