#pragma once
/// \file
/// The commands of mdpipe, apart from how their options are read. Each returns its exit code (see base/error.hpp) and
/// has said on stderr what went wrong.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/event/position.hpp"
#include "mdpipe/wiring/consumer.hpp"
#include "mdpipe/wiring/run_options.hpp"
#include "mdpipe/wiring/tail.hpp"

namespace mdpipe::tools {

struct ConsoleOptions {
  std::string log_format = "text";  ///< text (key=value) or json
  std::string log_level = "info";
  bool progress = false;  ///< a live line a second even where stderr is no terminal
};

[[nodiscard]] int run(const wiring::RunOptions& options, const ConsoleOptions& console);

enum class TopicsAction : std::uint8_t { create, check, describe, mend, adopt };
struct TopicsOptions {
  std::string kafka;
  std::vector<std::string> kafka_properties;
  std::string kafka_config;
  wiring::TopicNames names;
  std::uint32_t partitions = 3;  ///< of raw-market-data and aggregated-metrics; the others have 2 and 1
  std::uint32_t replication = 1;
  std::string retention = "7d";
  std::string journal = "data/journal";         ///< adopt: whose publisher state
  std::uint32_t frame_max_bytes = 512U << 10U;  ///< mend: the topics must take it
  bool delete_metrics = false;                  ///< mend: where they have more partitions than the raw topic
};
[[nodiscard]] int topics(TopicsAction action, const TopicsOptions& options);

/// `mdpipe store` and `mdpipe aggregate`.
[[nodiscard]] int consume(const wiring::ConsumerOptions& options, const ConsoleOptions& console);

[[nodiscard]] int tail(wiring::TailOptions options, const ConsoleOptions& console);

struct JournalExportOptions {
  std::string directory;
  std::string output = "-";
  bool frames = false;  ///< capture lines in place of trade lines
  std::string from;     ///< a place; empty = the oldest record. Frames are taken whole
  std::string to;       ///< a place; empty = the end
};
[[nodiscard]] int journal_export(const JournalExportOptions& options);

struct JournalOptions {
  std::string directory;
  bool json = false;
};
[[nodiscard]] int journal_ls(const JournalOptions& options);
[[nodiscard]] int journal_verify(const JournalOptions& options);
[[nodiscard]] int journal_cursors(const JournalOptions& options);
[[nodiscard]] int journal_remove_cursor(const std::string& directory, const std::string& name);

/// A place in a journal: by position or by receive time, as a user gives it.
struct JournalPlace {
  std::optional<Position> position;
  std::optional<std::int64_t> time_ns;  ///< where there is no position
};
[[nodiscard]] Result<JournalPlace> parse_place(std::string_view option, std::string_view text);

struct JournalCatOptions {
  std::string directory;
  bool json = false;
  std::string from;                  ///< a place; empty = the oldest record
  std::string to;                    ///< a place; empty = the end
  std::uint64_t limit = 0;           ///< records; 0 = all
  std::vector<std::string> symbols;  ///< only trades of these; empty = everything
};
[[nodiscard]] int journal_cat(const JournalCatOptions& options);

struct JournalPruneOptions {
  std::string directory;
  bool json = false;
  std::string keep;    ///< size, age or both, or ...
  std::string before;  ///< ... a place
  bool dry_run = false;
};
[[nodiscard]] int journal_prune(const JournalPruneOptions& options);

/// What every command that runs until it is told to stop does with them.
[[nodiscard]] Result<void> configure_console(const ConsoleOptions& console);

/// Says the error on stderr, gives its exit code.
int report(const Error& error);

}  // namespace mdpipe::tools
