#pragma once
/// \file
/// A session into a topic: each of its trades once, with the key, partition, bytes and flags that the live publisher
/// would give it, when it is due.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"
#include "replay/pace/pace_log.hpp"
#include "replay/pace/progress.hpp"
#include "replay/pace/schedule.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

struct PublishSessionOptions {
  SessionOptions session;
  Pace pace;
  bool precise = false;  ///< wait for the last half of a millisecond with the processor
  kafka::Config kafka;
  std::string topic = "raw-market-data";
  /// The source is made of the session's trades and `name`, positions are ordinals: a run goes on where an earlier one
  /// was killed, and sends nothing twice. Otherwise each run is a source of its own.
  bool resume = false;
  std::string name;
  bool recorded_time = false;  ///< messages have the recorded time, not that of sending
  /// Exchange times are moved by as much as puts the session's beginning at the moment at which it is played. The bytes
  /// then differ from the recording. Not with `resume`: another life would move them by something else.
  bool rebase_now = false;
  PlayPosition* position = nullptr;               ///< told how far it is, where there is one
  const std::atomic<bool>* stop = nullptr;        ///< once true: sends no more, waits for what is in flight, reports
  std::int64_t stop_patience_ns = 8'000'000'000;  ///< for so long
};

struct PublishSessionReport {
  std::uint64_t source = 0;
  std::uint64_t frames = 0;          ///< all of the session
  std::uint64_t frames_without = 0;  ///< of them without a trade: pings, errors, bad ones; not sent
  std::uint64_t trades = 0;          ///< all of the session
  std::uint64_t acknowledged = 0;    ///< by this run's producers
  std::uint64_t found = 0;           ///< in the topic already
  std::uint64_t refused = 0;         ///< by the broker for good
  std::uint64_t rebuilds = 0;        ///< producers given up after a failure
  std::int64_t first_sent_ns = 0;    ///< monotonic; 0: nothing was sent
  std::int64_t last_sent_ns = 0;
  std::int64_t done_ns = 0;        ///< all acknowledged
  bool stopped = false;            ///< before the session's end; `frames` and `trades` are those before that
  std::int64_t rebased_by_ms = 0;  ///< added to each exchange time
  std::uint64_t rebase_cut = 0;    ///< trades that went to the last time that there is instead
  PaceLog pacing;                  ///< handed to the producer after they were due

  /// Every trade is in the topic.
  [[nodiscard]] bool adds_up() const noexcept { return acknowledged + found == trades; }
};

/// For people; ends with a line end.
[[nodiscard]] std::string to_text(const PublishSessionReport& report, const PublishSessionOptions& options);
/// What a report file says of it besides the pacing: name, and value as JSON.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> details(const PublishSessionReport& report,
                                                                       const PublishSessionOptions& options);

/// `say`: what it waits for, as it changes, and what is worth a warning. ErrorCode::environment where no broker answers
/// or the topic is not there, ErrorCode::data where the session is damaged (what came before it is in the topic then).
/// One thread sends (the caller's), one reads ahead.
[[nodiscard]] Result<PublishSessionReport> publish_session(const PublishSessionOptions& options,
                                                           const std::function<void(const std::string&)>& say);

}  // namespace mdpipe::replay
