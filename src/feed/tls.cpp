#include "tls.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <cerrno>
#include <csignal>

#include <fmt/format.h>

#include "socket.hpp"

namespace mdpipe::feed {
namespace {

struct ContextDeleter {
  void operator()(SSL_CTX* context) const noexcept { ::SSL_CTX_free(context); }
};
struct SessionDeleter {
  void operator()(SSL* session) const noexcept { ::SSL_free(session); }
};
using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;
using Session = std::unique_ptr<SSL, SessionDeleter>;

std::string openssl_words() {
  const unsigned long code = ::ERR_get_error();
  if (code == 0) {
    return errno != 0 ? system_error("TLS", errno).message : "the peer closed the connection";
  }
  char text[256];
  ::ERR_error_string_n(code, text, sizeof text);
  ::ERR_clear_error();
  return text;
}

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(FileDescriptor descriptor, Context context, Session session, int stop_descriptor) noexcept
      : descriptor_(std::move(descriptor)),
        context_(std::move(context)),
        session_(std::move(session)),
        stop_descriptor_(stop_descriptor) {}

  IoResult read_some(void* data, std::size_t size, std::int64_t deadline_ns) override {
    std::size_t count = 0;
    return perform(deadline_ns, count, [&] { return ::SSL_read_ex(session_.get(), data, size, &count); });
  }
  IoResult write_some(const void* data, std::size_t size, std::int64_t deadline_ns) override {
    std::size_t count = 0;
    return perform(deadline_ns, count, [&] { return ::SSL_write_ex(session_.get(), data, size, &count); });
  }
  std::string error() const override { return error_; }

  /// The handshake; error() then says what is wrong with the certificate, if that is it.
  IoStatus handshake(std::int64_t deadline_ns) {
    std::size_t unused = 0;
    const IoStatus status = perform(deadline_ns, unused, [&] { return ::SSL_connect(session_.get()); }).status;
    if (const long verified = ::SSL_get_verify_result(session_.get());
        status != IoStatus::ok && verified != X509_V_OK) {
      error_ = fmt::format("its certificate is refused: {}", ::X509_verify_cert_error_string(verified));
    }
    return status;
  }

 private:
  template <class Call>
  IoResult perform(std::int64_t deadline_ns, std::size_t& count, Call&& call) {
    for (;;) {
      ::ERR_clear_error();
      errno = 0;
      const int result = call();
      if (result == 1) {
        return {IoStatus::ok, count};
      }
      short events = 0;
      switch (::SSL_get_error(session_.get(), result)) {
        case SSL_ERROR_WANT_READ:
          events = POLLIN;
          break;
        case SSL_ERROR_WANT_WRITE:
          events = POLLOUT;
          break;
        case SSL_ERROR_ZERO_RETURN:
          return {IoStatus::closed, 0};
        default:
          error_ = openssl_words();
          return {IoStatus::failed, 0};
      }
      if (const IoStatus status = wait_ready(descriptor_.get(), events, stop_descriptor_, deadline_ns);
          status != IoStatus::ok) {
        return {status, 0};
      }
    }
  }

  FileDescriptor descriptor_;
  Context context_;
  Session session_;
  int stop_descriptor_;
  std::string error_;
};

Result<Context> make_context(const std::string& ca_file) {
  Context context(::SSL_CTX_new(::TLS_client_method()));
  if (context == nullptr || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return fail(ErrorCode::environment, fmt::format("TLS: {}", openssl_words()));
  }
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const int loaded = ca_file.empty() ? ::SSL_CTX_set_default_verify_paths(context.get())
                                     : ::SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr);
  if (loaded != 1) {
    return fail(ErrorCode::environment,
                fmt::format("the certificates in {} cannot be used: {}",
                            ca_file.empty() ? "the system's folder" : ca_file, openssl_words()));
  }
  return context;
}

// SSL_set_tlsext_host_name is a macro with a cast that our warnings refuse: what it stands for.
bool send_host_name(SSL* session, std::string host) {
  return ::SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) == 1;
}

bool expect_host(SSL* session, const std::string& host) {
  if (is_address(host)) {
    return ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(session), host.c_str()) == 1;
  }
  ::SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return ::SSL_set1_host(session, host.c_str()) == 1 && send_host_name(session, host);
}

// OpenSSL writes with write(2), which raises SIGPIPE where the peer has gone. It must be an error value in any program
// that we are a part of, whatever that does with signals: held back on the thread that uses the connection.
void hold_back_broken_pipe() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

Result<std::unique_ptr<Transport>> connect_tls(FileDescriptor descriptor, const Url& url,
                                               const ConnectOptions& options) {
  hold_back_broken_pipe();
  auto context = make_context(options.ca_file);
  if (!context) {
    return tl::unexpected(context.error());
  }
  Session session(::SSL_new(context->get()));
  if (session == nullptr || !expect_host(session.get(), url.host) ||
      ::SSL_set_fd(session.get(), descriptor.get()) != 1) {
    return fail(ErrorCode::environment, fmt::format("TLS: {}", openssl_words()));
  }
  auto transport = std::make_unique<TlsTransport>(std::move(descriptor), std::move(*context), std::move(session),
                                                  options.stop_descriptor);
  switch (transport->handshake(options.deadline_ns)) {
    case IoStatus::ok:
      return transport;
    case IoStatus::timed_out:
      return fail(ErrorCode::environment, fmt::format("{}: no TLS handshake in time", url.authority()));
    case IoStatus::stopped:
      return fail(ErrorCode::environment, "stopped");
    default:
      return fail(ErrorCode::environment, fmt::format("{}: {}", url.authority(), transport->error()));
  }
}

}  // namespace mdpipe::feed
