#pragma once
/// \file
/// What this build is.

#include <string>

namespace mdpipe {

/// "mdpipe 0.1.0 (commit 1a2b3c4, gcc 12.2.0, buildtype release, …)": what `--version` prints.
[[nodiscard]] std::string version_text(const char* program);

}  // namespace mdpipe
