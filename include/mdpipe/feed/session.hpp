#pragma once
/// \file
/// The feed: connects to a venue, subscribes, writes what it hears into a sink, and does it again whenever the
/// connection ends. https://finnhub.io/docs/api/websocket-trades says what is spoken.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/counter.hpp"
#include "mdpipe/base/error.hpp"
#include "mdpipe/base/secret.hpp"
#include "mdpipe/event/frame_sink.hpp"

namespace mdpipe::feed {

struct SessionOptions {
  // What is heard
  std::string url;  ///< ws:// or wss://, without a token
  Secret token;     ///< sent as ?token=…; none where empty
  std::vector<std::string> symbols;
  std::string ca_file;  ///< empty: the system's certificates

  // What an earlier run of the same journal heard
  std::uint64_t connections_before = 0;   ///< connection numbers go on from here
  std::int64_t last_receive_time_ns = 0;  ///< of its last record; 0 = none: then the first connection follows no gap
  std::int64_t not_before_ns = 0;         ///< its SessionFigures::not_before_ns: the venue is left alone until then

  // When it ends
  bool once = false;       ///< return when the venue closes in good order (1000)
  bool fail_fast = false;  ///< return ErrorCode::refused where the venue refuses us (401, 403, 429)

  // Limits. Times of seconds and more by default; tests make them small.
  std::uint32_t symbols_max = 100'000;        ///< a symbol beyond is not added to the sink's table; see Decoder
  std::int64_t silence_ns = 150'000'000'000;  ///< not a byte for so long: dead. A third of it: we ping
  std::int64_t stale_ns =
      150'000'000'000;  ///< bytes, but no trades for so long: stale, subscribe again (then twice as long, …)
  std::int64_t handshake_timeout_ns = 10'000'000'000;  ///< name, TCP, TLS and HTTP together
  std::int64_t write_timeout_ns = 10'000'000'000;
  std::int64_t close_timeout_ns = 1'000'000'000;     ///< for the venue's answer to our close frame
  std::int64_t backoff_min_ns = 200'000'000;         ///< first wait before connecting again …
  std::int64_t backoff_max_ns = 30'000'000'000;      ///< … doubled up to this; each wait is drawn from [min, that]
  std::int64_t refused_backoff_ns = 60'000'000'000;  ///< least wait after 401, 403, 429
  std::int64_t full_retry_ns = 1'000'000;            ///< between two looks at a sink that has no room
  std::uint64_t seed = 0;                            ///< of the jitter; 0 = from the clock
};

enum class SessionState : std::uint8_t {
  starting,
  connecting,
  subscribed,
  stale,  ///< subscribed, but no trades for too long
  backing_off,
  auth_failed,  ///< the venue refused us (401, 403): trying again, slowly
  held_back,    ///< the sink has no room: the socket is not read
  ended,
};
[[nodiscard]] std::string_view to_string(SessionState state) noexcept;

/// Readable from any thread.
struct SessionFigures {
  std::atomic<SessionState> state{SessionState::starting};
  /// By FrameKind (1..7).
  std::array<SingleWriterCounter, 8> frames;
  SingleWriterCounter messages;  ///< all that were read, whole or not: counted apart from what became of them
  SingleWriterCounter trades;
  SingleWriterCounter fallbacks;  ///< frames that the quick scanner left to simdjson
  SingleWriterCounter out_of_order_trades;
  SingleWriterCounter price_updates;  ///< trades of size 0
  SingleWriterCounter inexact_trades;
  SingleWriterCounter early_trades;  ///< stamped later than received
  SingleWriterCounter bytes;         ///< of messages, without what wraps them
  SingleWriterCounter connections;   ///< that were subscribed
  SingleWriterCounter connect_failures;
  SingleWriterCounter refusals;  ///< 401, 403, 429
  SingleWriterCounter gaps;
  SingleWriterCounter stale_periods;
  SingleWriterCounter held_back;                  ///< times that the sink had no room
  SingleWriterGauge<std::int64_t> last_frame_ns;  ///< wall clock; 0 = none yet
  SingleWriterGauge<std::uint32_t> close_code;    ///< of the last connection that ended
  SingleWriterGauge<std::int64_t> not_before_ns;  ///< wall clock: told to wait (429, Retry-After) until then; 0 = never

  [[nodiscard]] std::uint64_t frames_of(FrameKind kind) const noexcept {
    return frames[static_cast<std::size_t>(kind)].get();
  }
};

enum class SessionEnd : std::uint8_t {
  closed,   ///< by the venue, in good order (with once)
  stopped,  ///< by request_stop()
};

/// Thread safety: run() on one thread, once; request_stop(), figures(), last_trouble() and last_complaint() from any.
///
/// From the socket to the sink nothing is allocated, locked or thrown after warm-up (OpenSSL's own apart): a frame is
/// read from the read-ahead buffer into the sink's claim, decoded there, committed.
class Session {
 public:
  /// What make() would refuse, before there is a sink: also a token that would cross a network in the clear.
  [[nodiscard]] static Result<void> check(const SessionOptions& options);

  /// ErrorCode::usage where the URL is none, or holds a token; ErrorCode::environment where the kernel has no
  /// descriptors.
  [[nodiscard]] static Result<std::unique_ptr<Session>> make(SessionOptions options, FrameSink& sink);
  ~Session();

  /// Errors: ErrorCode::refused with fail_fast.
  [[nodiscard]] Result<SessionEnd> run();

  /// Also from a signal handler.
  void request_stop() noexcept;

  [[nodiscard]] const SessionFigures& figures() const noexcept;

  /// Why it is not subscribed, in words, redacted; empty while all is well.
  [[nodiscard]] std::string last_trouble() const;

  /// The last error message of the venue ({"type":"error",…}), its beginning, redacted; empty where none came.
  [[nodiscard]] std::string last_complaint() const;

  /// Address without its query, for logs.
  [[nodiscard]] std::string shown_url() const;

 private:
  class Body;
  explicit Session(std::unique_ptr<Body> body) noexcept;
  std::unique_ptr<Body> body_;
};

}  // namespace mdpipe::feed
