// The part of a connection in which something goes wrong on purpose.

#include "replay/serve/connection.hpp"

#include <chrono>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"
#include "replay/serve/faults/effect.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::string_view kPing = R"({"type":"ping"})";

}  // namespace

Subscriber& Connection::make_subscriber(const SymbolTable& symbols, const SessionClock& clock) {
  subscriber_.emplace(symbols, out_);
  if (context_.faults != nullptr) {
    subscriber_->use_faults(faults_.emplace(*context_.faults, number_, out_, clock));
  }
  return *subscriber_;
}

void Connection::answer_handshake() {
  const Fault* const fault = context_.faults == nullptr ? nullptr : handshake_fault(*context_.faults, number_);
  if (fault == nullptr) {
    out_.append_raw(upgrade_.response());
    on_open();
    return;
  }
  const std::string head = fmt::format(R"("frame":0,"kind":"{}","line":{})", name_of(fault->kind), fault->line);
  if (fault->kind == FaultKind::refuse) {
    out_.append_raw(refusal(*fault));
    out_.append_note(fmt::format(R"({},"status":{})", head, fault->status));
    state_ = State::refused;
    return;
  }
  ++context_.report.faults;
  context_.fault_log.add(number_, 0, fmt::format(R"({},"seconds":{})", head, *fault->pause_ms / 1000.0));
  answer_waits_ = true;
  pause(*fault->pause_ms);
}

void Connection::pause(std::uint32_t pause_ms) {
  fault_timer_.emplace(socket_.get_executor(), std::chrono::milliseconds(pause_ms));
  fault_timer_->async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->state_ == State::gone) {
      return;
    }
    if (self->answer_waits_) {
      self->answer_waits_ = false;
      self->out_.append_raw(self->upgrade_.response());
      self->on_open();
      self->read_messages();
    } else {
      self->held_ = false;
      self->out_.pass_hold();
    }
    self->kick();
  });
}

/// Sending has come to a hold. Where it is not passed, nothing behind it is ever sent.
void Connection::obey(const Hold& hold) {
  account(0, monotonic_clock_ns());
  held_ = true;
  held_since_ns_ = pinged_ns_ = monotonic_clock_ns();
  if (reading_waits_) {
    read_on();
  }
  switch (hold.kind) {
    case Hold::Kind::pause:
      pause(hold.pause_ms);
      return;
    case Hold::Kind::mute:
      return;
    case Hold::Kind::close: {
      const std::uint16_t code = hold.code;
      held_ = false;
      out_.pass_hold();
      out_.drop_waiting();
      if (state_ == State::open) {
        out_.append_close(code, "");
        close_code_ = code;
        state_ = State::closing_by_server;
        state_since_ns_ = monotonic_clock_ns();
        kick();
      }
      return;
    }
    case Hold::Kind::end:
      end_stream();
      return;
    case Hold::Kind::reset:
      reset();
      return;
  }
}

/// Ours only, so that all that was sent is read: a socket that is closed with something unread in it is reset.
void Connection::end_stream() {
  if (state_ != State::open) {
    return;
  }
  stream_ended_ = true;
  close_code_ = kCloseAbnormal;
  state_ = State::closing_by_server;
  state_since_ns_ = monotonic_clock_ns();
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Connection::reset() {
  boost::system::error_code ignored;
  socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  finish(kCloseAbnormal, "server");
}

void Connection::drop() {
  if (state_ == State::open) {
    subscriber_->end();
    out_.append_hold({Hold::Kind::end});
    kick();
  }
}

void Connection::on_session_end(bool close_too) {
  if (faults_) {
    faults_->flush();
  }
  if (close_too && state_ == State::open && !subscriber_->over()) {
    out_.append_close(kCloseNormal, "end of session");
    close_code_ = kCloseNormal;
    state_ = State::closing_by_server;
    state_since_ns_ = monotonic_clock_ns();
  }
  kick();
}

void Connection::answer_ping() {
  if (held_ && !writing_ && out_.hold()->pings) {
    out_.insert_control(Opcode::pong, messages_.payload());
  } else {
    out_.append_control(Opcode::pong, messages_.payload());
  }
}

/// Of an open connection: the venue's ping where nothing else was sent; and the end of one that a fault has muted and
/// that the client holds on to.
void Connection::ping_in_silence(std::int64_t now_ns) {
  const ServeOptions& options = context_.options;
  const Hold* const hold = held_ ? out_.hold() : nullptr;
  // In a silence on purpose our answers to the client's pings do not count: it would hear none of ours.
  const std::int64_t silent_ns = now_ns - (hold == nullptr ? last_sent_ns_ : pinged_ns_);
  if (hold != nullptr && hold->kind == Hold::Kind::mute &&
      now_ns - held_since_ns_ > options.stall_timeout_s * kNanosecondsPerSecond) {
    cut();
    return;
  }
  if (writing_ || options.ping_interval_s == 0 || silent_ns <= options.ping_interval_s * kNanosecondsPerSecond) {
    return;
  }
  if (hold == nullptr) {
    out_.append_text(kPing, true, 0);
  } else if (hold->pings) {
    out_.insert_text(kPing);
    pinged_ns_ = now_ns;
  }
  kick();
}

}  // namespace mdpipe::replay
