#include "live_line.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::wiring {

std::optional<std::string> LiveLine::next(Parts& parts, feed::SessionState state, std::int64_t now_ns) {
  said_ns_ = said_ns_ == 0 ? now_ns : said_ns_;
  const std::int64_t elapsed_ns = now_ns - said_ns_;
  if (elapsed_ns < kNanosecondsPerSecond) {
    return std::nullopt;
  }
  said_ns_ = now_ns;
  const double seconds = static_cast<double>(elapsed_ns) / static_cast<double>(kNanosecondsPerSecond);
  const std::uint64_t trades = parts.session->figures().trades.get();
  const std::uint64_t bytes = parts.writer->figures().bytes.get();
  constexpr double kSmoothing = 1.0 / 60;
  const double rate = static_cast<double>(bytes - said_bytes_) / seconds;
  const double before = parts.write_rate_bytes_s.get();
  parts.write_rate_bytes_s.set(before == 0 ? rate : before + (rate - before) * kSmoothing);
  // What no stage has read yet; what is read and not yet settled (synced, acknowledged) is up to a second's more.
  const Position written = parts.writer->figures().position.get();
  std::uint64_t lag = 0;
  for (const RunningStage& stage : parts.stages) {
    lag = std::max(lag, positions_between(stage.runner->figures().read_position.get(), written));
  }
  std::string line =
      fmt::format("{:>10.0f} trades/s  {:>12} trades", static_cast<double>(trades - said_trades_) / seconds, trades);
  if (parts.aggregate != nullptr) {
    line += fmt::format("  {} symbols", parts.aggregate->figures().symbols.get());
  }
  line += fmt::format("  lag {}", lag);
  if (parts.publish != nullptr) {
    line += fmt::format("  acknowledged {}", parts.publish->figures().trades_acknowledged.get());
  }
  if (state != feed::SessionState::subscribed) {
    line += fmt::format("  feed: {}", feed::to_string(state));
  }
  said_trades_ = trades;
  said_bytes_ = bytes;
  return line;
}

}  // namespace mdpipe::wiring
