// mdpipe store, mdpipe aggregate: a stage on a Kafka topic, as a member of a group or of fixed partitions.

#include <unistd.h>

#include <cstdio>

#include "commands.hpp"
#include "mdpipe/ops/log.hpp"
#include "signals.hpp"

namespace mdpipe::tools {

int consume(const wiring::ConsumerOptions& options, const ConsoleOptions& console) {
  if (auto configured = configure_console(console); !configured) {
    return report(configured.error());
  }
  StoppedBySignal<wiring::ConsumerPipeline>::hear();
  auto consumer = wiring::ConsumerPipeline::open(options);
  if (!consumer) {
    return report(consumer.error());
  }
  const StoppedBySignal stopped(**consumer);
  const bool live = console.progress || ::isatty(STDERR_FILENO) == 1;
  const auto ran = (*consumer)->run(live ? std::function<void(const std::string&)>(ops::print_line) : nullptr);
  std::fputs((*consumer)->summary().text().c_str(), stdout);
  return ran ? 0 : report(ran.error());
}

}  // namespace mdpipe::tools
