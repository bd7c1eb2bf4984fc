#include "replay/serve/send_log.hpp"

#include <utility>

#include <fmt/core.h>

#include "mdpipe/base/base64.hpp"
#include "mdpipe/base/clock.hpp"
#include "replay/session/json_scanner.hpp"

namespace mdpipe::replay {

Result<SendLog> SendLog::create(const std::filesystem::path& path) {
  auto lines = LineFile::create(path);
  if (!lines) {
    return tl::unexpected(lines.error());
  }
  SendLog log;
  log.lines_ = std::move(*lines);
  return log;
}

void SendLog::begin(std::uint64_t connection, std::string_view event) {
  lines_.buffer() += fmt::format(R"({{"time_ns":{},"connection":{},"event":"{}")", wall_clock_ns(), connection, event);
}

void SendLog::connected(std::uint64_t connection, std::string_view peer) {
  if (enabled()) {
    begin(connection, "connected");
    lines_.buffer() += fmt::format(",\"peer\":{}}}\n", quote(peer));
  }
}

void SendLog::subscription(std::uint64_t connection, bool subscribe, std::string_view symbol) {
  if (enabled()) {
    begin(connection, subscribe ? "subscribe" : "unsubscribe");
    lines_.buffer() += fmt::format(",\"symbol\":{}}}\n", quote(symbol));
  }
}

void SendLog::frame(std::uint64_t connection, std::string_view text, bool is_json) {
  if (!enabled()) {
    return;
  }
  begin(connection, "frame");
  if (is_json && text.find_first_of("\r\n") == std::string_view::npos) {
    lines_.buffer().append(R"(,"frame":)").append(text).append("}\n");
  } else {
    lines_.buffer().append(R"(,"raw":")").append(base64_encode(text)).append("\"}\n");
  }
}

void SendLog::closed(std::uint64_t connection, std::uint16_t code, std::string_view by, std::size_t partial_bytes) {
  if (enabled()) {
    begin(connection, "closed");
    lines_.buffer() += fmt::format(",\"code\":{},\"by\":\"{}\",\"partial_bytes\":{}}}\n", code, by, partial_bytes);
  }
}

}  // namespace mdpipe::replay
