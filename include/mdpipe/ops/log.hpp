#pragma once
/// \file
/// Structured logs: one line an event, key=value or JSON, on stderr. Every text goes through the redactor
/// (base/secret.hpp).
///
///     2026-11-24T08:00:00.464Z info feed subscribed symbols=4 url=wss://ws.finnhub.io/
///     {"time":"2026-11-24T08:00:00.464Z","level":"info","component":"feed","event":"subscribed","symbols":"4",…}

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"

namespace mdpipe::ops {

enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] Result<LogFormat> parse_log_format(std::string_view text);

/// Before threads start. Without it: text, info.
void configure_log(LogFormat format, LogLevel least);

struct LogField {
  std::string_view key;
  std::string value;
};

/// Thread safety: any thread. Not for the way of a trade: it locks and writes.
void log(LogLevel level, std::string_view component, std::string_view event,
         std::initializer_list<LogField> fields = {});

/// A line by itself on stderr that does not mix with a log line: the live figures.
void print_line(std::string_view text);

/// The line as log() would write it at this time (ns since 1970), without its end.
[[nodiscard]] std::string format_log_line(LogFormat format, std::int64_t time_ns, LogLevel level,
                                          std::string_view component, std::string_view event,
                                          std::initializer_list<LogField> fields);

}  // namespace mdpipe::ops
