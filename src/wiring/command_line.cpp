#include "mdpipe/wiring/command_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <optional>

#include <fmt/format.h>
#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/version.hpp"

namespace mdpipe::wiring {
namespace {

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) {
    return *text;
  }
  if (const auto integer = node.value_exact<std::int64_t>()) {
    return std::to_string(*integer);
  }
  if (const auto real = node.value_exact<double>()) {
    return fmt::format("{}", *real);
  }
  if (const auto boolean = node.value_exact<bool>()) {
    return *boolean ? "true" : "false";
  }
  return std::nullopt;
}

tl::unexpected<Error> unusable(const std::filesystem::path& path, const toml::node& node, std::string_view key) {
  return fail(ErrorCode::usage, fmt::format("{}:{}: {} must be a text, a number, a boolean or a list of them",
                                            path.string(), node.source().begin.line, key));
}

Result<std::vector<std::string>> option_texts(const std::filesystem::path& path, std::string_view key,
                                              const toml::node& node) {
  std::vector<std::string> texts;
  if (const toml::array* const list = node.as_array()) {
    for (const toml::node& element : *list) {
      auto text = scalar_text(element);
      if (!text) {
        return unusable(path, element, key);
      }
      texts.push_back(std::move(*text));
    }
    return texts;
  }
  auto text = scalar_text(node);
  if (!text) {
    return unusable(path, node, key);
  }
  texts.push_back(std::move(*text));
  return texts;
}

Result<ConfigFile::Values> table_values(const std::filesystem::path& path, const toml::table& table) {
  ConfigFile::Values values;
  for (const auto& [key, node] : table) {
    auto texts = option_texts(path, key.str(), node);
    if (!texts) {
      return tl::unexpected(texts.error());
    }
    values.emplace(key.str(), std::move(*texts));
  }
  return values;
}

void each_app(CLI::App& app, const std::function<void(CLI::App&)>& visit) {
  visit(app);
  for (CLI::App* const subcommand : app.get_subcommands({})) {
    each_app(*subcommand, visit);
  }
}

void name_variables(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    const auto& names = option->get_lnames();
    // Not of those that do something else in place of running: many containers set a variable called …_VERSION.
    if (names.empty() || names.front() == "help" || names.front() == "version" || !option->get_envname().empty()) {
      continue;
    }
    std::string variable = "MDPIPE_" + names.front();
    std::transform(variable.begin(), variable.end(), variable.begin(),
                   [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
    option->envname(variable);
  }
}

CLI::Option* find_option(CLI::App& app, const std::string& name) {
  return app.get_option_no_throw("--" + name);
}

/// "run", "topics create": how a table of the file names a command.
void fill(CLI::App& app, const ConfigFile::Values& values) {
  for (const auto& [name, texts] : values) {
    CLI::Option* const option = find_option(app, name);
    if (option == nullptr || option->count() != 0) {
      continue;
    }
    for (const std::string& text : texts) {
      option->add_result(text);
    }
    option->run_callback();
  }
}

Result<void> refuse_unknown(CLI::App& app, const std::filesystem::path& path, const ConfigFile& file) {
  const auto known_anywhere = [&](const std::string& name) {
    bool known = false;
    each_app(app, [&](CLI::App& command) { known = known || find_option(command, name) != nullptr; });
    return known;
  };
  for (const auto& [name, texts] : file.common) {
    if (!known_anywhere(name)) {
      return fail(ErrorCode::usage, fmt::format("{}: no command has an option --{}", path.string(), name));
    }
  }
  for (const auto& [command_name, values] : file.by_command) {
    const auto commands = app.get_subcommands([&](CLI::App* one) { return one->get_name() == command_name; });
    if (commands.empty()) {
      return fail(ErrorCode::usage, fmt::format("{}: [{}] is no command", path.string(), command_name));
    }
    for (const auto& [name, texts] : values) {
      bool known = false;
      each_app(*commands.front(), [&](CLI::App& inner) { known = known || find_option(inner, name) != nullptr; });
      if (!known) {
        return fail(ErrorCode::usage, fmt::format("{}: {} has no option --{}", path.string(), command_name, name));
      }
    }
  }
  return {};
}

Result<void> apply_config(CLI::App& app, const std::filesystem::path& path) {
  auto file = read_config_file(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  if (auto known = refuse_unknown(app, path, *file); !known) {
    return known;
  }
  for (CLI::App* const command : app.get_subcommands()) {  // those that the command line names
    each_app(*command, [&](CLI::App& inner) {
      if (const auto values = file->by_command.find(command->get_name()); values != file->by_command.end()) {
        fill(inner, values->second);
      }
      fill(inner, file->common);
    });
  }
  return {};
}

}  // namespace

Result<ConfigFile> read_config_file(const std::filesystem::path& path) {
  if (::access(path.c_str(), R_OK) != 0) {
    return tl::unexpected(system_error(fmt::format("--config {}", path.string()), errno));
  }
  toml::table table;
  try {
    table = toml::parse_file(path.string());
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::usage,
                fmt::format("{}:{}: {}", path.string(), error.source().begin.line, error.description()));
  }
  ConfigFile file;
  for (const auto& [key, node] : table) {
    if (const toml::table* const inner = node.as_table()) {
      auto values = table_values(path, *inner);
      if (!values) {
        return tl::unexpected(values.error());
      }
      file.by_command.emplace(key.str(), std::move(*values));
      continue;
    }
    auto texts = option_texts(path, key.str(), node);
    if (!texts) {
      return tl::unexpected(texts.error());
    }
    file.common.emplace(key.str(), std::move(*texts));
  }
  return file;
}

void add_kafka_options(CLI::App& app, std::string& kafka, std::vector<std::string>& properties, std::string& file) {
  app.add_option("--kafka", kafka, "brokers; the environment's KAFKA_BOOTSTRAP_SERVERS, else localhost:9092")
      ->envname("KAFKA_BOOTSTRAP_SERVERS")
      ->type_name("HOST:PORT,...");
  app.add_option("-X", properties, "a property for librdkafka (security.protocol=ssl), less those that mdpipe owns")
      ->type_name("KEY=VALUE");
  app.add_option("--kafka-config", file, "a file of such properties, one a line")->type_name("FILE");
}

int parse_command_line(CLI::App& app, int argc, const char* const* argv) {
  std::string config;
  app.add_option("--config", config, "read options from this TOML file; command line and environment win over it")
      ->type_name("FILE");
  app.set_version_flag("--version", version_text(app.get_name().c_str()), "print version, commit and build flags");
  each_app(app, [](CLI::App& command) {
    command.fallthrough();  // --config may stand behind the subcommand
    name_variables(command);
  });
  try {
    app.parse(argc, argv);
    if (!config.empty()) {
      if (auto applied = apply_config(app, config); !applied) {
        std::fputs(fmt::format("{}: {}\n", app.get_name(), applied.error().message).c_str(), stderr);
        return exit_code(applied.error());
      }
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorCode::usage);
  }
  return -1;
}

int end_with(std::string_view program, int code) {
  const bool failed_before = std::ferror(stdout) != 0;
  const int error = std::fflush(stdout) == 0 ? 0 : errno;
  if ((error == 0 && !failed_before) || error == EPIPE) {  // who has read enough wants no complaint
    return code;
  }
  const std::string words =
      error == 0 ? "standard output did not take everything" : system_error("writing standard output", error).message;
  std::fputs(fmt::format("{}: {}\n", program, words).c_str(), stderr);
  return code != 0 ? code : static_cast<int>(ErrorCode::environment);
}

}  // namespace mdpipe::wiring
