#pragma once
/// \file
/// The HTTP listener of health and metrics: a few fixed paths, GET and HEAD, every limit named. One thread of its own.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "mdpipe/base/error.hpp"

namespace mdpipe::ops {

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// By exact path ("/metrics"); what follows a ? is ignored. Called on the server's thread: must not block.
using HttpRoutes = std::map<std::string, std::function<HttpAnswer()>, std::less<>>;

struct HttpOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                             ///< 0: any free one, see HttpServer::port()
  std::size_t header_max_bytes = 8U << 10U;           ///< more: 431
  std::size_t body_max_bytes = 64U << 10U;            ///< more: 413
  std::size_t connections_max = 64;                   ///< more wait in the kernel's queue until one closes or is idle
  std::chrono::milliseconds request_timeout{10'000};  ///< for a whole request: 408
  std::chrono::milliseconds idle_timeout{60'000};     ///< between two requests of a connection: closed
  std::chrono::milliseconds accept_retry{100};        ///< after running out of descriptors
};

/// Answers 404 for any other path, 405 for any other method, 400 for what is no HTTP (also: both lengths at once, bad
/// chunks). Requests sent ahead on one connection are answered in turn.
///
/// Thread safety: start() and the destructor by one thread.
class HttpServer {
 public:
  /// ErrorCode::environment where the port is taken or the address is not ours.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(const HttpOptions& options, HttpRoutes routes);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::ops
