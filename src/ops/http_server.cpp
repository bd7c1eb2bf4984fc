#include "mdpipe/ops/http_server.hpp"

#include <list>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "mdpipe/base/thread.hpp"

namespace mdpipe::ops {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using SystemError = boost::system::error_code;

class Connection;

/// What all connections share; lives longer than any of them.
struct Shared {
  HttpOptions options;
  HttpRoutes routes;
  std::size_t connections = 0;
  std::list<Connection*> idle;  // between two requests; the longest so first
  std::function<void()> on_closed;
  std::function<void()> on_idle;
};

HttpAnswer answer_of(const Shared& shared, const http::request<http::string_body>& request) {
  const std::string_view target(request.target().data(), request.target().size());
  const auto route = shared.routes.find(target.substr(0, target.find('?')));
  if (route == shared.routes.end()) {
    return {404, "text/plain; charset=utf-8", "not found\n"};
  }
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return {405, "text/plain; charset=utf-8", "GET or HEAD\n"};
  }
  return route->second();
}

unsigned status_of(const SystemError& error) {
  if (error == http::error::header_limit) {
    return 431;
  }
  return error == http::error::body_limit ? 413 : 400;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Shared& shared)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        shared_(shared),
        buffer_(shared.options.header_max_bytes + shared.options.body_max_bytes) {
    ++shared_.connections;
  }
  ~Connection() {
    shared_.idle.remove(this);
    --shared_.connections;
    shared_.on_closed();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void read(bool first) {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.options.header_max_bytes));
    parser_->body_limit(shared_.options.body_max_bytes);
    timed_out_ = false;
    const bool idle = !first && buffer_.size() == 0;
    wait(idle ? shared_.options.idle_timeout : shared_.options.request_timeout);
    http::async_read_some(socket_, buffer_, *parser_,
                          [self = shared_from_this()](const SystemError& error, std::size_t) { self->on_some(error); });
    if (idle) {
      shared_.idle.push_back(this);
      shared_.on_idle();
    }
  }

  /// Makes room for somebody else, while idle.
  void leave() {
    shared_.idle.remove(this);
    SystemError ignored;
    socket_.close(ignored);
  }

 private:
  // The request's time runs from its first byte: a client that sends one byte a second does not win.
  void on_some(const SystemError& error) {
    shared_.idle.remove(this);
    if (!error && !parser_->is_done()) {
      if (!began_) {
        began_ = true;
        wait(shared_.options.request_timeout);
      }
      http::async_read_some(socket_, buffer_, *parser_,
                            [self = shared_from_this()](const SystemError& next, std::size_t) { self->on_some(next); });
      return;
    }
    timer_.cancel();
    const bool had_begun = std::exchange(began_, false) || parser_->got_some();
    if (!error) {
      answer();
    } else if (timed_out_) {
      if (had_begun || first_) {
        refuse(408, "the request took too long\n");
      }
    } else if (error.category() == make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream) {
      refuse(status_of(error), error.message() + "\n");
    }
  }

  void answer() {
    first_ = false;
    const auto& request = parser_->get();
    HttpAnswer found;
    try {
      found = answer_of(shared_, request);
    } catch (const std::exception&) {
      found = {500, "text/plain; charset=utf-8", "internal error\n"};
    }
    write(std::move(found), request.version(), request.keep_alive(), request.method() == http::verb::head);
  }
  void refuse(unsigned status, std::string words) {
    write({status, "text/plain; charset=utf-8", std::move(words)}, 11, false, false);
  }

  void write(HttpAnswer found, unsigned version, bool keep_alive, bool head) {
    response_.emplace();
    response_->version(version);
    response_->result(found.status);
    response_->set(http::field::content_type, found.content_type);
    response_->set(http::field::cache_control, "no-store");
    if (found.status == 405) {
      response_->set(http::field::allow, "GET, HEAD");
    }
    response_->keep_alive(keep_alive);
    response_->body() = std::move(found.body);
    response_->prepare_payload();
    wait(shared_.options.request_timeout);
    serializer_.emplace(*response_);
    auto done = [self = shared_from_this(), keep_alive](const SystemError& error, std::size_t) {
      self->timer_.cancel();
      if (!error && keep_alive) {
        self->read(false);
      } else {
        self->linger();
      }
    };
    if (head) {
      http::async_write_header(socket_, *serializer_, std::move(done));
    } else {
      http::async_write(socket_, *serializer_, std::move(done));
    }
  }

  // Closing with unread bytes would reset the connection, and the answer could be lost on the way: read them first, for
  // a moment.
  void linger() {
    SystemError ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    wait(std::chrono::milliseconds(500));
    drop();
  }
  void drop() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](const SystemError& error, std::size_t) {
      if (!error) {
        self->drop();
      } else {
        self->timer_.cancel();
      }
    });
  }

  void wait(std::chrono::milliseconds duration) {
    timer_.expires_after(duration);
    timer_.async_wait([weak = weak_from_this()](const SystemError& error) {
      if (const auto self = weak.lock(); self != nullptr && !error) {
        self->timed_out_ = true;
        SystemError ignored;
        self->socket_.cancel(ignored);
      }
    });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  Shared& shared_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  bool first_ = true;
  bool began_ = false;
  bool timed_out_ = false;
};

}  // namespace

struct HttpServer::State {
  State(const HttpOptions& options, HttpRoutes routes) : acceptor(context), retry(context) {
    shared.options = options;
    shared.routes = std::move(routes);
    shared.on_closed = [this] {
      if (paused && shared.connections < shared.options.connections_max) {
        paused = false;
        asio::post(context, [this] { accept(); });
      }
    };
    shared.on_idle = [this] { make_room(); };
  }

  Result<void> listen();
  void accept();
  void make_room();

  Shared shared;
  asio::io_context context{1};
  tcp::acceptor acceptor;
  asio::steady_timer retry;
  bool paused = false;    // as many connections as there may be
  bool watching = false;  // for somebody who wants to come in all the same
  bool awaited = false;   // somebody does
  std::uint16_t port = 0;
  Worker worker;
};

Result<void> HttpServer::State::listen() {
  const auto refused = [&](const SystemError& error) {
    return fail(ErrorCode::environment,
                fmt::format("--listen {}:{}: {}", shared.options.address, shared.options.port, error.message()));
  };
  SystemError error;
  const auto address = asio::ip::make_address(shared.options.address, error);
  if (error) {
    return fail(ErrorCode::usage, fmt::format("--listen {}: no address of this kind: give 127.0.0.1 or another number",
                                              shared.options.address));
  }
  const tcp::endpoint endpoint(address, shared.options.port);
  if (acceptor.open(endpoint.protocol(), error)) {
    return refused(error);
  }
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (acceptor.bind(endpoint, error) || acceptor.listen(asio::socket_base::max_listen_connections, error)) {
    return refused(error);
  }
  port = acceptor.local_endpoint(error).port();
  return {};
}

void HttpServer::State::accept() {
  if (shared.connections >= shared.options.connections_max) {
    paused = true;
    if (!std::exchange(watching, true)) {
      acceptor.async_wait(tcp::acceptor::wait_read, [this](const SystemError& error) {
        watching = false;
        awaited = !error;
        make_room();
      });
    }
    return;
  }
  awaited = false;
  acceptor.async_accept([this](const SystemError& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) {
      return;
    }
    if (error) {
      // Out of descriptors, most likely: they come back.
      retry.expires_after(shared.options.accept_retry);
      retry.async_wait([this](const SystemError& stopped) {
        if (!stopped) {
          accept();
        }
      });
      return;
    }
    std::make_shared<Connection>(std::move(socket), shared)->read(true);
    accept();
  });
}

/// An idle connection may last a minute; whoever asks about our health must not wait for that.
void HttpServer::State::make_room() {
  if (paused && awaited && !shared.idle.empty()) {
    awaited = false;
    shared.idle.front()->leave();
  }
}

HttpServer::HttpServer(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

HttpServer::~HttpServer() {
  state_->context.stop();
  state_->worker.join();
  // Connections that are left close with the context's handlers; none of them may start an accept any more.
  state_->shared.on_closed = state_->shared.on_idle = [] {};
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options, HttpRoutes routes) {
  auto state = std::make_unique<State>(options, std::move(routes));
  if (auto listening = state->listen(); !listening) {
    return tl::unexpected(listening.error());
  }
  state->accept();
  auto worker = Worker::start("http", -1, [state = state.get()] { state->context.run(); });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  state->worker = std::move(*worker);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::uint16_t HttpServer::port() const noexcept {
  return state_->port;
}

}  // namespace mdpipe::ops
