#include "mdpipe/feed/session.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "backoff.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/feed/decoder.hpp"
#include "request.hpp"
#include "socket.hpp"
#include "trade_marker.hpp"
#include "transport.hpp"
#include "url.hpp"
#include "websocket.hpp"

namespace mdpipe::feed {
namespace {

constexpr std::uint16_t kNormalClosure = 1000;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::uint32_t kUnauthorized = 401;
constexpr std::uint32_t kForbidden = 403;
constexpr std::uint32_t kTooManyRequests = 429;
constexpr std::int64_t kNotBeforeMaxNs = kRetryAfterMaxS * kNanosecondsPerSecond;

}  // namespace

std::string_view to_string(SessionState state) noexcept {
  switch (state) {
    case SessionState::starting:
      return "starting";
    case SessionState::connecting:
      return "connecting";
    case SessionState::subscribed:
      return "subscribed";
    case SessionState::stale:
      return "stale";
    case SessionState::backing_off:
      return "backing_off";
    case SessionState::auth_failed:
      return "auth_failed";
    case SessionState::held_back:
      return "held_back";
    case SessionState::ended:
      return "ended";
  }
  return "unknown";
}

class Session::Body {
 public:
  Body(SessionOptions options, Url url, FileDescriptor stop, FrameSink& sink)
      : options_(std::move(options)),
        url_(std::move(url)),
        stop_(std::move(stop)),
        sink_(sink),
        decoder_(frame_max(sink), options_.symbols_max),
        marker_(options_.last_receive_time_ns != 0),
        backoff_(options_.backoff_min_ns, options_.backoff_max_ns,
                 options_.seed != 0 ? options_.seed : static_cast<std::uint64_t>(wall_clock_ns())),
        connection_(options_.connections_before),
        last_receive_time_ns_(options_.last_receive_time_ns) {}

  Result<SessionEnd> run();
  void request_stop() noexcept;

  [[nodiscard]] const SessionFigures& figures() const noexcept { return figures_; }
  [[nodiscard]] std::string trouble() const {
    const std::scoped_lock lock(trouble_mutex_);
    return trouble_;
  }
  [[nodiscard]] std::string complaint() const {
    const std::scoped_lock lock(trouble_mutex_);
    return redact(printable(complaint_));
  }
  [[nodiscard]] std::string shown_url() const { return url_.shown(); }

 private:
  /// How one connection ended.
  struct Ending {
    bool stopped = false;
    bool in_good_order = false;    // the venue closed with 1000
    std::optional<Error> refused;  // 401, 403, 429
    std::int64_t wait_at_least_ns = 0;
  };

  static std::size_t frame_max(FrameSink& sink) { return sink.claim().payload_capacity(); }

  void wait_as_told();
  Ending connect_and_listen();
  Ending refuse(const HandshakeAnswer& answer);
  [[nodiscard]] bool subscribe(WebSocket& socket);
  Ending listen(WebSocket& socket);
  ReadResult read_frame(WebSocket& socket, const FrameClaim& claim);
  void commit(WebSocket& socket, const FrameClaim& claim, std::uint32_t length);
  void commit_beginning(const FrameClaim& claim, std::uint32_t length, FrameReason reason,
                        std::int64_t receive_time_ns);
  [[nodiscard]] bool on_silence(WebSocket& socket);
  [[nodiscard]] bool check_stale(WebSocket& socket, std::int64_t now_ns);
  void disconnected(std::uint16_t code, const std::string& words);
  [[nodiscard]] FrameClaim claim_or_wait();
  void append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                      std::int64_t time_ns = wall_clock_ns());
  [[nodiscard]] bool stop_requested() const noexcept { return stop_requested_.load(std::memory_order_relaxed); }
  void sleep(std::int64_t duration_ns) const noexcept;
  void set_trouble(const std::string& words);

  const SessionOptions options_;
  const Url url_;
  FileDescriptor stop_;
  std::atomic<bool> stop_requested_{false};
  FrameSink& sink_;
  Decoder decoder_;
  TradeMarker marker_;
  Backoff backoff_;
  SessionFigures figures_;

  std::uint64_t connection_;
  std::int64_t last_receive_time_ns_;
  std::int64_t last_trades_ns_ = 0;  // monotonic: the last frame with trades, or the subscription
  std::int64_t stale_after_ns_ = 0;  // doubles with every time that subscribing again did not help
  std::int64_t ping_at_ns_ = 0;
  std::int64_t stale_noticed_ns_ = 0;  // wall clock; its record waits until no claim is open. 0 = none waits

  mutable std::mutex trouble_mutex_;  // never taken on the way of a trade
  std::string trouble_;
  std::string complaint_;
};

void Session::Body::request_stop() noexcept {
  stop_requested_.store(true, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) < 0) {
    // The counter is at its limit: somebody has asked already.
  }
}

void Session::Body::sleep(std::int64_t duration_ns) const noexcept {
  if (wait_ready(stop_.get(), POLLIN, -1, monotonic_clock_ns() + duration_ns) == IoStatus::failed) {
    ::usleep(1000);
  }
}

void Session::Body::set_trouble(const std::string& words) {
  const std::scoped_lock lock(trouble_mutex_);
  trouble_ = redact(words);
}

/// What the venue has told an earlier run (429, Retry-After) holds for this one too.
void Session::Body::wait_as_told() {
  const std::int64_t left_ns = options_.not_before_ns - wall_clock_ns();
  if (left_ns <= 0) {
    return;
  }
  figures_.not_before_ns.set(options_.not_before_ns);
  figures_.state.store(SessionState::backing_off);
  set_trouble(fmt::format("{}: told to wait until {}", url_.shown(), iso_time_ms(floor_to_ms(options_.not_before_ns))));
  sleep(std::min(left_ns, kNotBeforeMaxNs));  // the wall clock may have been wrong then, or be now
}

Result<SessionEnd> Session::Body::run() {
  wait_as_told();
  while (!stop_requested()) {
    const Ending ending = connect_and_listen();
    if (ending.stopped || stop_requested()) {
      break;
    }
    if (ending.refused && options_.fail_fast) {
      figures_.state.store(SessionState::ended);
      return tl::unexpected(*ending.refused);
    }
    if (ending.in_good_order && options_.once) {
      figures_.state.store(SessionState::ended);
      return SessionEnd::closed;
    }
    if (figures_.state.load() != SessionState::auth_failed) {
      figures_.state.store(SessionState::backing_off);
    }
    sleep(ending.wait_at_least_ns + backoff_.next_ns());
  }
  figures_.state.store(SessionState::ended);
  return SessionEnd::stopped;
}

Session::Body::Ending Session::Body::connect_and_listen() {
  figures_.state.store(SessionState::connecting);
  const std::int64_t deadline_ns = monotonic_clock_ns() + options_.handshake_timeout_ns;
  auto transport = connect(url_, {options_.ca_file, deadline_ns, stop_.get()});
  if (!transport) {
    figures_.connect_failures.add();
    set_trouble(transport.error().message);
    return {};
  }
  WebSocket socket(std::move(*transport));
  socket.layer().set_stop(&stop_requested_);
  socket.layer().set_read_deadline(deadline_ns);
  socket.layer().set_write_timeout(options_.write_timeout_ns);
  const HandshakeAnswer answer = [&] {
    // The token is in this one string, for as long as the handshake takes.
    Secret target(options_.token.empty()
                      ? url_.target
                      : url_.target + (url_.target.find('?') == std::string::npos ? "?token=" : "&token=") +
                            percent_encoded(options_.token.reveal()));
    return socket.handshake(url_.authority(), target.reveal());
  }();
  if (!answer.accepted) {
    return refuse(answer);
  }
  ++connection_;
  append_session(SessionKind::connected, {connection_, 0, 0, 0, 0}, url_.shown());
  if (!subscribe(socket)) {
    disconnected(socket.close_code(), "while subscribing");
    return {};
  }
  return listen(socket);
}

Session::Body::Ending Session::Body::refuse(const HandshakeAnswer& answer) {
  figures_.connect_failures.add();
  Ending ending;
  const std::string words = fmt::format("{}: the handshake failed: {}", url_.shown(), redact(answer.words));
  set_trouble(words);
  const bool unauthorized = answer.status == kUnauthorized || answer.status == kForbidden;
  ending.wait_at_least_ns = answer.retry_after_s * kNanosecondsPerSecond;
  if (unauthorized || answer.status == kTooManyRequests) {
    figures_.refusals.add();
    ending.refused =
        Error{ErrorCode::refused, words + (unauthorized ? ": is the token right? (FINNHUB_API_KEY or --token-file)"
                                                        : ": too many connections; wait some minutes")};
    ending.wait_at_least_ns = std::max(ending.wait_at_least_ns, options_.refused_backoff_ns);
  }
  if (unauthorized) {
    figures_.state.store(SessionState::auth_failed);
  } else if (ending.wait_at_least_ns != 0) {
    // Not after 401: whoever has mended the token starts again, and shall not wait.
    figures_.not_before_ns.set(wall_clock_ns() + ending.wait_at_least_ns);
  }
  return ending;
}

bool Session::Body::subscribe(WebSocket& socket) {
  for (const std::string& symbol : options_.symbols) {
    if (!socket.write_text(subscribe_message(symbol))) {
      return false;
    }
  }
  return true;
}

Session::Body::Ending Session::Body::listen(WebSocket& socket) {
  const std::int64_t subscribed_ns = wall_clock_ns();
  append_session(SessionKind::subscribed, {connection_, 0, 0, 0, 0},
                 fmt::format("{} symbols", options_.symbols.size()));
  if (last_receive_time_ns_ != 0) {
    marker_.mark_gap();
    figures_.gaps.add();
    append_session(SessionKind::gap, {connection_, last_receive_time_ns_, subscribed_ns, 0, 0}, "");
  }
  // From now on there is something to miss, even if nothing has come yet.
  last_receive_time_ns_ = subscribed_ns;
  figures_.connections.add();
  figures_.state.store(SessionState::subscribed);
  set_trouble("");

  const std::int64_t now_ns = monotonic_clock_ns();
  last_trades_ns_ = now_ns;
  stale_after_ns_ = options_.stale_ns;
  ping_at_ns_ = now_ns + options_.silence_ns / 3;
  socket.layer().set_read_deadline(ping_at_ns_);
  socket.layer().set_on_deadline([this, &socket] { return on_silence(socket); });

  for (;;) {
    if (stale_noticed_ns_ != 0) [[unlikely]] {
      append_session(SessionKind::stale, {connection_, 0, 0, 0, 0}, "no trades; subscribed again",
                     std::exchange(stale_noticed_ns_, 0));
    }
    const FrameClaim claim = claim_or_wait();
    if (!claim) {
      disconnected(socket.close_code(), "stopped");
      Ending ending;
      ending.stopped = true;
      return ending;
    }
    const ReadResult result = read_frame(socket, claim);
    if (result.bytes != 0 || result.status == ReadStatus::message_done) [[likely]] {
      figures_.messages.add();
    }
    if (result.status == ReadStatus::message_done) [[likely]] {
      commit(socket, claim, static_cast<std::uint32_t>(result.bytes));
      continue;
    }
    if (result.status == ReadStatus::some) {
      commit_beginning(claim, static_cast<std::uint32_t>(result.bytes), FrameReason::too_large,
                       socket.layer().receive_time_ns());
      socket.close(kTooBig, monotonic_clock_ns() + options_.close_timeout_ns);
      disconnected(kTooBig, fmt::format("a message of more than {} bytes", claim.payload_capacity()));
      return {};
    }
    if (result.bytes != 0) {
      commit_beginning(claim, static_cast<std::uint32_t>(result.bytes),
                       result.status == ReadStatus::not_utf8 ? FrameReason::not_utf8 : FrameReason::cut_off,
                       socket.layer().receive_time_ns());
    }
    Ending ending;
    ending.stopped = result.status == ReadStatus::stopped;
    ending.in_good_order = result.status == ReadStatus::closed && socket.close_code() == kNormalClosure;
    if (ending.stopped) {
      socket.close(kNormalClosure, monotonic_clock_ns() + options_.close_timeout_ns);
      disconnected(kNormalClosure, "we were asked to stop");
    } else {
      disconnected(socket.close_code(), result.status == ReadStatus::timed_out ? "silence" : socket.close_words());
    }
    return ending;
  }
}

/// A whole message, or its beginning: with status `some` it is larger than the claim.
ReadResult Session::Body::read_frame(WebSocket& socket, const FrameClaim& claim) {
  std::size_t length = 0;
  for (;;) {
    const std::size_t room = claim.payload_capacity() - length;
    ReadResult result = socket.read_some(claim.payload() + length, room);
    if (result.status == ReadStatus::not_utf8) {
      // Beast does not say how much of the piece that it judged it has put into our memory: all that it was given.
      return {result.status, std::min<std::size_t>(socket.layer().message_bytes(), claim.payload_capacity())};
    }
    length += result.bytes;
    if (result.status != ReadStatus::some || length == claim.payload_capacity()) {
      return {result.status, length};
    }
  }
}

void Session::Body::commit(WebSocket& socket, const FrameClaim& claim, std::uint32_t length) {
  const std::int64_t receive_time_ns = socket.layer().receive_time_ns();
  FrameDescription frame{length, 0, FrameKind::bad, FrameReason::binary, receive_time_ns};
  if (!socket.message_is_binary()) {
    const DecodeResult decoded = decoder_.decode(claim, length, sink_.symbols());
    frame.kind = decoded.kind;
    frame.reason = decoded.reason;
    frame.trade_count = decoded.trade_count;
    figures_.fallbacks.add(decoded.fell_back ? 1 : 0);
    marker_.mark({claim.trades(length), decoded.trade_count}, receive_time_ns, figures_);
  }
  sink_.commit(claim, frame);
  last_receive_time_ns_ = receive_time_ns;
  figures_.frames[static_cast<std::size_t>(frame.kind)].add();
  figures_.trades.add(frame.trade_count);
  figures_.bytes.add(length);
  figures_.last_frame_ns.set(receive_time_ns);
  if (frame.kind == FrameKind::error) [[unlikely]] {
    const std::scoped_lock lock(trouble_mutex_);
    complaint_.assign(claim.payload(), std::min<std::size_t>(length, 256));
  }
  const std::int64_t heard_ns = socket.layer().heard_ns();
  ping_at_ns_ = heard_ns + options_.silence_ns / 3;
  socket.layer().set_read_deadline(ping_at_ns_);
  if (frame.trade_count != 0) {
    if (figures_.state.load(std::memory_order_relaxed) == SessionState::stale) [[unlikely]] {
      figures_.state.store(SessionState::subscribed);
    }
    last_trades_ns_ = heard_ns;
    stale_after_ns_ = options_.stale_ns;
    backoff_.reset();
  } else if (!check_stale(socket, heard_ns)) {
    // The write failed: the next read says so.
  }
}

void Session::Body::commit_beginning(const FrameClaim& claim, std::uint32_t length, FrameReason reason,
                                     std::int64_t receive_time_ns) {
  sink_.commit(claim, {length, 0, FrameKind::bad_truncated, reason, receive_time_ns});
  figures_.frames[static_cast<std::size_t>(FrameKind::bad_truncated)].add();
  last_receive_time_ns_ = receive_time_ns;
}

/// Nothing came until the deadline. First we ask (a living peer answers a ping), then it is dead.
bool Session::Body::on_silence(WebSocket& socket) {
  const std::int64_t now_ns = monotonic_clock_ns();
  const std::int64_t heard_ns = std::max(socket.layer().heard_ns(), ping_at_ns_ - options_.silence_ns / 3);
  const std::int64_t dead_ns = heard_ns + options_.silence_ns;
  if (now_ns >= dead_ns || !check_stale(socket, now_ns) || !socket.ping()) {
    return false;
  }
  socket.layer().set_read_deadline(std::min(dead_ns, now_ns + options_.silence_ns / 3));
  return true;
}

/// Pings and pongs keep a connection alive that delivers nothing: say so, and subscribe again, ever more seldom.
bool Session::Body::check_stale(WebSocket& socket, std::int64_t now_ns) {
  if (now_ns - last_trades_ns_ < stale_after_ns_) {
    return true;
  }
  stale_after_ns_ += std::max(stale_after_ns_, options_.stale_ns);
  figures_.stale_periods.add();
  figures_.state.store(SessionState::stale);
  stale_noticed_ns_ = wall_clock_ns();
  return subscribe(socket);
}

void Session::Body::disconnected(std::uint16_t code, const std::string& words) {
  figures_.close_code.set(code);
  set_trouble(fmt::format("disconnected ({}{}{})", code, words.empty() ? "" : ": ", words));
  append_session(SessionKind::disconnected, {connection_, 0, 0, code, 0}, redact(words));
}

/// Room for the next frame. While there is none the socket is not read, and TCP tells the venue. Nothing only when
/// stopped.
FrameClaim Session::Body::claim_or_wait() {
  FrameClaim claim = sink_.claim();
  if (!claim) [[unlikely]] {
    const SessionState before = figures_.state.load();
    figures_.state.store(SessionState::held_back);
    figures_.held_back.add();
    while (!claim && !stop_requested()) {
      sleep(options_.full_retry_ns);
      claim = sink_.claim();
    }
    figures_.state.store(before);
  }
  return claim;
}

/// A session event is a record like any other: while there is no room for it, we wait. Not with a claim open, which it
/// would overwrite.
void Session::Body::append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                                   std::int64_t time_ns) {
  while (!sink_.append_session(kind, payload, text, time_ns) && !stop_requested()) {
    figures_.held_back.add();
    sleep(options_.full_retry_ns);
  }
}

Result<void> Session::check(const SessionOptions& options) {
  auto url = parse_url(options.url);
  if (!url) {
    return tl::unexpected(url.error());
  }
  if (!url->tls && !options.token.empty() && !url->is_loopback()) {
    return fail(ErrorCode::usage,
                fmt::format("--feed {}: the token would cross the network in the clear: use wss://, or run without "
                            "FINNHUB_API_KEY and --token-file",
                            url->shown()));
  }
  if (!options.ca_file.empty() && ::access(options.ca_file.c_str(), R_OK) != 0) {
    return tl::unexpected(system_error(options.ca_file, errno));
  }
  return {};
}

Result<std::unique_ptr<Session>> Session::make(SessionOptions options, FrameSink& sink) {
  if (auto checked = check(options); !checked) {
    return tl::unexpected(checked.error());
  }
  auto url = parse_url(options.url);
  FileDescriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) {
    return tl::unexpected(system_error("eventfd", errno));
  }
  remember_secret(options.token);
  remember_secret(Secret(percent_encoded(options.token.reveal())));  // how it is sent, and might come back in an answer
  return std::unique_ptr<Session>(
      new Session(std::make_unique<Body>(std::move(options), std::move(*url), std::move(stop), sink)));
}

Session::Session(std::unique_ptr<Body> body) noexcept : body_(std::move(body)) {}
Session::~Session() = default;

Result<SessionEnd> Session::run() {
  return body_->run();
}
void Session::request_stop() noexcept {
  body_->request_stop();
}
const SessionFigures& Session::figures() const noexcept {
  return body_->figures();
}
std::string Session::last_trouble() const {
  return body_->trouble();
}
std::string Session::last_complaint() const {
  return body_->complaint();
}
std::string Session::shown_url() const {
  return body_->shown_url();
}

}  // namespace mdpipe::feed
