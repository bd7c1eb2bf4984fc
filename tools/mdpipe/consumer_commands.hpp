#pragma once
// The command lines of the consumers on Kafka.

#include <string>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "mdpipe/wiring/command_line.hpp"
#include "option_groups.hpp"

namespace mdpipe::tools {

/// What every reader of a topic has.
inline void add_reading_options(CLI::App& app, std::string& group, std::string& topic, std::string& partitions,
                                std::string& from, bool& until_end) {
  app.add_option("--group", group, "whose members share the partitions")->capture_default_str();
  app.add_option("--topic", topic, "what is read")->capture_default_str();
  app.add_option("--partitions", partitions, "these (0,2) and no others, without a group")->type_name("N,...");
  app.add_option("--from", from, "where a partition begins of which nothing is known: earliest, latest or a time")
      ->capture_default_str();
  app.add_flag("--until-end", until_end, "stop at what was the end when it started");
}

class ConsumerCommand {
 public:
  ConsumerCommand(CLI::App& parent, wiring::ConsumerRole role)
      : app_(*(role == wiring::ConsumerRole::store
                   ? parent.add_subcommand("store", "Kafka -> JSON lines, each trade once")
                   : parent.add_subcommand("aggregate", "Kafka -> metrics -> Kafka, each once after the filter"))) {
    options_.role = role;
    const bool stores = role == wiring::ConsumerRole::store;
    app_.footer(footer(stores ? "Example:\n  mdpipe store --kafka 127.0.0.1:9092 --store data/trades"
                              : "Example:\n  mdpipe aggregate --kafka 127.0.0.1:9092 --state data/aggregate"));
    options_.group = stores ? "storage-consumer-group" : "aggregator-consumer-group";
    options_.listen = stores ? "127.0.0.1:8003" : "127.0.0.1:8002";
    options_.folder = stores ? "data/trades" : "data/aggregate";
    wiring::add_kafka_options(app_, options_.kafka, options_.kafka_properties, options_.kafka_config);
    add_reading_options(app_, options_.group, options_.topics.raw, options_.partitions, options_.from,
                        options_.until_end);
    app_.add_flag("--require-header", options_.require_header,
                  "a message without our header is a dead letter, not another producer's trade");
    if (stores) {
      app_.add_option("--store", options_.folder, "folder of the JSONL files; the members of a group share it")
          ->type_name("DIR")
          ->capture_default_str();
      add_flush_options(app_, options_.flush_bytes, options_.flush_ms);
    } else {
      app_.add_option("--state", options_.folder, "folder of windows and counts; the members of a group share it")
          ->type_name("DIR")
          ->capture_default_str();
      app_.add_option("--metrics-topic", options_.topics.metrics, "where metrics go")->capture_default_str();
      add_window_options(app_, options_.window, options_.every, precision_);
    }
    app_.add_option("--dead-letter-topic", options_.topics.dead_letters, "where what cannot be used goes")
        ->capture_default_str();
    add_listen_option(app_, options_.listen);
    add_drain_option(app_, options_.drain_s);
    add_console_options(app_, console_);
  }

  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  [[nodiscard]] int execute() {
    if (precision_ >= 0) {
      options_.precision = static_cast<std::uint32_t>(precision_);
    }
    return consume(options_, console_);
  }

 private:
  CLI::App& app_;
  wiring::ConsumerOptions options_;
  ConsoleOptions console_;
  int precision_ = -1;
};

class TailCommand {
 public:
  explicit TailCommand(CLI::App& parent)
      : app_(*parent.add_subcommand("tail", "the messages of a topic, or a journal's trades, line by line")) {
    app_.footer(
        footer("Examples:\n  mdpipe tail --from earliest --until-end --json | jq .value\n"
               "  mdpipe tail --journal data/journal --follow"));
    wiring::add_kafka_options(app_, options_.kafka, options_.kafka_properties, options_.kafka_config);
    add_reading_options(app_, options_.group, options_.topic, options_.partitions, options_.from, options_.until_end);
    app_.get_option("--from")->description(
        "earliest, latest or a time; without it where the group left off, else the latest. Of a journal also "
        "EPOCH/SEQUENCE");
    app_.add_option("--journal", options_.journal, "read this journal in place of a topic")->type_name("DIR");
    app_.add_flag("--follow", options_.follow, "of a journal: wait for more");
    app_.add_flag("--json", options_.json, "a JSON object a line");
    add_listen_option(app_, options_.listen);
    add_console_options(app_, console_);
  }

  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  [[nodiscard]] int execute() const { return tail(options_, console_); }

 private:
  CLI::App& app_;
  wiring::TailOptions options_;
  ConsoleOptions console_;
};

}  // namespace mdpipe::tools
