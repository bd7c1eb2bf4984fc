#include "replay/serve/faults/log.hpp"

#include <utility>

#include <fmt/core.h>

namespace mdpipe::replay {

Result<FaultLog> FaultLog::create(const std::filesystem::path& path) {
  auto lines = LineFile::create(path);
  if (!lines) {
    return tl::unexpected(lines.error());
  }
  FaultLog log;
  log.lines_ = std::move(*lines);
  return log;
}

void FaultLog::add(std::uint64_t connection, std::uint64_t message, std::string_view note) {
  if (lines_.enabled()) {
    lines_.buffer() += fmt::format("{{\"connection\":{},\"message\":{},{}}}\n", connection, message, note);
  }
}

}  // namespace mdpipe::replay
