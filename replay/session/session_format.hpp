#pragma once
/// \file
/// The kinds of lines that a session file holds.

#include <cstdint>

namespace mdpipe::replay {

/// The kinds of lines that a session file may have; see session.hpp.
enum class SessionFormat : std::uint8_t { capture, frame, trade };

}  // namespace mdpipe::replay
