// The command line of mdpipe: every command and option, and the one place that knows CLI11.

#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "consumer_commands.hpp"
#include "mdpipe/base/secret.hpp"
#include "mdpipe/wiring/command_line.hpp"
#include "option_groups.hpp"

namespace mdpipe::tools {
namespace {

using Command = std::function<int()>;

class RunCommand {
 public:
  explicit RunCommand(CLI::App& parent)
      : app_(*parent.add_subcommand("run", "feed -> journal -> publish, aggregate, store")) {
    app_.footer(footer(R"(Example, without account and broker, against a recorded session:
  mdreplay serve session.jsonl.gz --speed max --once &
  mdpipe run --feed ws://127.0.0.1:8800 --symbols SPY,IBM --kafka embedded --once
The token comes from FINNHUB_API_KEY or --token-file, never from an argument.)"));
    add_feed_options();
    add_output_options();
    add_running_options();
  }

  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  [[nodiscard]] int execute() {
    if (precision_ >= 0) {
      options_.precision = static_cast<std::uint32_t>(precision_);
    }
    return run(options_, console_);
  }

 private:
  void add_feed_options() {
    app_.add_option("--feed", options_.feed, "ws:// or wss:// address of the venue")
        ->type_name("URL")
        ->capture_default_str();
    app_.add_option("--symbols", options_.symbols, "what to subscribe to: A,B or @FILE (one a line)")
        ->capture_default_str();
    app_.add_option("--token-file", options_.token_file, "the token: first line of a file that only you may read")
        ->type_name("FILE");
    app_.add_option("--ca-file", options_.ca_file, "trust these certificates in place of the system's")
        ->type_name("FILE");
    app_.add_option("--max-frame", options_.frame_max_bytes,
                    "largest message, bytes; a larger one ends the connection (1009)")
        ->check(CLI::Range(1024U, 16U << 20U))
        ->capture_default_str();
    app_.add_option("--silence", options_.silence_s, "seconds without a word after which the feed is dead")
        ->check(CLI::Range(1U, 86'400U))
        ->capture_default_str();
    app_.add_flag("--once", options_.once, "when the feed closes in good order: drain every stage, exit 0");
    app_.add_flag("--fail-fast", options_.fail_fast, "exit 4 where the feed refuses us, in place of trying again");
  }

  void add_output_options() {
    app_.add_option("--journal", options_.journal,
                    "the journal's folder; a disk survives power loss, a tmpfs is quicker")
        ->type_name("DIR")
        ->capture_default_str();
    app_.add_option("--journal-keep", options_.journal_keep,
                    "what lies beyond this size and age may go, once every stage is past it")
        ->type_name("SIZE,AGE")
        ->capture_default_str();
    app_.add_option("--segment-bytes", options_.segment_bytes, "size of a journal file")->capture_default_str();
    wiring::add_kafka_options(app_, options_.kafka, options_.kafka_properties, options_.kafka_config);
    app_.get_option("--kafka")->description(
        "brokers, or \"embedded\" (a broker in this process that forgets at exit), or \"none\"; the environment's "
        "KAFKA_BOOTSTRAP_SERVERS, else localhost:9092");
    add_topic_names(app_, options_.topics);
    app_.add_option("--store", options_.store, "folder of the JSONL files")->type_name("DIR")->capture_default_str();
    app_.add_option("--stages", options_.stages, "which stages run: publish,aggregate,store")->capture_default_str();
    add_window_options(app_, options_.window, options_.every, precision_);
    add_flush_options(app_, options_.flush_bytes, options_.flush_ms);
  }

  void add_running_options() {
    add_listen_option(app_, options_.listen);
    app_.add_option("--place", options_.place, "cores of threads: feed=2,publish=3 (feed, publish, aggregate, store)");
    app_.add_option("--idle", options_.idle, "spin, backoff or park; for one thread: store=park,...");
    add_drain_option(app_, options_.drain_s);
    add_console_options(app_, console_);
  }

  CLI::App& app_;
  wiring::RunOptions options_;
  ConsoleOptions console_;
  int precision_ = -1;
};

class TopicsCommand {
 public:
  explicit TopicsCommand(CLI::App& parent)
      : app_(*parent.add_subcommand("topics", "create, check, describe, mend or adopt the topics")) {
    app_.require_subcommand(1);
    app_.footer(footer("Example:\n  mdpipe topics create --kafka 127.0.0.1:9092 --retention 7d"));
    add("create", "create what is missing; harmless again and again", TopicsAction::create);
    add("check", "exit 1 where a topic is missing or not as asked for", TopicsAction::check);
    add("describe", "what there is", TopicsAction::describe);
    CLI::App& mend =
        add("mend", "make existing topics fit for a publisher: not compacted, as many metrics partitions as raw ones",
            TopicsAction::mend);
    mend.add_option("--max-frame", options_.frame_max_bytes,
                    "largest message of the feed, bytes: the topics must take it")
        ->check(CLI::Range(1024U, 16U << 20U))
        ->capture_default_str();
    mend.add_flag("--delete-metrics", options_.delete_metrics,
                  "where there are more metrics partitions than raw ones: delete that topic, make it anew");
    add("adopt",
        "take the topics as they are now for the publisher of --journal: what `mdpipe run` names when it refuses",
        TopicsAction::adopt)
        .add_option("--journal", options_.journal, "the journal whose publisher was refused")
        ->type_name("DIR")
        ->capture_default_str();
  }

  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  [[nodiscard]] int execute() const {
    for (const auto& [app, action] : actions_) {
      if (app->parsed()) {
        return topics(action, options_);
      }
    }
    return static_cast<int>(ErrorCode::usage);
  }

 private:
  CLI::App& add(const char* name, const char* description, TopicsAction action) {
    CLI::App& app = *app_.add_subcommand(name, description);
    wiring::add_kafka_options(app, options_.kafka, options_.kafka_properties, options_.kafka_config);
    add_topic_names(app, options_.names);
    app.add_option("--partitions", options_.partitions, "of the raw and the metrics topic")
        ->check(CLI::Range(1U, 10'000U))
        ->capture_default_str();
    app.add_option("--replication", options_.replication, "replicas of each partition")
        ->check(CLI::Range(1U, 100U))
        ->capture_default_str();
    app.add_option("--retention", options_.retention, "how long Kafka keeps messages: 7d, 12h")->capture_default_str();
    actions_.emplace_back(&app, action);
    return app;
  }

  CLI::App& app_;
  TopicsOptions options_;
  std::vector<std::pair<CLI::App*, TopicsAction>> actions_;
};

class JournalCommand {
 public:
  explicit JournalCommand(CLI::App& parent)
      : app_(*parent.add_subcommand("journal", "read, verify and prune a journal")) {
    app_.require_subcommand(1);
    app_.footer("All but prune and cursors remove may be used while a writer runs.");
    add_readers();
    add_keepers();
  }

  [[nodiscard]] bool chosen() const { return app_.parsed(); }
  [[nodiscard]] int execute() const {
    for (const auto& [app, act] : actions_) {
      if (app->parsed()) {
        if (directory_.empty()) {
          return report(Error{ErrorCode::usage, "which journal? mdpipe journal " + app->get_name() + " DIR"});
        }
        return act();
      }
    }
    return static_cast<int>(ErrorCode::usage);
  }

 private:
  CLI::App& add(CLI::App& parent, const char* name, const char* description, Command act) {
    CLI::App& app = *parent.add_subcommand(name, description);
    app.add_option("directory", directory_, "the journal's folder")->type_name("DIR");
    actions_.emplace_back(&app, std::move(act));
    return app;
  }

  void add_json(CLI::App& app) { app.add_flag("--json", json_, "JSON for programs, in place of text for people"); }

  static void add_range(CLI::App& app, std::string& from, std::string& to) {
    app.add_option("--from", from, "begin at this position (1.500) or receive time (2013-10-07T14:30:00Z)")
        ->type_name("PLACE");
    app.add_option("--to", to, "end with it")->type_name("PLACE");
  }

  void add_readers() {
    add_json(add(app_, "ls", "its segments: positions, times, sizes", [this] {
      return journal_ls({directory_, json_});
    }));

    CLI::App& cat = add(app_, "cat", "its records, with their trades", [this] {
      cat_.directory = directory_;
      cat_.json = json_;
      return journal_cat(cat_);
    });
    cat.footer(
        footer("Example:\n  mdpipe journal cat data/journal --from 2013-10-07T14:30:00Z --symbol SPY --limit 10"));
    add_json(cat);
    add_range(cat, cat_.from, cat_.to);
    cat.add_option("-n,--limit", cat_.limit, "at most so many records; 0 = all")->capture_default_str();
    cat.add_option("--symbol", cat_.symbols, "only trades of these: A,B")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("SYMBOL,...");

    CLI::App& verify =
        add(app_, "verify", "read every byte of it; exit 5 where it is damaged, with what and where", [this] {
          return journal_verify({directory_, json_});
        });
    add_json(verify);

    CLI::App& exported =
        add(app_, "export", "write its trades as JSON lines, byte for byte as the venue sent them", [this] {
          export_.directory = directory_;
          return journal_export(export_);
        });
    exported.footer(
        footer("Example:\n  mdpipe journal export data/journal --frames | gzip >session.jsonl.gz\n  mdreplay info "
               "session.jsonl.gz\nA frame is taken whole or not at all. Damage is skipped and said on stderr; the exit "
               "code is then 5."));
    exported.add_option("-o,--output", export_.output, "- = standard output")->type_name("FILE")->capture_default_str();
    add_range(exported, export_.from, export_.to);
    exported.add_flag("--frames", export_.frames,
                      "capture lines (whole frames with their receive times), which mdreplay plays");
  }

  void add_keepers() {
    CLI::App& prune = add(app_, "prune", "remove its oldest segments, never past a registered cursor", [this] {
      prune_.directory = directory_;
      prune_.json = json_;
      return journal_prune(prune_);
    });
    prune.footer(footer("Example:\n  mdpipe journal prune data/journal --keep 2GiB,3d --dry-run"));
    add_json(prune);
    prune.add_option("--keep", prune_.keep, "what lies beyond this size or age goes")->type_name("SIZE,AGE");
    prune.add_option("--before", prune_.before, "what ends before this position or receive time goes")
        ->type_name("PLACE");
    prune.add_flag("--dry-run", prune_.dry_run, "say what would go");

    CLI::App& cursors = *app_.add_subcommand("cursors", "who has got how far, and holds back retention");
    cursors.require_subcommand(0, 1);
    cursors.footer(
        footer("Example:\n  mdpipe journal cursors data/journal\n  mdpipe journal cursors remove data/journal store"));
    CLI::App& remove = add(cursors, "remove", "take one off the register, for good: retention no longer waits for it",
                           [this] { return remove_cursor(); });
    remove.add_option("name", cursor_, "which")->type_name("NAME");
    // Behind its subcommand: of both that were parsed, the inner one acts.
    cursors.add_option("directory", directory_, "the journal's folder")->type_name("DIR");
    add_json(cursors);
    actions_.emplace_back(&cursors, [this] { return journal_cursors({directory_, json_}); });
  }

  [[nodiscard]] int remove_cursor() const {
    if (cursor_.empty()) {
      return report(Error{ErrorCode::usage, "which cursor? mdpipe journal cursors remove DIR NAME"});
    }
    return journal_remove_cursor(directory_, cursor_);
  }

  CLI::App& app_;
  std::vector<std::pair<CLI::App*, Command>> actions_;
  std::string directory_;
  bool json_ = false;
  std::string cursor_;
  JournalCatOptions cat_;
  JournalPruneOptions prune_;
  JournalExportOptions export_;
};

int main_of_commands(int argc, const char* const* argv) {
  CLI::App app("Live market data: one journal, many stages, replay that can be trusted.", "mdpipe");
  app.require_subcommand(1);
  app.footer(footer("Example, against a recorded session, without account and broker: mdpipe run --help"));
  RunCommand run_command(app);
  ConsumerCommand store_command(app, wiring::ConsumerRole::store);
  ConsumerCommand aggregate_command(app, wiring::ConsumerRole::aggregate);
  TailCommand tail_command(app);
  TopicsCommand topics_command(app);
  JournalCommand journal_command(app);
  if (const int code = wiring::parse_command_line(app, argc, argv); code >= 0) {
    return code;
  }
  if (run_command.chosen()) {
    return run_command.execute();
  }
  for (ConsumerCommand* const command : {&store_command, &aggregate_command}) {
    if (command->chosen()) {
      return command->execute();
    }
  }
  if (tail_command.chosen()) {
    return tail_command.execute();
  }
  return topics_command.chosen() ? topics_command.execute() : journal_command.execute();
}

}  // namespace

int report(const Error& error) {
  std::fprintf(stderr, "mdpipe: %s\n", redact(error.message).c_str());
  return exit_code(error);
}

}  // namespace mdpipe::tools

int main(int argc, char** argv) {
  ::umask(0077);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that closes is an error value, not the end of the process
  std::signal(SIGXFSZ, SIG_IGN);  // the same for a limit on the size of files
  try {
    return mdpipe::wiring::end_with("mdpipe", mdpipe::tools::main_of_commands(argc, argv));
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "mdpipe: %s\n", mdpipe::redact(exception.what()).c_str());
    return static_cast<int>(mdpipe::ErrorCode::environment);
  }
}
