// mdpipe tail: what passes, line by line, on standard output.

#include <unistd.h>

#include "commands.hpp"
#include "mdpipe/base/file.hpp"
#include "signals.hpp"

namespace mdpipe::tools {

int tail(wiring::TailOptions options, const ConsoleOptions& console) {
  if (auto configured = configure_console(console); !configured) {
    return report(configured.error());
  }
  options.colour = ::isatty(STDOUT_FILENO) == 1;
  StoppedBySignal<wiring::Tail>::hear();
  auto opened = wiring::Tail::open(options);
  if (!opened) {
    return report(opened.error());
  }
  const StoppedBySignal stopped(**opened);
  const auto ran =
      (*opened)->run([](std::string_view lines) { return write_all(STDOUT_FILENO, lines, "standard output"); });
  return ran ? 0 : report(ran.error());
}

}  // namespace mdpipe::tools
