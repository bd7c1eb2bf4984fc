#pragma once
// Options that several commands have, and the one wording of each.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "commands.hpp"

namespace mdpipe::tools {

/// How a command's help ends: with what holds for all of them.
inline std::string footer(const std::string& example) {
  return example +
         "\n\nEvery option can be MDPIPE_<OPTION> in the environment or a key in --config FILE (TOML; [run] for one "
         "command).\n"
         "Exit codes: 0 done, 1 a check found a difference, 2 usage, 3 the environment (port taken, no such file, no\n"
         "broker, a lock held), 4 the feed refused us (--fail-fast), 5 data refused (damaged or foreign).";
}

inline void add_topic_names(CLI::App& app, wiring::TopicNames& names) {
  app.add_option("--raw-topic", names.raw, "where trades go")->capture_default_str();
  app.add_option("--metrics-topic", names.metrics, "where metrics go")->capture_default_str();
  app.add_option("--alerts-topic", names.alerts, "where alerts go")->capture_default_str();
  app.add_option("--dead-letter-topic", names.dead_letters, "where what cannot be used goes")->capture_default_str();
}

inline void add_console_options(CLI::App& app, ConsoleOptions& console) {
  app.add_option("--log-format", console.log_format, "text (key=value lines) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--log-level", console.log_level, "the least that is said")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_flag("--progress", console.progress, "a live line a second on stderr even where that is no terminal");
}

inline void add_window_options(CLI::App& app, std::uint32_t& window, std::uint32_t& every, int& precision) {
  app.add_option("--window", window, "trades of a symbol that a metric looks back on")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  app.add_option("--every", every, "trades of a symbol between two of its metrics")
      ->check(CLI::Range(1U, 1'000'000'000U))
      ->capture_default_str();
  app.add_option("--precision", precision, "decimals of averages, VWAPs and changes; without it the nearest double")
      ->check(CLI::Range(0, 15));
}

inline void add_flush_options(CLI::App& app, std::uint64_t& bytes, std::uint32_t& milliseconds) {
  app.add_option("--flush-bytes", bytes, "the store writes when it has so much")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{64} << 20U))
      ->capture_default_str();
  app.add_option("--flush-ms", milliseconds, "... or when it is so old")
      ->check(CLI::Range(1U, 3'600'000U))
      ->capture_default_str();
}

inline void add_listen_option(CLI::App& app, std::string& listen) {
  app.add_option("--listen", listen, "/healthz, /readyz and /metrics; or \"none\"")
      ->type_name("ADDR:PORT")
      ->capture_default_str();
}

inline void add_drain_option(CLI::App& app, std::uint32_t& drain_s) {
  app.add_option("--drain", drain_s, "seconds that SIGTERM gives the stages")
      ->check(CLI::Range(0U, 3600U))
      ->capture_default_str();
}

}  // namespace mdpipe::tools
