#pragma once
// mdreplay generate: a session that chance made.

#include <string>
#include <utility>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "replay/command/arguments.hpp"
#include "replay/generate/generator.hpp"

namespace mdpipe::replay {

struct GenerateCommand {
  GenerateOptions options;
  std::string format = "capture";
  std::string output = "-";
  std::string profile;

  void add_to(CLI::App& app) {
    CLI::App* const command = app.add_subcommand("generate", "make up a session; the same options give the same bytes");
    command->footer(
        "A profile is like a market: symbols by Zipf's law, bursts with heavy tails, prices that walk on ticks, late "
        "prints;\nstocks with odd lots and conditions, crypto without, storm with all of it and every oddity. Without "
        "a "
        "profile,\nunless --plain: prints out of order, size 0, frames delivered three times, a midnight, keys in any "
        "order, "
        "blanks,\n"
        "escapes in symbols, pings, errors and news between.\n\n"
        "Example: mdreplay generate --profile stocks --symbols 5000 --trades 1000000 -o stocks.jsonl.zst\n"
        "         mdreplay generate --symbols 12 --trades 100000 --seed 7 -o storm.jsonl.zst\n"
        "         mdreplay info storm.jsonl.zst");
    command->add_option("--symbols", options.symbols, "how many symbols; from 9 on three partitions have several each")
        ->check(up_to(kSymbolsMax))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--trades", options.trades, "how many trades")
        ->check(up_to(kTradesMax))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--seed", options.seed, "what chance begins with")
        ->check(up_to(kSeedMax))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--format", format, "the kind of lines: capture (with receive times), frame or trade")
        ->type_name("capture|frame|trade")
        ->capture_default_str();
    command->add_flag("--plain", options.plain, "without a profile: none of the oddities");
    command->add_option("--profile", profile, "what market it is like")->type_name("stocks|crypto|storm");
    command->add_option("-o,--output", output, "where to; .gz and .zst are packed; - is stdout")
        ->type_name("FILE")
        ->capture_default_str();
  }

  [[nodiscard]] Result<void> run() {
    const auto kind = parse_format(format);
    if (!kind) {
      return tl::unexpected(kind.error());
    }
    options.format = *kind;
    for (const auto& [name, value] : {std::pair("stocks", Profile::stocks), std::pair("crypto", Profile::crypto),
                                      std::pair("storm", Profile::storm)}) {
      options.profile = profile == name ? value : options.profile;
    }
    if (!profile.empty() && options.profile == Profile::none) {
      return fail(ErrorCode::usage, fmt::format("--profile {}: want stocks, crypto or storm", profile));
    }
    if (options.plain && options.profile != Profile::none) {
      return fail(ErrorCode::usage, "--plain and --profile exclude each other");
    }
    if (options.symbols == 0) {
      return fail(ErrorCode::usage, "--symbols 0: want at least one");
    }
    return write_session(options, output);
  }
};

}  // namespace mdpipe::replay
