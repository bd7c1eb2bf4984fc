#pragma once
// One line about once a second for those who watch a run.

#include <cstdint>
#include <optional>
#include <string>

#include "parts.hpp"

namespace mdpipe::wiring {

/// Thread safety: one thread.
class LiveLine {
 public:
  /// The next line, where a second has passed since the last one. Smooths the journal's rate of writing on the way.
  [[nodiscard]] std::optional<std::string> next(Parts& parts, feed::SessionState state, std::int64_t now_ns);

 private:
  std::int64_t said_ns_ = 0;
  std::uint64_t said_trades_ = 0;
  std::uint64_t said_bytes_ = 0;
};

}  // namespace mdpipe::wiring
