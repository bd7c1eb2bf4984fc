#pragma once
/// \file
/// How far a player is, for whoever waits for it: on a terminal a bar, elsewhere a line now and then. A thread of its
/// own writes them, so that a terminal that is slow makes nothing late.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "replay/pace/schedule.hpp"
#include "replay/pace/survey.hpp"

namespace mdpipe::replay {

/// Written by the player as it goes, read by anybody; each stands for itself.
struct PlayPosition {
  static constexpr std::int64_t kNotYet = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::uint64_t> trades{0};          ///< of the session, played so far
  std::atomic<std::int64_t> market_ns{kNotYet};  ///< schedule time of the last frame played; over loops it goes on
};

/// What is said at one moment.
struct ProgressFigures {
  std::uint64_t trades = 0;
  double trades_per_second = 0;
  std::optional<std::int64_t> market_ns;
  std::optional<double> share;   ///< played, 0 to 1
  std::optional<double> left_s;  ///< until the end
};

/// How much is played and how long the rest takes, where that can be said: at a recorded pace by the market's time, at
/// a rate by the trades, at max by the trades and the time they took (`playing_s`). `rounds` 0: there is no end.
void estimate(ProgressFigures& figures, const Pace& pace, const SessionSummary& session, std::uint64_t rounds,
              double playing_s) noexcept;

/// "12,345 trades, 1,600 trades/s, at 2013-10-07T13:31:02.123Z, 12 %, 0:05:31 left"
[[nodiscard]] std::string progress_line(const ProgressFigures& figures);
/// "[#######.............] 12 %, 1,600 trades/s, at 2013-10-07T13:31:02Z, 0:05:31 left", in less than so many columns.
[[nodiscard]] std::string progress_bar(const ProgressFigures& figures, std::size_t columns);

struct ProgressOptions {
  bool quiet = false;  ///< say() alone writes
  Pace pace;
  std::uint64_t rounds = 1;
  int descriptor = 2;
  std::int64_t bar_interval_ns = 250'000'000;
  std::int64_t line_interval_ns = 10'000'000'000;
};

/// Thread safety: any thread.
class Progress {
 public:
  /// Both must outlive it.
  Progress(const ProgressOptions& options, const PlayPosition& position, const SessionSurvey& survey);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  ///< finish()

  [[nodiscard]] Result<void> start();
  /// A line that is nothing of the bar's: "mdreplay: …".
  void say(std::string_view words);
  /// The bar is gone, nothing more comes by itself.
  void finish();
  [[nodiscard]] bool on_terminal() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::replay
