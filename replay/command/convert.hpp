#pragma once
// mdreplay convert: sessions of any kind as one file of one kind.

#include <cstdio>
#include <string>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "replay/command/arguments.hpp"
#include "replay/convert/converter.hpp"

namespace mdpipe::replay {

struct ConvertCommand {
  SessionArguments session;
  std::string format = "capture";
  std::string output = "-";

  void add_to(CLI::App& app) {
    CLI::App* const command = app.add_subcommand("convert", "write sessions or journals as one file of one format");
    command->footer(
        "Several sessions become one, merged by time; --from, --to and --symbols cut a slice out.\n\n"
        "Example: mdreplay convert data/journal -o monday.jsonl.zst\n"
        "         mdreplay convert monday.jsonl.zst --symbols SPY --format trade -o spy.jsonl");
    session.add_to(*command);
    command
        ->add_option("--format", format,
                     "the kind of lines: capture (with receive times), frame (the venue's messages) or trade")
        ->type_name("capture|frame|trade")
        ->capture_default_str();
    command->add_option("-o,--output", output, "where to; .gz and .zst are packed; - is stdout")
        ->type_name("FILE")
        ->capture_default_str();
  }

  [[nodiscard]] Result<void> run() {
    const auto options = session.options();
    if (!options) {
      return tl::unexpected(options.error());
    }
    const auto kind = parse_format(format);
    if (!kind) {
      return tl::unexpected(kind.error());
    }
    const auto report = convert_session(*options, *kind, output);
    if (!report) {
      return tl::unexpected(report.error());
    }
    std::fputs(fmt::format("{}\n", to_text(*report)).c_str(), stderr);
    return {};
  }
};

}  // namespace mdpipe::replay
