#include "websocket.hpp"

#include <exception>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/role.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/secret.hpp"
#include "request.hpp"

namespace mdpipe::feed {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

using ErrorCodeOf = boost::system::error_code;

ErrorCodeOf to_error_code(IoStatus status) {
  switch (status) {
    case IoStatus::ok:
      return {};
    case IoStatus::closed:
      return asio::error::eof;
    case IoStatus::timed_out:
      return asio::error::timed_out;
    case IoStatus::stopped:
      return asio::error::operation_aborted;
    case IoStatus::failed:
      break;
  }
  return asio::error::connection_reset;
}

/// ReadAhead in the shape that Beast wants: a synchronous stream. The executor is never run; Beast asks for its type.
class Layer {
 public:
  using executor_type = asio::io_context::executor_type;

  Layer(asio::io_context& context, std::unique_ptr<Transport> transport)
      : context_(context), read_ahead_(std::move(transport)) {}

  executor_type get_executor() noexcept { return context_.get_executor(); }
  ReadAhead& read_ahead() noexcept { return read_ahead_; }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, ErrorCodeOf& error) {
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      const asio::mutable_buffer buffer = *it;
      if (buffer.size() != 0) {
        const IoResult result = read_ahead_.read_some(static_cast<char*>(buffer.data()), buffer.size());
        error = to_error_code(result.status);
        return result.bytes;
      }
    }
    error = {};
    return 0;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, ErrorCodeOf& error) {
    std::size_t written = 0;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
      const asio::const_buffer buffer = *it;
      const IoResult result = read_ahead_.write_all(static_cast<const char*>(buffer.data()), buffer.size());
      written += result.bytes;
      error = to_error_code(result.status);
      if (error) {
        break;
      }
    }
    return written;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    ErrorCodeOf error;
    const std::size_t count = read_some(buffers, error);
    if (error) {
      throw boost::system::system_error(error);
    }
    return count;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    ErrorCodeOf error;
    const std::size_t count = write_some(buffers, error);
    if (error) {
      throw boost::system::system_error(error);
    }
    return count;
  }

 private:
  asio::io_context& context_;
  ReadAhead read_ahead_;
};

// Beast calls it when it ends a connection. The socket goes with its owner.
void teardown(beast::role_type /*role*/, Layer& /*layer*/, ErrorCodeOf& error) {
  error = {};
}

}  // namespace

struct WebSocket::State {
  explicit State(std::unique_ptr<Transport> transport) : stream(context, std::move(transport)) {}

  ReadResult read_failed(const ErrorCodeOf& error);

  asio::io_context context;
  websocket::stream<Layer, false> stream;  // false: no compression, which we do not offer
  std::uint16_t close_code = websocket::close_code::abnormal;
  std::string close_words;
};

WebSocket::WebSocket(std::unique_ptr<Transport> transport) : state_(std::make_unique<State>(std::move(transport))) {
  state_->stream.read_message_max(0);  // the session has a limit of its own, so that the beginning can be kept
  state_->stream.auto_fragment(false);
  state_->stream.text(true);
}

WebSocket::~WebSocket() = default;

ReadAhead& WebSocket::layer() noexcept {
  return state_->stream.next_layer().read_ahead();
}

HandshakeAnswer WebSocket::handshake(const std::string& authority, const std::string& target) {
  HandshakeAnswer answer;
  websocket::response_type response;
  ErrorCodeOf error;
  state_->stream.set_option(websocket::stream_base::decorator(
      [](websocket::request_type& request) { request.set(beast::http::field::user_agent, "mdpipe"); }));
  try {
    state_->stream.handshake(response, authority, target, error);
  } catch (const std::exception& exception) {
    answer.words = exception.what();
    return answer;
  }
  answer.status = response.result_int();
  if (error) {
    answer.words = error == websocket::error::upgrade_declined
                       ? "HTTP " + std::to_string(answer.status) + " " + printable(response.reason())
                       : error.message();
    const auto retry_after = response[beast::http::field::retry_after];
    answer.retry_after_s = parse_retry_after_s(retry_after, wall_clock_ns() / kNanosecondsPerSecond);
    if (error != websocket::error::upgrade_declined) {
      answer.status = 0;
    }
    return answer;
  }
  layer().handshake_done();
  answer.accepted = true;
  return answer;
}

ReadResult WebSocket::State::read_failed(const ErrorCodeOf& error) {
  close_words = error.message();
  if (error == websocket::error::closed) {
    const auto& reason = stream.reason();
    close_code = reason.code == websocket::close_code::none ? std::uint16_t{1005} : reason.code;
    close_words = printable({reason.reason.data(), reason.reason.size()});
    return {ReadStatus::closed, 0};
  }
  if (error == websocket::error::bad_frame_payload) {
    close_code = websocket::close_code::bad_payload;
    return {ReadStatus::not_utf8, 0};
  }
  if (error == asio::error::timed_out) {
    return {ReadStatus::timed_out, 0};
  }
  if (error == asio::error::operation_aborted) {
    return {ReadStatus::stopped, 0};
  }
  if (error == asio::error::connection_reset) {
    close_words = stream.next_layer().read_ahead().error();
  }
  if (error.category() == make_error_code(websocket::error::closed).category()) {
    close_code = websocket::close_code::protocol_error;
  }
  return {ReadStatus::lost, 0};
}

ReadResult WebSocket::read_some(char* data, std::size_t size) {
  ErrorCodeOf error;
  const std::size_t count = state_->stream.read_some(asio::mutable_buffer(data, size), error);
  if (error) [[unlikely]] {
    return state_->read_failed(error);
  }
  return {state_->stream.is_message_done() ? ReadStatus::message_done : ReadStatus::some, count};
}

bool WebSocket::message_is_binary() const noexcept {
  return state_->stream.got_binary();
}

bool WebSocket::write_text(std::string_view text) {
  ErrorCodeOf error;
  state_->stream.write(asio::const_buffer(text.data(), text.size()), error);
  return !error;
}

bool WebSocket::ping() {
  ErrorCodeOf error;
  state_->stream.ping({}, error);
  return !error;
}

void WebSocket::close(std::uint16_t code, std::int64_t deadline_ns) {
  layer().set_on_deadline(nullptr);
  layer().set_read_deadline(deadline_ns);
  layer().set_write_timeout(std::max<std::int64_t>(deadline_ns - monotonic_clock_ns(), 0));
  ErrorCodeOf error;
  state_->stream.close(websocket::close_reason(static_cast<websocket::close_code>(code)), error);
  if (error == asio::error::operation_aborted) {
    // Beast takes a read that was stopped for the end of the connection and says nothing more: a close frame by hand
    // (RFC 6455, 5.5.1), so that the venue knows that we left of our own will. Its mask is 0.
    const char frame[] = {'\x88', '\x82', 0, 0, 0, 0, static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
    if (layer().write_all(frame, sizeof frame).status != IoStatus::ok) {
      return;  // it will see the socket close
    }
  }
}

std::uint16_t WebSocket::close_code() const noexcept {
  return state_->close_code;
}

std::string WebSocket::close_words() const {
  return redact(state_->close_words);
}

}  // namespace mdpipe::feed
