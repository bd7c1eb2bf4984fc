#pragma once
// mdreplay info: what is in a session.

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "replay/command/arguments.hpp"
#include "replay/session/summary.hpp"

namespace mdpipe::replay {

struct InfoCommand {
  SessionArguments session;
  bool json = false;
  bool list_symbols = false;
  bool digests = false;

  void add_to(CLI::App& app) {
    CLI::App* const command =
        app.add_subcommand("info", "counts, span, rates, bursts, gaps, symbols and digests of a session");
    command->footer("Example: mdreplay info us-stocks.jsonl.gz --symbols SPY --json");
    session.add_to(*command);
    command->add_flag("--json", json, "one JSON object instead of text");
    command->add_flag("--digests", digests, "all symbols, each with the digest of its trades; --json has them anyway");
    command->add_flag("--list-symbols", list_symbols, "the symbols alone, one a line (mdpipe run --symbols @FILE)");
  }

  [[nodiscard]] Result<void> run() const {
    const auto options = session.options();
    if (!options) {
      return tl::unexpected(options.error());
    }
    const auto summary = summarize(*options, (json || digests) && !list_symbols);
    if (!summary) {
      return tl::unexpected(summary.error());
    }
    if (list_symbols) {
      for (const auto& [symbol, count] : summary->trades_by_symbol) {
        std::fputs((symbol + "\n").c_str(), stdout);
      }
      return {};
    }
    std::fputs((json ? to_json(*summary) : to_text(*summary)).c_str(), stdout);
    return {};
  }
};

}  // namespace mdpipe::replay
