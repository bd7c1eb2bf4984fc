#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "mdpipe/wiring/text.hpp"
#include "replay/verify/verify.hpp"

namespace mdpipe::replay {
namespace {

using wiring::grouped_text;

constexpr std::size_t kTextShown = 400;

std::string shown(const std::optional<std::string>& text) {
  if (!text) {
    return "nothing";
  }
  return text->size() <= kTextShown ? *text : text->substr(0, kTextShown) + "…";
}

/// In how many trades which targets take part: only those that lack a trade need be looked at.
std::string ledger_of_places(const VerifyReport& report) {
  std::map<std::uint64_t, unsigned> lacking;  // by ordinal, a bit a target
  unsigned bit = 1;
  for (const TargetReport& target : report.targets) {
    if (target.trades) {
      for (const std::uint64_t ordinal : target.comparison.absent) {
        lacking[ordinal] |= bit;
      }
      bit <<= 1U;
    }
  }
  std::map<unsigned, std::uint64_t> trades_by_lack;
  trades_by_lack[0] = report.trades - lacking.size();
  for (const auto& [ordinal, bits] : lacking) {
    ++trades_by_lack[bits];
  }
  std::string text = "\nwhere each trade of the session is\n";
  for (const auto& [bits, count] : trades_by_lack) {
    std::string there;
    std::string not_there;
    bit = 1;
    for (const TargetReport& target : report.targets) {
      if (!target.trades) {
        continue;
      }
      std::string& list = (bits & bit) != 0 ? not_there : there;
      list += (list.empty() ? "" : ", ") + target.role;
      bit <<= 1U;
    }
    if (count != 0 || bits == 0) {
      text += fmt::format("{:>14}  {}{}{}\n", grouped_text(count), there.empty() ? "nowhere" : there,
                          not_there.empty() ? "" : "; not ", not_there);
    }
  }
  return text;
}

std::string difference_words(const TargetReport& target) {
  const Difference& first = *target.comparison.first;
  const char* const what = target.trades ? "trade" : "metric";
  return fmt::format("{}: {} differs first at its {} {} ({})", target.role, first.key, what, first.place,
                     first.ordinal != 0 ? fmt::format("{} {} of the session", what, first.ordinal)
                                        : fmt::format("the session has only {}", first.place - 1));
}

}  // namespace

std::string to_text(const VerifyReport& report) {
  std::string text = fmt::format("{:<10} {:>14} {:>10} {:>10} {:>10} {:>13}\n", "", "trades", "missing", "extra",
                                 "differing", "out of order");
  if (report.trades != 0) {
    text += fmt::format("{:<10} {:>14}\n", "session", grouped_text(report.trades));
  }
  std::size_t lists = 0;
  for (const TargetReport& target : report.targets) {
    const Comparison& one = target.comparison;
    text += fmt::format("{:<10} {:>14} {:>10} {:>10} {:>10} {:>13}   {}\n", target.role, grouped_text(one.found),
                        grouped_text(one.missing), grouped_text(one.extra), grouped_text(one.differing),
                        grouped_text(one.out_of_order), target.where);
    lists += target.trades ? 1 : 0;
  }
  if (lists > 1) {
    text += ledger_of_places(report);
  }
  for (const TargetReport& target : report.targets) {
    const Comparison& one = target.comparison;
    text += '\n';
    if (!target.trades) {
      text += fmt::format("{}: {} wanted\n", target.role, grouped_text(one.wanted));
    }
    for (const Finding& finding : one.findings) {
      text += fmt::format("{}: {}{} {}\n", target.role, finding.is_fault ? "WRONG: " : "", grouped_text(finding.count),
                          finding.what);
    }
    if (one.first) {
      text += fmt::format("{}\n  session  {}\n  there    {}\n", difference_words(target), shown(one.first->wanted),
                          shown(one.first->found));
      text += fmt::format("  {} of its symbols differ{}\n", grouped_text(one.keys_differing),
                          one.cut ? "; the largest were not looked through to their end" : "");
    } else if (target.is_right()) {
      text += fmt::format("{}: all in its place\n", target.role);
    }
  }
  return text;
}

std::string first_fault(const VerifyReport& report) {
  for (const TargetReport& target : report.targets) {
    if (target.is_right()) {
      continue;
    }
    if (target.comparison.first) {
      return difference_words(target);
    }
    for (const Finding& finding : target.comparison.findings) {
      if (finding.is_fault) {
        return fmt::format("{}: {} {}", target.role, finding.count, finding.what);
      }
    }
    return fmt::format("{}: nothing was compared, the session has no {}", target.role,
                       target.trades ? "trades" : "metrics");
  }
  return {};
}

}  // namespace mdpipe::replay
