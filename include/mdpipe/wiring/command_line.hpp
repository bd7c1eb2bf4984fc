#pragma once
/// \file
/// Where the value of an option comes from, for every program of the project: the command line, else the environment,
/// else the file named by --config (TOML), else the default.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace CLI {
class App;
}

namespace mdpipe::wiring {

/// The keys of a configuration file: those at its top hold for every command, those in a table [run] for `run` alone.
/// A value is a text, a number, a boolean, or a list of them.
struct ConfigFile {
  using Values = std::map<std::string, std::vector<std::string>>;
  Values common;
  std::map<std::string, Values> by_command;
};

/// ErrorCode::usage with file, line and what is wrong; ErrorCode::environment where the file cannot be read.
[[nodiscard]] Result<ConfigFile> read_config_file(const std::filesystem::path& path);

/// --kafka, -X and --kafka-config, as every command that speaks to a broker has them.
void add_kafka_options(CLI::App& app, std::string& kafka, std::vector<std::string>& properties, std::string& file);

/// Gives each option of `app` and of its subcommands the variable MDPIPE_<OPTION> (unless it has one already), adds
/// --config and --version, parses, and fills what neither command line nor environment gave from the file. A key that
/// no option is called is refused. Options must be bound to variables and not be required(). Returns -1 to go on, else
/// the exit code: 0 after --help and --version, 2 after a usage error, 3 where the file cannot be read, said on stderr.
[[nodiscard]] int parse_command_line(CLI::App& app, int argc, const char* const* argv);

/// What a program ends with: `code`, or 3 where standard output did not take all that was written (a full disk), said
/// on stderr. Call it last.
[[nodiscard]] int end_with(std::string_view program, int code);

}  // namespace mdpipe::wiring
