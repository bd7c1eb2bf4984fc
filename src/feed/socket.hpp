#pragma once
// Waiting on a socket with a deadline and a way to be stopped.

#include <cstdint>

#include "transport.hpp"

namespace mdpipe::feed {

/// Until `descriptor` is ready for `events` (poll's), `stop_descriptor` is readable (if >= 0), or the deadline has
/// passed.
[[nodiscard]] IoStatus wait_ready(int descriptor, short events, int stop_descriptor, std::int64_t deadline_ns) noexcept;

}  // namespace mdpipe::feed
