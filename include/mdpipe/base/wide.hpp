#pragma once
/// \file
/// 128-bit integers under names that -Wpedantic accepts.

namespace mdpipe {

__extension__ typedef __int128 Int128;            // NOLINT(modernize-use-using): __extension__ wants a typedef
__extension__ typedef unsigned __int128 Uint128;  // NOLINT(modernize-use-using)

}  // namespace mdpipe
