#pragma once
// The forms in which summaries say their numbers.

#include <cstdint>
#include <string>
#include <string_view>

namespace mdpipe::wiring {

/// "published  388,417  = trades", or by how much not; `earlier`: of earlier runs, counted in.
[[nodiscard]] std::string against_trades(std::string_view what, std::uint64_t count, std::uint64_t trades,
                                         std::uint64_t earlier);

}  // namespace mdpipe::wiring
