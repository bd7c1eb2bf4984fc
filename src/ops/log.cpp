#include "mdpipe/ops/log.hpp"

#include <algorithm>
#include <atomic>
#include <memory>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/base/secret.hpp"

namespace mdpipe::ops {
namespace {

struct Settings {
  std::atomic<LogFormat> format{LogFormat::text};
  std::atomic<LogLevel> least{LogLevel::info};
};

Settings& settings() {
  static Settings all;
  return all;
}

/// spdlog keeps the lines of several threads apart; what is in a line is ours.
spdlog::logger& sink() {
  static spdlog::logger logger = [] {
    auto to_stderr = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    spdlog::logger made("mdpipe", std::move(to_stderr));
    made.set_pattern("%v");
    made.set_level(spdlog::level::trace);
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return logger;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "?";
}

/// Control characters as '?': a line stays a line.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text;
}

/// As it is where that cannot be misread; else as a JSON string.
std::string text_value(const std::string& value) {
  const bool plain = !value.empty() && std::none_of(value.begin(), value.end(), [](char c) {
    return c == ' ' || c == '"' || c == '=' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return plain ? value : json_string(value);
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error}) {
    if (text == level_name(level)) {
      return level;
    }
  }
  return fail(ErrorCode::usage, fmt::format("--log-level {}: debug, info, warning or error", text));
}

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text" || text == "json") {
    return text == "json" ? LogFormat::json : LogFormat::text;
  }
  return fail(ErrorCode::usage, fmt::format("--log-format {}: text or json", text));
}

void configure_log(LogFormat format, LogLevel least) {
  settings().format = format;
  settings().least = least;
}

std::string format_log_line(LogFormat format, std::int64_t time_ns, LogLevel level, std::string_view component,
                            std::string_view event, std::initializer_list<LogField> fields) {
  const std::string time = iso_time_ms(floor_to_ms(time_ns));
  std::string line;
  if (format == LogFormat::json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","component":{},"event":{})", time, level_name(level),
                       json_string(component), json_string(redact(event)));
    for (const LogField& field : fields) {
      line += fmt::format(",{}:{}", json_string(field.key), json_string(redact(field.value)));
    }
    return line + "}";
  }
  line = fmt::format("{} {} {} {}", time, level_name(level), component, on_one_line(redact(event)));
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.key, text_value(redact(field.value)));
  }
  return line;
}

void log(LogLevel level, std::string_view component, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < settings().least.load()) {
    return;
  }
  print_line(format_log_line(settings().format, wall_clock_ns(), level, component, event, fields));
}

void print_line(std::string_view text) {
  sink().log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace mdpipe::ops
