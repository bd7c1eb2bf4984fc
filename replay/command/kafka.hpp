#pragma once
// mdreplay kafka: a session into a topic.

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "mdpipe/wiring/command_line.hpp"
#include "replay/command/arguments.hpp"
#include "replay/command/playing.hpp"
#include "replay/kafka/publisher.hpp"

namespace mdpipe::replay {

/// Becomes true with the first SIGINT or SIGTERM; the second has its usual effect.
inline std::atomic<bool>& stop_on_signals() {
  static std::atomic<bool> stop{false};
  static_assert(std::atomic<bool>::is_always_lock_free);
  struct sigaction action {};
  action.sa_handler = [](int) { stop.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) {
    ::sigaction(signal, &action, nullptr);
  }
  return stop;
}

struct KafkaCommand {
  SessionArguments session;
  PaceArguments pace;
  PlayingArguments playing;
  PublishSessionOptions options;
  std::string kafka;
  std::vector<std::string> kafka_properties;
  std::string kafka_config;
  std::string rebase;

  void add_to(CLI::App& app) {
    CLI::App* const command = app.add_subcommand("kafka", "play a session into a Kafka topic");
    command->footer(
        "Each trade is a message: key, partition, bytes and header as the live publisher gives them. Frames without a\n"
        "trade are counted, not sent. Without --resume each run is a source of its own, so that a session may be "
        "played\n"
        "again and again; with it the topic holds the session once, however often the run was killed.\n"
        "SIGINT or SIGTERM: sends no more, waits up to 8 s for what is in flight, reports, and exits with 1, as the "
        "topic\n"
        "does not hold the whole session. Again: ends at once.\n\n"
        "Example: mdreplay kafka us-stocks.jsonl.gz --kafka 127.0.0.1:9092 --speed max --resume --as monday\n"
        "         mdreplay kafka us-stocks.jsonl.gz --kafka 127.0.0.1:9092 --speed 20 --rebase now --report "
        "pacing.html");
    session.add_to(*command);
    wiring::add_kafka_options(*command, kafka, kafka_properties, kafka_config);
    command->add_option("--topic", options.topic, "where to")->type_name("TOPIC")->capture_default_str();
    pace.add_to(*command);
    playing.add_to(*command);
    command->add_flag("--resume", options.resume,
                      "make the topic hold this session exactly once: go on where an earlier run was killed");
    command->add_option("--as", options.name, "with --resume: another name is another copy of the session")
        ->type_name("NAME");
    command->add_flag("--recorded-time", options.recorded_time, "messages have the recorded time, not that of sending");
    command
        ->add_option("--rebase", rebase,
                     "now: move all exchange times so that the session begins when it is played; the bytes then differ "
                     "from the recording, and the report says by how much the times do")
        ->type_name("now");
  }

  [[nodiscard]] Result<void> run() {
    if (!options.name.empty() && !options.resume) {
      return fail(ErrorCode::usage, "--as NAME goes with --resume");
    }
    if (!rebase.empty() && rebase != "now") {
      return fail(ErrorCode::usage, fmt::format("--rebase {}: want now", rebase));
    }
    options.rebase_now = !rebase.empty();
    if (options.rebase_now && options.resume) {
      return fail(ErrorCode::usage,
                  "--rebase and --resume exclude each other: a run that goes on begins at another now");
    }
    if (options.rebase_now && options.recorded_time) {
      return fail(ErrorCode::usage, "--rebase and --recorded-time exclude each other");
    }
    auto session_options = session.options();
    if (!session_options) {
      return tl::unexpected(session_options.error());
    }
    options.session = std::move(*session_options);
    const auto chosen = pace.pace();
    if (!chosen) {
      return tl::unexpected(chosen.error());
    }
    options.pace = *chosen;
    auto config = kafka::make_config(kafka.empty() ? "localhost:9092" : kafka, kafka_properties, kafka_config);
    if (!config) {
      return tl::unexpected(config.error());
    }
    options.kafka = std::move(*config);
    options.precise = playing.precise;
    Playing play(playing, options.session, options.pace, 1);
    options.position = &play.position();
    options.stop = &stop_on_signals();
    if (auto begun = play.begin(); !begun) {
      return begun;
    }
    const auto report = publish_session(options, [&play](const std::string& words) { play.say(words); });
    play.finish();
    if (!report) {
      return tl::unexpected(report.error());
    }
    std::fputs(to_text(*report, options).c_str(), stdout);
    if (auto written = play.report("kafka", report->stopped, report->pacing, details(*report, options)); !written) {
      return written;
    }
    if (report->stopped) {
      return fail(ErrorCode::difference,
                  fmt::format("stopped by a signal after {} frames: {} of their {} trades are in {}", report->frames,
                              report->acknowledged + report->found, report->trades, options.topic));
    }
    if (!report->adds_up()) {
      return fail(ErrorCode::difference,
                  fmt::format("{} of {} trades are not in {}", report->trades - report->acknowledged - report->found,
                              report->trades, options.topic));
    }
    return {};
  }
};

}  // namespace mdpipe::replay
