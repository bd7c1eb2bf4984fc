#pragma once
/// \file
/// Errors as values. Inside mdpipe a function that can fail returns Result<T>; exceptions are for what no caller can
/// mend (out of memory at start-up) and never cross a thread.

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace mdpipe {

/// What kind of failure it is. The numbers are the exit codes of the programs: an error that reaches main() ends the
/// process with its own number.
enum class ErrorCode : int {
  difference = 1,   ///< a check found a difference
  usage = 2,        ///< an option or argument makes no sense
  environment = 3,  ///< port taken, no such file, no broker, a lock held, disk full
  refused = 4,      ///< the feed refused us (authentication, too many connections)
  data = 5,         ///< data refused: damaged, foreign, of another version
};

/// A failure, in words for the person who has to act on it: what was wrong, where, and what to do.
/// Never holds a secret: texts that may quote one go through redact() (secret.hpp) first.
struct Error {
  ErrorCode code;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

/// `return fail(ErrorCode::usage, "…")` from any function that returns a Result.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// "what: No such file or directory", from an errno value.
[[nodiscard]] Error system_error(std::string_view what, int error_number, ErrorCode code = ErrorCode::environment);

/// The exit code of a program that ends with this error.
[[nodiscard]] constexpr int exit_code(const Error& error) noexcept {
  return static_cast<int>(error.code);
}

}  // namespace mdpipe
