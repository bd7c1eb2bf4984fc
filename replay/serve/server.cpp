#include "replay/serve/server.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "mdpipe/base/clock.hpp"
#include "replay/pace/wait.hpp"
#include "replay/serve/connection.hpp"
#include "replay/serve/endpoint.hpp"
#include "replay/serve/market.hpp"
#include "replay/serve/play.hpp"
#include "replay/serve/symbol_scan.hpp"
#include "replay/serve/tls_context.hpp"
#include "replay/serve/warm_path.hpp"

namespace mdpipe::replay {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kTick = std::chrono::milliseconds(250);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

class Server final : public ConnectionOwner {
 public:
  explicit Server(const ServeOptions& options) : options_(options) {}

  Result<std::string> open();
  Result<ServeReport> run();

  void on_open(Connection& connection) override;
  void on_subscribed(Connection& connection) override;
  void on_room(Connection& connection) override;
  void on_gone(Connection& connection) override;

 private:
  Result<void> check_session();
  Result<void> open_acceptor();
  Result<std::shared_ptr<Play>> make_play();
  void accept();
  void on_accepted(const boost::system::error_code& error, tcp::socket socket);
  void pump(Play& play) { pump(play, monotonic_clock_ns()); }
  void pump(Play& play, std::int64_t at_ns);
  void wait_until(Play& play, std::int64_t due_ns);
  void tell_position(const Play& play);
  void on_end(Play& play);
  void tick();
  void flush_log();
  void fail_with(const Error& error);
  void stop(std::uint16_t code, std::string_view reason);
  void stop_if_done();
  void drop_second_of_a_key(Connection& connection);
  Result<void> open_faults();
  void on_symbols_known(std::set<std::string> symbols);

  const ServeOptions& options_;
  asio::io_context io_{1};
  std::unique_ptr<asio::ssl::context> tls_;
  tcp::acceptor acceptor_{io_};
  asio::steady_timer tick_timer_{io_};
  asio::steady_timer accept_timer_{io_};
  asio::signal_set signals_{io_};
  Secret token_;
  SendLog log_;
  std::optional<FaultPlan> faults_;
  FaultLog fault_log_;
  ServeReport report_;
  std::map<const Connection*, std::shared_ptr<Connection>> connections_;
  std::map<const Connection*, std::shared_ptr<Play>> play_of_;
  std::shared_ptr<Play> shared_play_;  // null where each client has its own
  std::set<std::string> session_symbols_;
  std::uint64_t accepted_ = 0;
  bool symbols_known_ = false;
  bool an_end_was_reached_ = false;
  bool stopping_ = false;
  std::optional<Error> failure_;
  std::optional<WarmPath> warm_path_;  // --precise
  std::unique_ptr<SymbolScan> scan_;   // last: its thread posts to io_
};

/// So that a session that is not there, or is none, is said now and not when the first client has come.
Result<void> Server::check_session() {
  SessionOptions unfiltered;
  unfiltered.paths = options_.session.paths;
  unfiltered.skipped = options_.session.skipped;
  SymbolTable symbols;
  auto session = open_sessions(unfiltered, symbols);
  if (!session) {
    return tl::unexpected(session.error());
  }
  SessionFrame frame;
  if (auto first = (*session)->next(frame); !first) {
    return tl::unexpected(first.error());
  }
  return {};
}

Result<void> Server::open_acceptor() {
  const auto endpoint = parse_endpoint(options_.listen);
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  boost::system::error_code error;
  acceptor_.open(endpoint->protocol(), error);
  if (!error) {
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_.bind(*endpoint, error);
  }
  if (!error) {
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    return fail(ErrorCode::environment,
                fmt::format("{}: {}; choose another place with --listen", options_.listen, error.message()));
  }
  return {};
}

Result<void> Server::open_faults() {
  if (options_.faults.empty()) {
    return options_.fault_log.empty() ? Result<void>()
                                      : fail(ErrorCode::usage, "--fault-log goes with --faults: no fault, no log");
  }
  auto plan = FaultPlan::read(options_.faults, options_.seed);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  faults_ = std::move(*plan);
  if (!options_.fault_log.empty()) {
    auto log = FaultLog::create(options_.fault_log);
    if (!log) {
      return tl::unexpected(log.error());
    }
    fault_log_ = std::move(*log);
  }
  return {};
}

Result<std::string> Server::open() {
  // Before anybody is told that we listen: who then says stop is heard.
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  if (!options_.token_file.empty()) {
    auto token = read_secret_file(options_.token_file);
    if (!token) {
      return tl::unexpected(token.error());
    }
    token_ = std::move(*token);
  } else {
    token_ = options_.token;
  }
  if (!token_.empty()) {
    remember_secret(token_);
  }
  if (auto opened = open_faults(); !opened) {
    return tl::unexpected(opened.error());
  }
  if (!options_.log.empty()) {
    auto log = SendLog::create(options_.log);
    if (!log) {
      return tl::unexpected(log.error());
    }
    log_ = std::move(*log);
  }
  if (auto checked = check_session(); !checked) {
    return tl::unexpected(checked.error());
  }
  if (auto opened = open_tls(options_, tls_); !opened) {
    return tl::unexpected(opened.error());
  }
  if (auto opened = open_acceptor(); !opened) {
    return tl::unexpected(opened.error());
  }
  if (!options_.per_client) {
    auto play = make_play();
    if (!play) {
      return tl::unexpected(play.error());
    }
    shared_play_ = std::move(*play);
  }
  auto scan = SymbolScan::start(options_.session, [this](std::set<std::string> found) {
    asio::post(io_, [this, found = std::move(found)]() mutable { on_symbols_known(std::move(found)); });
  });
  if (!scan) {
    return tl::unexpected(scan.error());
  }
  scan_ = std::move(*scan);
  boost::system::error_code error;
  const auto bound = acceptor_.local_endpoint(error);
  const std::string address =
      bound.address().is_v6() ? fmt::format("[{}]", bound.address().to_string()) : bound.address().to_string();
  return fmt::format("{}://{}:{}", tls_ ? "wss" : "ws", address, bound.port());
}

Result<std::shared_ptr<Play>> Server::make_play() {
  auto play = std::make_shared<Play>(io_, options_, [this](Play& woken) { pump(woken); });
  if (symbols_known_) {
    play->market.set_session_symbols(session_symbols_);
  }
  if (auto started = play->ahead.start(); !started) {
    return tl::unexpected(started.error());
  }
  return play;
}

Result<ServeReport> Server::run() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) {
      report_.stopped = true;
      stop(kCloseGoingAway, "the server is stopped");
    }
  });
  sleep_without_slack();
  if (options_.precise) {
    warm_path_ = WarmPath::make();
  }
  accept();
  tick();
  io_.run();
  flush_log();
  if (failure_) {
    return tl::unexpected(*failure_);
  }
  return report_;
}

void Server::accept() {
  acceptor_.async_accept(
      [this](const boost::system::error_code& error, tcp::socket socket) { on_accepted(error, std::move(socket)); });
}

void Server::on_accepted(const boost::system::error_code& error, tcp::socket socket) {
  if (stopping_ || error == asio::error::operation_aborted) {
    return;
  }
  if (error) {  // out of descriptors, most likely: those who are connected go on
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled) {
        accept();
      }
    });
    return;
  }
  const ConnectionContext context{options_, token_, log_, report_, *this, faults_ ? &*faults_ : nullptr, fault_log_};
  const auto connection = std::make_shared<Connection>(std::move(socket), tls_.get(), ++accepted_, context);
  connections_.emplace(connection.get(), connection);
  connection->start();
  accept();
}

void Server::on_open(Connection& connection) {
  std::shared_ptr<Play> play = shared_play_;
  if (play == nullptr) {
    auto made = make_play();
    if (!made) {
      fail_with(made.error());
      return;
    }
    play = std::move(*made);
  }
  play->connections.push_back(connection.shared_from_this());
  play_of_.emplace(&connection, play);
  play->market.join(connection.make_subscriber(play->market.symbols(), play->market.clock()));
  if (options_.one_connection) {
    drop_second_of_a_key(connection);
  }
}

/// As the venue does it: both go.
void Server::drop_second_of_a_key(Connection& connection) {
  const auto connections = connections_;
  for (const auto& [address, other] : connections) {
    if (address != &connection && other->is_open() && other->key() == connection.key()) {
      other->drop();
      connection.drop();
    }
  }
}

void Server::on_subscribed(Connection& connection) {
  if (const auto found = play_of_.find(&connection); found != play_of_.end()) {
    const std::shared_ptr<Play> play = found->second;
    play->market.on_subscribed(monotonic_clock_ns());
    pump(*play);
  }
}

void Server::on_room(Connection& connection) {
  if (const auto found = play_of_.find(&connection); found != play_of_.end()) {
    const std::shared_ptr<Play> play = found->second;
    pump(*play);
  }
}

void Server::on_gone(Connection& connection) {
  const auto keep = connection.shared_from_this();
  connections_.erase(&connection);
  if (const auto found = play_of_.find(&connection); found != play_of_.end()) {
    const std::shared_ptr<Play> play = found->second;
    play_of_.erase(found);
    play->market.leave(*connection.subscriber());
    std::erase(play->connections, keep);
    if (play != shared_play_) {
      play->over = true;  // its only client is gone
    } else if (play->connections.empty() && play->over && !options_.once && !stopping_) {
      auto made = make_play();  // the next client gets the session from its beginning
      if (!made) {
        fail_with(made.error());
        return;
      }
      shared_play_ = std::move(*made);
    } else {
      pump(*play);  // those who are left may have waited for it
    }
  }
  stop_if_done();
}

/// Sends what is due at that time, which may be a little ahead (--precise): everything but the sending is done before.
void Server::pump(Play& play, std::int64_t at_ns) {
  if (play.over || stopping_) {
    return;
  }
  const Market::Step step = play.market.advance(at_ns);
  if (warm_path_) {
    warm_path_->use_until(at_ns);
  }
  spin_until(at_ns);
  if (play.market.begun() && scan_ != nullptr) {
    scan_->stop();
  }
  const auto connections = play.connections;  // a client that is cut off leaves the list
  for (const auto& connection : connections) {
    connection->kick();
  }
  if (log_.wants_flush()) {
    flush_log();
  }
  tell_position(play);
  switch (step.state) {
    case Market::State::wait_for_event:
      return;
    case Market::State::wait_until:
      wait_until(play, step.at_ns);
      return;
    case Market::State::failed:
      fail_with(*play.market.failure());
      return;
    case Market::State::ended:
      on_end(play);
      return;
  }
}

/// Calls pump() when that time has come. --precise: the kernel wakes us a little before, and the processor waits for
/// the rest; between two such waits the loop turns once, so that clients are heard.
void Server::wait_until(Play& play, std::int64_t due_ns) {
  const std::int64_t wake_ns = options_.precise ? due_ns - kSpinNs : due_ns;
  if (options_.precise && monotonic_clock_ns() >= wake_ns) {
    if (!std::exchange(play.due_soon, true)) {
      asio::post(io_, [this, weak = play.weak_from_this(), due_ns] {
        if (const auto self = weak.lock()) {
          self->due_soon = false;
          pump(*self, due_ns);
        }
      });
    }
    return;
  }
  play.timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(wake_ns)));
  play.timer.async_wait([this, weak = play.weak_from_this()](const boost::system::error_code& error) {
    if (const auto self = weak.lock(); self != nullptr && !error) {
      pump(*self);
    }
  });
}

void Server::tell_position(const Play& play) {
  if (options_.position != nullptr &&
      (!options_.per_client ||
       play.market.trades_played() > options_.position->trades.load(std::memory_order_relaxed))) {
    options_.position->trades.store(play.market.trades_played(), std::memory_order_relaxed);
    options_.position->market_ns.store(play.market.market_ns(), std::memory_order_relaxed);
  }
}

void Server::on_end(Play& play) {
  play.over = true;
  an_end_was_reached_ = true;
  const auto connections = play.connections;
  for (const auto& connection : connections) {
    connection->on_session_end(options_.once);
  }
  if (options_.once) {
    stop_if_done();
  }
}

void Server::stop_if_done() {
  if (!stopping_ && options_.once && an_end_was_reached_ && play_of_.empty()) {
    stopping_ = true;
  }
  if (stopping_) {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    if (connections_.empty()) {
      io_.stop();
    }
  }
}

void Server::stop(std::uint16_t code, std::string_view reason) {
  stopping_ = true;
  const auto connections = connections_;
  for (const auto& [address, connection] : connections) {
    connection->close(code, reason);
  }
  stop_if_done();
}

void Server::fail_with(const Error& error) {
  failure_ = failure_.value_or(error);
  stop(kCloseInternal, "the session cannot be played on");
}

void Server::flush_log() {
  for (const auto& flushed : {log_.flush(), fault_log_.flush()}) {
    if (!flushed && !failure_) {
      fail_with(flushed.error());
    }
  }
}

void Server::tick() {
  flush_log();
  const auto connections = connections_;
  for (const auto& [address, connection] : connections) {
    connection->tick(monotonic_clock_ns());
  }
  tick_timer_.expires_after(kTick);
  tick_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      tick();
    }
  });
}

void Server::on_symbols_known(std::set<std::string> symbols) {
  session_symbols_ = std::move(symbols);
  symbols_known_ = true;
  std::set<std::shared_ptr<Play>> plays;
  for (const auto& [connection, play] : play_of_) {
    plays.insert(play);
  }
  if (shared_play_ != nullptr) {
    plays.insert(shared_play_);
  }
  for (const auto& play : plays) {
    play->market.set_session_symbols(session_symbols_);
    pump(*play);
  }
}

}  // namespace

Result<ServeReport> serve(const ServeOptions& options,
                          const std::function<void(const std::string& url)>& on_listening) {
  Server server(options);
  auto url = server.open();
  if (!url) {
    return tl::unexpected(url.error());
  }
  on_listening(*url);
  return server.run();
}

}  // namespace mdpipe::replay
