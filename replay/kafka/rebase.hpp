#pragma once
/// \file
/// The times of trades, moved: a recorded session that begins now.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replay/session/frame_parser.hpp"

namespace mdpipe::replay {

/// `frame` with `shift_ms` added to the exchange time of each of its trades, all other bytes as they were, in `out`;
/// its elements in `moved`. Where the sum leaves what a trade may have, it is the last time that it may. Returns how
/// many trades were cut so.
std::uint64_t shift_times(std::string_view frame, std::span<const FrameElement> elements, std::int64_t shift_ms,
                          std::string& out, std::vector<FrameElement>& moved);

}  // namespace mdpipe::replay
