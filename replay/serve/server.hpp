#pragma once
/// \file
/// A session served as the venue would: WebSocket, subscribe and unsubscribe, frames as recorded.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/secret.hpp"
#include "replay/pace/pace_log.hpp"
#include "replay/pace/progress.hpp"
#include "replay/pace/schedule.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

struct ServeOptions {
  SessionOptions session;
  std::string listen = "127.0.0.1:8800";  ///< port 0: any that is free
  Pace pace;
  bool precise = false;                   ///< wait for the last half of a millisecond with the processor
  PlayPosition* position = nullptr;       ///< told how far the market is, where there is one
  std::uint64_t rounds = 1;               ///< how often the session is played; 0 = without end
  bool once = false;                      ///< after the end: close with 1000 and return
  bool per_client = false;                ///< each client gets a market clock of its own
  std::filesystem::path tls_certificate;  ///< PEM; with the key: wss instead of ws
  std::filesystem::path tls_key;
  std::filesystem::path token_file;              ///< clients must give this token; none: any is taken
  Secret token;                                  ///< the same where there is no file
  bool one_connection = false;                   ///< a second client with a token drops both
  std::filesystem::path faults;                  ///< see faults/plan.hpp; none: nothing goes wrong on purpose
  std::uint64_t seed = 1;                        ///< of the faults
  std::filesystem::path fault_log;               ///< see faults/log.hpp
  std::filesystem::path log;                     ///< see send_log.hpp
  std::int64_t ping_interval_s = 60;             ///< a {"type":"ping"} after so long without a frame; 0 = none
  std::size_t client_buffer_bytes = 16U << 20U;  ///< paced: a client that has more waiting is cut off
  std::int64_t stall_timeout_s = 60;             ///< a client that takes nothing for so long is cut off
  std::size_t max_symbols = 100'000;             ///< subscriptions of a client; beyond: the venue's error message
};

struct ServeReport {
  std::uint64_t connections = 0;
  std::uint64_t frames = 0;  ///< sent, over all connections
  std::uint64_t trades = 0;
  std::uint64_t bytes = 0;         ///< of frames, without their headers
  std::int64_t first_sent_ns = 0;  ///< monotonic: when the first frame had been sent
  std::int64_t last_sent_ns = 0;   ///< and the last
  std::uint64_t clients_cut = 0;   ///< too slow
  std::uint64_t faults = 0;        ///< on purpose, that reached the wire
  bool stopped = false;            ///< by a signal
  PaceLog pacing;  ///< of frames of the session, at each client: handed to the kernel after they were due
};

/// Serves until the session's end (`once`), SIGTERM or SIGINT (clients are closed with 1001). `on_listening` gets the
/// URL that is served. One thread sends (the caller's), one reads ahead.
[[nodiscard]] Result<ServeReport> serve(const ServeOptions& options,
                                        const std::function<void(const std::string& url)>& on_listening);

}  // namespace mdpipe::replay
