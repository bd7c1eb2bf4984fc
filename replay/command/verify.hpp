#pragma once
// mdreplay verify: is what a session has everywhere where it should be?

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "mdpipe/wiring/command_line.hpp"
#include "replay/command/arguments.hpp"
#include "replay/verify/verify.hpp"

namespace mdpipe::replay {

struct VerifyCommand {
  SessionArguments session;
  VerifyOptions options;
  std::string topic;
  std::string metrics;
  std::string kafka;
  std::vector<std::string> kafka_properties;
  std::string kafka_config;

  void add_to(CLI::App& app) {
    CLI::App* const command =
        app.add_subcommand("verify", "compare a session with what took it in: exit 1 and the first difference");
    command->footer(
        "Every trade must be there once, byte for byte (a line break within a trade is a blank, as the store has it), "
        "each\nsymbol's in the order of the session. Of a topic it counts what a reader gets that drops duplicates by "
        "the header;\nmetrics are formed anew from the session. Several targets at once: also a ledger of where each "
        "trade is.\n\n"
        "Example: mdreplay verify us-stocks.jsonl.gz --journal data/journal --store data/trades\n"
        "         mdreplay verify us-stocks.jsonl.gz --kafka 127.0.0.1:9092 --metrics aggregated-metrics");
    session.add_to(*command);
    wiring::add_kafka_options(*command, kafka, kafka_properties, kafka_config);
    command
        ->add_option("--topic", topic,
                     "the topic of trades; raw-market-data where --kafka is given; none: metrics alone")
        ->type_name("TOPIC");
    command->add_option("--journal", options.journal, "a journal's folder")->type_name("DIR");
    command->add_option("--store", options.store, "the store's folder, or one file of trade lines")->type_name("DIR");
    command->add_option("--metrics", metrics, "a file of metrics, one a line; else a topic of --kafka")
        ->type_name("FILE|TOPIC");
    command->add_option("--sent", options.sent, "what mdreplay serve --log FILE says that it sent")->type_name("FILE");
    command->add_option("--window", options.window, "trades that a metric looks back on")
        ->check(up_to(10'000))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--every", options.every, "trades of a symbol between two metrics")
        ->check(up_to(1'000'000'000))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--precision", options.precision, "decimals of a metric's ratios; else the nearest double")
        ->check(up_to(18))
        ->type_name("N");
  }

  [[nodiscard]] Result<void> run() {
    auto session_options = session.options();
    if (!session_options) {
      return tl::unexpected(session_options.error());
    }
    options.session = std::move(*session_options);
    if (options.window == 0 || options.every == 0) {
      return fail(ErrorCode::usage, "--window and --every: want at least 1");
    }
    if (auto chosen = choose_targets(); !chosen) {
      return chosen;
    }
    const auto report = verify_session(options);
    if (!report) {
      return tl::unexpected(report.error());
    }
    std::fputs(to_text(*report).c_str(), stdout);
    return report->is_right() ? Result<void>() : fail(ErrorCode::difference, first_fault(*report));
  }

 private:
  Result<void> choose_targets() {
    std::error_code ignored;
    const bool in_a_file = !metrics.empty() && std::filesystem::is_regular_file(metrics, ignored);
    (in_a_file ? options.metrics_file : options.metrics_topic) = metrics;
    const bool files = !options.journal.empty() || !options.store.empty() || !options.sent.empty() || in_a_file;
    // The environment may name a broker for other commands: beside files it is asked only where a topic is named too.
    const char* const usual = std::getenv("KAFKA_BOOTSTRAP_SERVERS");
    const bool broker = !kafka.empty() && (!files || usual == nullptr || kafka != usual);
    if (!broker && topic.empty() && options.metrics_topic.empty()) {
      return files ? Result<void>()
                   : fail(ErrorCode::usage,
                          "name what to compare with: --kafka, --journal, --store, --metrics or --sent (see --help)");
    }
    auto config = kafka::make_config(kafka.empty() ? "localhost:9092" : kafka, kafka_properties, kafka_config);
    if (!config) {
      return tl::unexpected(config.error());
    }
    options.kafka = std::move(*config);
    options.topic = topic.empty() ? "raw-market-data" : topic == "none" ? "" : topic;
    return {};
  }
};

}  // namespace mdpipe::replay
