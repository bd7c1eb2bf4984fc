#pragma once
/// \file
/// One market clock, the session behind it and those who listen. No socket and no clock of its own: it is told the time
/// and says when it wants to be asked again.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replay/pace/schedule.hpp"
#include "replay/serve/subscriber.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class Market {
 public:
  /// How long after the last subscribe it begins where not every symbol of the session is subscribed.
  static constexpr std::int64_t kGraceNs = 500'000'000;
  /// Where the clock stands for slow clients: a client with more than this waiting to be sent holds the market up.
  static constexpr std::size_t kRoomBytes = 512U << 10U;

  enum class State : std::uint8_t {
    wait_until,      ///< ask again at `at_ns`
    wait_for_event,  ///< ask again when a batch, room at a client or a subscription has come
    ended,           ///< everything has been queued
    failed,          ///< the session is damaged: see failure()
  };
  struct Step {
    State state;
    std::int64_t at_ns = 0;
  };

  /// `source` must outlive it.
  Market(const Pace& pace, BatchSource& source) : pace_(pace), schedule_(pace), source_(source) {}

  [[nodiscard]] const SymbolTable& symbols() const noexcept { return symbols_; }
  [[nodiscard]] const SessionClock& clock() const noexcept { return clock_; }

  /// `subscriber` gets the frames from here on, until it leaves. Made with symbols() of this market.
  void join(Subscriber& subscriber);
  void leave(Subscriber& subscriber);
  /// A member has subscribed at this time.
  void on_subscribed(std::int64_t now_ns) noexcept { last_subscribe_ns_ = now_ns; }
  /// All symbols of the session, as soon as they are known.
  void set_session_symbols(const std::set<std::string>& symbols) { session_symbols_ = &symbols; }

  /// Queues at its members what is due.
  [[nodiscard]] Step advance(std::int64_t now_ns);

  [[nodiscard]] bool begun() const noexcept { return begun_; }
  /// Of all rounds so far, whoever listened.
  [[nodiscard]] std::uint64_t trades_played() const noexcept { return trades_played_; }
  /// The schedule time of what was played last; kNoTime before that.
  [[nodiscard]] std::int64_t market_ns() const noexcept { return clock_.played_ns; }
  [[nodiscard]] bool has_members() const noexcept { return !members_.empty(); }
  [[nodiscard]] const std::optional<Error>& failure() const noexcept { return failure_; }

 private:
  [[nodiscard]] bool anybody_listens() const noexcept;
  [[nodiscard]] bool all_subscribed() const;
  [[nodiscard]] bool room() const noexcept;
  /// The next frame, or null with why in `why`.
  const Batch::Entry* next_entry(Step& why);
  std::optional<Step> hold(std::int64_t now_ns);

  const Pace pace_;
  Schedule schedule_;
  BatchSource& source_;
  SymbolTable symbols_;
  std::vector<Subscriber*> members_;
  const std::set<std::string>* session_symbols_ = nullptr;
  std::unique_ptr<Batch> batch_;
  std::size_t next_in_batch_ = 0;
  std::uint64_t trades_played_ = 0;
  SessionClock clock_;
  std::int64_t last_subscribe_ns_ = 0;
  std::optional<Error> failure_;
  bool begun_ = false;
};

}  // namespace mdpipe::replay
