#include "mdpipe/base/error.hpp"

#include <system_error>

#include <fmt/format.h>

namespace mdpipe {

Error system_error(std::string_view what, int error_number, ErrorCode code) {
  return Error{code, fmt::format("{}: {}", what, std::generic_category().message(error_number))};
}

}  // namespace mdpipe
