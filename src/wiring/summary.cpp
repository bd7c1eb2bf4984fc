#include "summary.hpp"

#include <fmt/format.h>

#include "mdpipe/wiring/pipeline.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {

std::string against_trades(std::string_view what, std::uint64_t count, std::uint64_t trades, std::uint64_t earlier) {
  const std::uint64_t expected = trades + earlier;
  std::string text = fmt::format("  {:<12}{:>14}  ", what, grouped_text(count));
  if (count == expected) {
    text += "= trades";
  } else if (count < expected) {
    text += fmt::format("{} fewer than trades", grouped_text(expected - count));
  } else {
    text += fmt::format("{} more than trades", grouped_text(count - expected));
  }
  if (earlier != 0) {
    text += fmt::format(" + {} of earlier runs that were still to do", grouped_text(earlier));
  }
  return text + "\n";
}

bool RunSummary::adds_up() const noexcept {
  return frames.received == frames.trades + frames.pings + frames.errors + frames.other + frames.bad &&
         (!publishes || published + already_published + refused == trades + earlier_to_publish) &&
         (!stores || stored == trades + earlier_to_store);
}

std::string RunSummary::text() const {
  std::string text = fmt::format("frames        {:>14}  = {} with trades + {} pings + {} errors + {} other + {} bad\n",
                                 grouped_text(frames.received), grouped_text(frames.trades), grouped_text(frames.pings),
                                 grouped_text(frames.errors), grouped_text(frames.other), grouped_text(frames.bad));
  if (const std::uint64_t sum = frames.trades + frames.pings + frames.errors + frames.other + frames.bad;
      sum != frames.received) {
    text += fmt::format("  NOT EQUAL: the kinds add up to {}\n", grouped_text(sum));
  }
  if (frames.partly_bad != 0) {
    text += fmt::format("  of them {} had elements that were no trades\n", grouped_text(frames.partly_bad));
  }
  text += fmt::format("trades        {:>14}  on {} connection{}", grouped_text(trades), connections,
                      connections == 1 ? "" : "s");
  if (gaps != 0) {
    text += fmt::format(", {} gap{} in which the venue may have sent more", gaps, gaps == 1 ? "" : "s");
  }
  text += "\n";
  if (publishes) {
    text += against_trades("published", published + already_published + refused, trades, earlier_to_publish);
    if (already_published != 0) {
      text += fmt::format("    of them {} were in the topic already\n", grouped_text(already_published));
    }
    if (refused != 0) {
      text += fmt::format("    of them {} were refused by Kafka for good: dead-lettered\n", grouped_text(refused));
    }
  }
  if (stores) {
    text += against_trades("stored", stored, trades, earlier_to_store);
  }
  if (aggregates) {
    text += fmt::format("  {:<12}{:>14}\n", "metrics", grouped_text(metrics));
  }
  if (publishes) {
    text += fmt::format("  {:<12}{:>14}\n", "dead letters", grouped_text(dead_letters));
  }
  for (const std::string& one : left) {
    text += "still to do: " + one + "\n";
  }
  for (const std::string& one : lost) {
    text += "lost: " + one + "\n";
  }
  for (const std::string& one : outputs) {
    text += one + "\n";
  }
  return text;
}

}  // namespace mdpipe::wiring
