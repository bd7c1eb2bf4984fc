// mdpipe run: feed → journal → publish, aggregate, store, until the feed ends or a signal comes.

#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "commands.hpp"
#include "mdpipe/ops/log.hpp"
#include "mdpipe/wiring/pipeline.hpp"
#include "signals.hpp"

namespace mdpipe::tools {

namespace {

/// A core dump would hold the token.
void leave_no_core(const wiring::RunOptions& options) {
  if (!options.token_file.empty() || std::getenv("FINNHUB_API_KEY") != nullptr) {
    ::prctl(PR_SET_DUMPABLE, 0);
  }
}

}  // namespace

Result<void> configure_console(const ConsoleOptions& console) {
  auto format = ops::parse_log_format(console.log_format);
  if (!format) {
    return tl::unexpected(format.error());
  }
  auto level = ops::parse_log_level(console.log_level);
  if (!level) {
    return tl::unexpected(level.error());
  }
  ops::configure_log(*format, *level);
  return {};
}

int run(const wiring::RunOptions& options, const ConsoleOptions& console) {
  if (auto configured = configure_console(console); !configured) {
    return report(configured.error());
  }
  StoppedBySignal<wiring::Pipeline>::hear();
  leave_no_core(options);
  auto pipeline = wiring::Pipeline::open(options);
  if (!pipeline) {
    return report(pipeline.error());
  }
  const StoppedBySignal stopped(**pipeline);
  const bool live = console.progress || ::isatty(STDERR_FILENO) == 1;
  const auto ran = (*pipeline)->run(live ? std::function<void(const std::string&)>(ops::print_line) : nullptr);
  const wiring::RunSummary summary = (*pipeline)->summary();
  std::fputs(summary.text().c_str(), stdout);
  int code = ran ? 0 : report(ran.error());
  if (ran && summary.contradicts_itself()) {
    code = report(Error{ErrorCode::difference, "the counts above do not add up, though nothing is left to do"});
  }
  if ((*pipeline)->hangs()) {
    std::fflush(stdout);
    std::_Exit(code);
  }
  return code;
}

}  // namespace mdpipe::tools
