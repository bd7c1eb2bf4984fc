#include "replay/pace/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/file.hpp"
#include "mdpipe/base/thread.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kColumnsUsual = 80;
constexpr std::string_view kClearLine = "\r\x1b[K";
constexpr double kRateOverSeconds = 3;

double seconds(std::int64_t nanoseconds) noexcept {
  return static_cast<double>(nanoseconds) / double{kNanosecondsPerSecond};
}

/// "0:05:31"
std::string clock_text(double left_s) {
  constexpr double kMostSeconds = 1e9;
  const auto whole = static_cast<std::uint64_t>(std::llround(std::clamp(left_s, 0.0, kMostSeconds)));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string rate_text(const ProgressFigures& figures) {
  return wiring::grouped_text(static_cast<std::uint64_t>(std::llround(figures.trades_per_second))) + " trades/s";
}

std::size_t columns_of(int descriptor) noexcept {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : kColumnsUsual;
}

}  // namespace

void estimate(ProgressFigures& figures, const Pace& pace, const SessionSummary& session, std::uint64_t rounds,
              double playing_s) noexcept {
  if (rounds == 0) {
    return;
  }
  const double trades = static_cast<double>(session.trades) * static_cast<double>(rounds);
  const double played = static_cast<double>(figures.trades);
  if (pace.kind == Pace::Kind::recorded) {
    if (!figures.market_ns || !session.first_ns) {
      return;
    }
    const double span_s = seconds(*session.last_ns - *session.first_ns) * static_cast<double>(rounds);
    const double gone_s = seconds(*figures.market_ns - *session.first_ns);
    figures.share = span_s > 0 ? std::clamp(gone_s / span_s, 0.0, 1.0) : 1.0;
    figures.left_s = std::max(span_s - gone_s, 0.0) / pace.speed;
    return;
  }
  figures.share = trades > 0 ? std::clamp(played / trades, 0.0, 1.0) : 1.0;
  if (pace.kind == Pace::Kind::rate) {
    figures.left_s = std::max(trades - played, 0.0) / pace.trades_per_second;
  } else if (played > 0) {
    figures.left_s = playing_s * std::max(trades - played, 0.0) / played;
  }
}

std::string progress_line(const ProgressFigures& figures) {
  std::string line = fmt::format("{} trades, {}", wiring::grouped_text(figures.trades), rate_text(figures));
  if (figures.market_ns) {
    line += ", at " + iso_time_ms(floor_to_ms(*figures.market_ns));
  }
  if (figures.share) {
    line += fmt::format(", {:.0f} %", *figures.share * 100);
  }
  if (figures.left_s) {
    line += ", " + clock_text(*figures.left_s) + " left";
  }
  return line;
}

std::string progress_bar(const ProgressFigures& figures, std::size_t columns) {
  // Without what the bar shows and what nobody reads while it runs: it is to fit into 80 columns.
  std::string text = figures.share ? fmt::format("{:.0f} %, ", *figures.share * 100)
                                   : fmt::format("{} trades, ", wiring::grouped_text(figures.trades));
  text += rate_text(figures);
  if (figures.market_ns) {
    constexpr std::size_t kToTheSecond = 5;  // ".000Z"
    std::string time = iso_time_ms(floor_to_ms(*figures.market_ns));
    text += ", at " + time.substr(0, time.size() - kToTheSecond) + "Z";
  }
  if (figures.left_s) {
    text += ", " + clock_text(*figures.left_s) + " left";
  }
  constexpr std::size_t kBarLeast = 6;
  constexpr std::size_t kBarMost = 30;
  if (figures.share && columns > text.size() + kBarLeast + 3) {
    const std::size_t length = std::min(columns - text.size() - 4, kBarMost);
    const auto full = static_cast<std::size_t>(*figures.share * static_cast<double>(length));
    text = "[" + std::string(full, '#') + std::string(length - full, '.') + "] " + text;
  }
  // A line that is wrapped would not be cleared whole.
  return text.substr(0, columns > 0 ? columns - 1 : 0);
}

struct Progress::State {
  State(const ProgressOptions& asked, const PlayPosition& where, const SessionSurvey& how_much)
      : options(asked), position(where), survey(how_much), terminal(::isatty(asked.descriptor) == 1) {}

  const ProgressOptions options;
  const PlayPosition& position;
  const SessionSurvey& survey;
  const bool terminal;

  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;
  bool bar_shown = false;
  std::string bar;
  // Of the rate: the figures some seconds ago.
  std::int64_t began_ns = 0;
  struct Before {
    std::int64_t at_ns = 0;
    std::uint64_t trades = 0;
  };
  std::array<Before, 2> before;  // the older first; the rate is over what came since it
  double rate = 0;
  std::uint64_t trades_said = 0;

  Worker worker;

  void write(std::string_view text) const {
    (void)write_all(options.descriptor, text, "stderr");  // whoever closed it does not want to know
  }

  ProgressFigures figures() {
    const std::int64_t now_ns = monotonic_clock_ns();
    ProgressFigures now;
    now.trades = position.trades.load(std::memory_order_relaxed);
    const std::int64_t market_ns = position.market_ns.load(std::memory_order_relaxed);
    if (market_ns != PlayPosition::kNotYet) {
      now.market_ns = market_ns;
    }
    if (began_ns == 0 && now.trades != 0) {
      began_ns = now_ns;
      before.fill({now_ns, now.trades});
    }
    const double since_s = seconds(now_ns - before[0].at_ns);
    if (now.trades < before[0].trades) {  // it plays the session anew
      before.fill({now_ns, now.trades});
    } else if (began_ns != 0 && since_s > 0) {
      rate = static_cast<double>(now.trades - before[0].trades) / since_s;
      if (seconds(now_ns - before[1].at_ns) >= kRateOverSeconds) {
        before = {before[1], {now_ns, now.trades}};
      }
    }
    now.trades_per_second = rate;
    if (const SessionSummary* const session = survey.known(); session != nullptr) {
      estimate(now, options.pace, *session, options.rounds, began_ns == 0 ? 0 : seconds(now_ns - began_ns));
    }
    return now;
  }

  void run() {
    std::unique_lock lock(mutex);
    const auto interval = std::chrono::nanoseconds(terminal ? options.bar_interval_ns : options.line_interval_ns);
    while (!wake.wait_for(lock, interval, [this] { return over; })) {
      if (terminal) {
        bar = progress_bar(figures(), columns_of(options.descriptor));
        write(std::string(kClearLine) + bar);
        bar_shown = true;
      } else if (const ProgressFigures now = figures(); std::exchange(trades_said, now.trades) != now.trades) {
        write("mdreplay: " + progress_line(now) + "\n");
      }
    }
  }
};

Progress::Progress(const ProgressOptions& options, const PlayPosition& position, const SessionSurvey& survey)
    : state_(std::make_unique<State>(options, position, survey)) {}

Progress::~Progress() {
  finish();
}

Result<void> Progress::start() {
  if (state_->options.quiet) {
    return {};
  }
  auto worker = Worker::start("progress", -1, [state = state_.get()] { state->run(); });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  state_->worker = std::move(*worker);
  return {};
}

void Progress::say(std::string_view words) {
  const std::scoped_lock lock(state_->mutex);
  std::string text = state_->bar_shown ? std::string(kClearLine) : std::string();
  text.append("mdreplay: ").append(words).append("\n");
  if (state_->bar_shown) {
    text += state_->bar;
  }
  state_->write(text);
}

void Progress::finish() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->over = true;
  }
  state_->wake.notify_all();
  (void)state_->worker.join();
  const std::scoped_lock lock(state_->mutex);
  if (std::exchange(state_->bar_shown, false)) {
    state_->write(kClearLine);
  }
}

bool Progress::on_terminal() const noexcept {
  return state_->terminal;
}

}  // namespace mdpipe::replay
