#include "mdpipe/base/version.hpp"

#include <fmt/format.h>

#include "build_information.hpp"

namespace mdpipe {

std::string version_text(const char* program) {
  return fmt::format("{} {} (commit {}, {}, {})", program, kVersion, kCommit, kCompiler, kBuildFlags);
}

}  // namespace mdpipe
