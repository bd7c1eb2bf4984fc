#pragma once
/// \file
/// One client's connection: TLS if asked for, handshake, messages in, frames out.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include "replay/serve/faults/line.hpp"
#include "replay/serve/faults/log.hpp"
#include "replay/serve/out_queue.hpp"
#include "replay/serve/send_log.hpp"
#include "replay/serve/server.hpp"
#include "replay/serve/subscriber.hpp"
#include "replay/serve/upgrade.hpp"
#include "replay/serve/websocket.hpp"

namespace mdpipe::replay {

class Connection;

/// What connections share, and whom they tell. All on the server's thread.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// The handshake is done: must call make_subscriber(), or stop the server.
  virtual void on_open(Connection& connection) = 0;
  virtual void on_subscribed(Connection& connection) = 0;
  virtual void on_room(Connection& connection) = 0;
  /// The last that is heard of it.
  virtual void on_gone(Connection& connection) = 0;
};

struct ConnectionContext {
  const ServeOptions& options;
  const Secret& token;
  SendLog& log;
  ServeReport& report;
  ConnectionOwner& owner;
  const FaultPlan* faults;  ///< null: nothing goes wrong on purpose
  FaultLog& fault_log;
};

/// Thread safety: none. Lives as long as an operation of it is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// `tls` null: plain.
  Connection(Socket socket, boost::asio::ssl::context* tls, std::uint64_t number, const ConnectionContext& context);

  void start();
  /// Sends what is queued, unless a send is under way; cuts off a client that is too slow for a paced market.
  void kick();
  /// Close frame behind what is queued; the connection goes once the client has answered, or after 5 s.
  void close(std::uint16_t code, std::string_view reason);
  /// Nothing more of the session comes; `close_too`: and we close, unless a fault is about to end it otherwise.
  void on_session_end(bool close_too);
  /// Ends it without a close frame, behind what is queued.
  void drop();
  /// Once or more a second: deadlines, and the ping in silence.
  void tick(std::int64_t now_ns);

  Subscriber& make_subscriber(const SymbolTable& symbols, const SessionClock& clock);
  [[nodiscard]] Subscriber* subscriber() noexcept { return subscriber_ ? &*subscriber_ : nullptr; }
  /// Handshake done and not yet closing.
  [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
  /// Of the token that the client gave.
  [[nodiscard]] const std::string& key() const noexcept { return upgrade_.key(); }

 private:
  enum class State : std::uint8_t {
    handshaking,
    refused,  ///< the answer is on its way; then it ends
    open,
    closing_by_server,  ///< our close frame is queued; the client's is waited for
    closing_by_client,  ///< our answer to its close frame is on its way; then it ends
    gone,
  };

  template <class Use>
  void with_stream(Use&& use);
  void read();
  void read_on();
  void on_read(const boost::system::error_code& error, std::size_t count);
  void on_handshake_bytes(std::string_view bytes);
  void answer_handshake();
  void on_open();
  void read_messages();
  void on_message(const std::string& text);
  void on_client_close(std::uint16_t code);
  void say_error(std::string_view text);
  [[nodiscard]] bool send_now(std::string_view bytes);
  void account(std::size_t count, std::int64_t now_ns);
  void obey(const Hold& hold);
  void pause(std::uint32_t pause_ms);
  void end_stream();
  void reset();
  void answer_ping();
  void ping_in_silence(std::int64_t now_ns);
  void on_written(const boost::system::error_code& error, std::size_t count);
  void end_in_good_order();
  void cut();
  [[nodiscard]] bool stalled(std::int64_t now_ns) const noexcept;
  void finish(std::uint16_t code, std::string_view by);

  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;
  const std::uint64_t number_;
  ConnectionContext context_;
  Upgrade upgrade_;
  ClientMessages messages_;
  OutQueue out_;
  std::optional<FaultLine> faults_;
  std::optional<Subscriber> subscriber_;
  std::optional<boost::asio::steady_timer> fault_timer_;
  std::array<char, 16U << 10U> read_buffer_{};
  State state_ = State::handshaking;
  std::uint16_t close_code_ = kCloseAbnormal;
  bool writing_ = false;
  bool reading_waits_ = false;  // for the client to take what waits to be sent
  bool ending_ = false;
  bool held_ = false;          // sending stands at a hold
  bool stream_ended_ = false;  // we have ended our side of it without a close frame
  bool answer_waits_ = false;  // the handshake's, on purpose
  std::int64_t held_since_ns_ = 0;
  std::int64_t pinged_ns_ = 0;  // while it is held
  std::uint64_t messages_sent_ = 0;
  std::int64_t state_since_ns_;
  std::int64_t last_sent_ns_;
  PaceStream pace_;
};

}  // namespace mdpipe::replay
