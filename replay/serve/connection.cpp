#include "replay/serve/connection.hpp"

#include <utility>

#include <fmt/core.h>
#include <boost/asio/post.hpp>

#include "mdpipe/base/clock.hpp"
#include "replay/serve/market.hpp"

namespace mdpipe::replay {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t kHandshakeTimeoutNs = 10 * kNanosecondsPerSecond;
constexpr std::int64_t kCloseTimeoutNs = 5 * kNanosecondsPerSecond;
constexpr std::int64_t kSendUsualNs = 100'000;

struct ClientRequest {
  std::string type;
  std::string symbol;
};

/// Nothing where it is no JSON object; a key that is missing or no text is empty.
std::optional<ClientRequest> parse_request(std::string_view text) {
  ClientRequest request;
  JsonScanner scanner(text);
  if (!scanner.take('{')) {
    return std::nullopt;
  }
  if (!scanner.take('}')) {
    do {
      JsonScanner::String key;
      if (!scanner.string(key) || !scanner.take(':')) {
        return std::nullopt;
      }
      std::string* const wanted = key.raw == "type" ? &request.type : key.raw == "symbol" ? &request.symbol : nullptr;
      JsonScanner::String value;
      if (wanted == nullptr || scanner.peek() != '"') {
        if (!scanner.skip_value()) {
          return std::nullopt;
        }
      } else if (!scanner.string(value) || !unescape(value.raw, *wanted)) {
        return std::nullopt;
      }
    } while (scanner.take(','));
    if (!scanner.take('}')) {
      return std::nullopt;
    }
  }
  return scanner.at_end() ? std::optional(request) : std::nullopt;
}

std::string peer_text(const Connection::Socket& socket) {
  boost::system::error_code error;
  const auto peer = socket.remote_endpoint(error);
  return error ? std::string("unknown") : fmt::format("{}:{}", peer.address().to_string(), peer.port());
}

}  // namespace

Connection::Connection(Socket socket, asio::ssl::context* tls, std::uint64_t number, const ConnectionContext& context)
    : socket_(std::move(socket)),
      number_(number),
      context_(context),
      upgrade_(context.token),
      state_since_ns_(monotonic_clock_ns()),
      last_sent_ns_(state_since_ns_) {
  if (tls != nullptr) {
    tls_.emplace(socket_, *tls);
  }
}

template <class Use>
void Connection::with_stream(Use&& use) {
  if (tls_) {
    use(*tls_);
  } else {
    use(socket_);
  }
}

void Connection::start() {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  if (!tls_) {
    read();
    return;
  }
  tls_->async_handshake(asio::ssl::stream_base::server,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error) {
                            self->cut();
                          } else {
                            self->read();
                          }
                        });
}

void Connection::read() {
  with_stream([this](auto& stream) {
    stream.async_read_some(
        asio::buffer(read_buffer_),
        [self = shared_from_this()](const auto& error, std::size_t count) { self->on_read(error, count); });
  });
}

void Connection::on_read(const boost::system::error_code& error, std::size_t count) {
  if (state_ == State::gone) {
    return;
  }
  if (error) {
    // Where we had said all and only waited for the client's answer, it has gone without one.
    const bool said_all = state_ == State::closing_by_server && (out_.size() == 0 || stream_ended_);
    finish(said_all ? close_code_ : kCloseAbnormal, said_all ? "server" : "client");
    return;
  }
  const std::string_view bytes(read_buffer_.data(), count);
  if (state_ == State::handshaking && !answer_waits_) {
    on_handshake_bytes(bytes);
  } else {
    messages_.feed(bytes);
  }
  read_messages();
  kick();
  if (state_ != State::gone && state_ != State::refused) {
    read_on();
  }
}

/// Each message may have an answer: who sends without reading is read again once it has taken what waits.
void Connection::read_on() {
  reading_waits_ =
      out_.size() >= Market::kRoomBytes && !held_;  // of a client that is kept waiting we hear that it goes
  if (!reading_waits_) {
    read();
  }
}

void Connection::on_handshake_bytes(std::string_view bytes) {
  switch (upgrade_.feed(bytes)) {
    case Upgrade::State::reading:
      return;
    case Upgrade::State::refused:
      out_.append_raw(upgrade_.response());
      state_ = State::refused;
      return;
    case Upgrade::State::accepted:
      messages_.feed(upgrade_.rest());
      answer_handshake();
      return;
  }
}

void Connection::on_open() {
  state_ = State::open;
  state_since_ns_ = last_sent_ns_ = monotonic_clock_ns();
  ++context_.report.connections;
  context_.log.connected(number_, peer_text(socket_));
  context_.owner.on_open(*this);
}

void Connection::read_messages() {
  while (state_ == State::open || state_ == State::closing_by_server) {
    switch (messages_.next()) {
      case ClientMessages::Event::none:
        return;
      case ClientMessages::Event::pong:
        break;
      case ClientMessages::Event::ping:
        if (state_ == State::open) {
          answer_ping();
        }
        break;
      case ClientMessages::Event::text:
      case ClientMessages::Event::binary:
        if (state_ == State::open) {
          on_message(messages_.payload());
        }
        break;
      case ClientMessages::Event::close:
        on_client_close(messages_.code());
        break;
      case ClientMessages::Event::violation:
        if (state_ == State::open) {
          close(messages_.code(), "");
        }
        return;
    }
  }
}

void Connection::on_message(const std::string& text) {
  const auto request = parse_request(text);
  const bool known = request && (request->type == "subscribe" || request->type == "unsubscribe");
  if (!known || request->symbol.empty()) {
    say_error("Invalid message: want {'type':'subscribe','symbol':'...'}");
    return;
  }
  const bool subscribe = request->type == "subscribe";
  if (subscribe && subscriber_->subscribed().size() >= context_.options.max_symbols &&
      !subscriber_->subscribed().contains(request->symbol)) {
    say_error("Subscribing to too many symbols");
    return;
  }
  context_.log.subscription(number_, subscribe, request->symbol);
  if (subscribe) {
    subscriber_->subscribe(request->symbol);
    context_.owner.on_subscribed(*this);
  } else {
    subscriber_->unsubscribe(request->symbol);
  }
}

void Connection::say_error(std::string_view text) {
  out_.append_text(fmt::format(R"({{"msg":"{}","type":"error"}})", text), true, 0);
}

void Connection::on_client_close(std::uint16_t code) {
  if (state_ == State::closing_by_server) {
    end_in_good_order();
    return;
  }
  if (held_) {  // what it would be answered stands behind the hold
    finish(code, "client");
    return;
  }
  out_.drop_waiting();  // it has said that it wants no more
  out_.append_close(code, "");
  close_code_ = code;
  state_ = State::closing_by_client;
  state_since_ns_ = monotonic_clock_ns();
}

void Connection::close(std::uint16_t code, std::string_view reason) {
  const bool held_up = out_.has_holds() || (subscriber_ && subscriber_->over());
  if (held_up || state_ == State::handshaking) {
    cut();
  } else if (state_ == State::open) {
    out_.append_close(code, reason);
    close_code_ = code;
    state_ = State::closing_by_server;
    state_since_ns_ = monotonic_clock_ns();
    kick();
  }
}

void Connection::kick() {
  if (state_ == State::gone) {
    return;
  }
  if ((held_ || !context_.options.pace.stands_alone()) && out_.size() > context_.options.client_buffer_bytes) {
    ++context_.report.clients_cut;
    cut();
    return;
  }
  if (writing_) {
    return;
  }
  const std::string_view bytes = out_.front();
  if (bytes.empty()) {
    if (const Hold* const hold = out_.hold(); hold != nullptr && !held_) [[unlikely]] {
      obey(*hold);
    }
    return;
  }
  writing_ = true;
  last_sent_ns_ = monotonic_clock_ns();
  if (!tls_ && send_now(bytes)) {
    return;
  }
  with_stream([&](auto& stream) {
    stream.async_write_some(
        asio::buffer(bytes.data(), bytes.size()),
        [self = shared_from_this()](const auto& error, std::size_t count) { self->on_written(error, count); });
  });
}

/// Straight into the kernel, so that we know when: what is sent by the loop is heard of a turn later. False where there
/// is no room, or the client is gone: the loop waits, or finds it so.
bool Connection::send_now(std::string_view bytes) {
  boost::system::error_code error;
  const std::int64_t handed_ns = monotonic_clock_ns();
  const std::size_t count = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  if (error) {
    return false;
  }
  // The call goes on long after the bytes are on their way: it wakes the receiver. Where it took so long that something
  // came between, they may have gone at its end only.
  const std::int64_t back_ns = monotonic_clock_ns();
  account(count, back_ns - handed_ns > kSendUsualNs ? back_ns : handed_ns);
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->on_written({}, 0); });
  return true;
}

void Connection::on_written(const boost::system::error_code& error, std::size_t count) {
  writing_ = false;
  account(count, monotonic_clock_ns());
  if (state_ == State::gone) {
    return;
  }
  if (error) {
    finish(kCloseAbnormal, "client");
    return;
  }
  if (out_.size() == 0 && (state_ == State::refused || state_ == State::closing_by_client)) {
    end_in_good_order();
    return;
  }
  if (out_.size() < Market::kRoomBytes) {
    if (reading_waits_) {
      read_on();
    }
    context_.owner.on_room(*this);
  }
  kick();
}

void Connection::account(std::size_t count, std::int64_t now_ns) {
  ServeReport& report = context_.report;
  last_sent_ns_ = now_ns;
  out_.taken(
      count,
      [&](const OutQueue::Sent& sent) {
        report.first_sent_ns = report.frames == 0 ? now_ns : report.first_sent_ns;
        report.last_sent_ns = now_ns;
        ++report.frames;
        ++messages_sent_;
        report.trades += sent.trade_count;
        report.bytes += sent.text.size();
        if (sent.due_ns) {
          report.pacing.record(pace_, *sent.due_ns, now_ns, sent.trade_count);
        }
        context_.log.frame(number_, sent.text, sent.is_json);
      },
      [&](const std::string& note) {
        ++report.faults;
        context_.fault_log.add(number_, messages_sent_, note);
      });
}

/// Both sides have said that it is over: TLS says so too, then the socket goes.
void Connection::end_in_good_order() {
  if (std::exchange(ending_, true)) {
    return;
  }
  const std::string_view by = state_ == State::closing_by_server ? "server" : "client";
  if (!tls_) {
    finish(close_code_, by);
    return;
  }
  tls_->async_shutdown(
      [self = shared_from_this(), by](const boost::system::error_code&) { self->finish(self->close_code_, by); });
}

void Connection::cut() {
  finish(kCloseAbnormal, "server");
}

void Connection::finish(std::uint16_t code, std::string_view by) {
  if (state_ == State::gone) {
    return;
  }
  const auto keep = shared_from_this();
  state_ = State::gone;
  if (subscriber_) {
    context_.log.closed(number_, code, by, out_.partly_sent_bytes());
  }
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  context_.owner.on_gone(*this);
}

bool Connection::stalled(std::int64_t now_ns) const noexcept {
  return writing_ && now_ns - last_sent_ns_ > context_.options.stall_timeout_s * kNanosecondsPerSecond;
}

void Connection::tick(std::int64_t now_ns) {
  const std::int64_t in_state_ns = now_ns - state_since_ns_;
  switch (state_) {
    case State::handshaking:
    case State::refused:
      if (in_state_ns > kHandshakeTimeoutNs && !answer_waits_) {
        cut();
      }
      return;
    case State::closing_by_client:
    case State::closing_by_server:
      // All is said and the client does not answer; or it does not take what there is still to say.
      if ((out_.size() == 0 || stream_ended_) && in_state_ns > kCloseTimeoutNs &&
          now_ns - last_sent_ns_ > kCloseTimeoutNs) {
        finish(close_code_, "server");
      } else if (stalled(now_ns)) {
        cut();
      }
      return;
    case State::open:
      if (stalled(now_ns)) {
        ++context_.report.clients_cut;
        cut();
      } else {
        ping_in_silence(now_ns);
      }
      return;
    case State::gone:
      return;
  }
}

}  // namespace mdpipe::replay
