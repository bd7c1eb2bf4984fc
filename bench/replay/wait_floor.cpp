// What this machine can do at best: a bare clock_nanosleep to due times and, asked so, a spin for the last 0.5 ms; no
// session, no socket. How late each wait ended.
//
//   wait_floor SECONDS WAITS_PER_SECOND [--spin]

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"
#include "replay/pace/lateness.hpp"
#include "replay/pace/wait.hpp"

int main(int argc, char** argv) {
  using namespace mdpipe;
  using namespace mdpipe::replay;
  if (argc < 3) {
    std::fputs("wait_floor SECONDS WAITS_PER_SECOND [--spin]\n", stderr);
    return 2;
  }
  const double seconds = std::atof(argv[1]);
  const double rate = std::atof(argv[2]);
  const bool spin = argc > 3 && std::strcmp(argv[3], "--spin") == 0;
  sleep_without_slack();
  Lateness late;
  const std::int64_t begin_ns = monotonic_clock_ns() + kNanosecondsPerMillisecond;
  const auto waits = static_cast<std::int64_t>(seconds * rate);
  for (std::int64_t wait = 0; wait < waits; ++wait) {
    const std::int64_t due_ns = begin_ns + static_cast<std::int64_t>(static_cast<double>(wait) * 1e9 / rate);
    sleep_until(spin ? due_ns - kSpinNs : due_ns);
    if (spin) {
      spin_until(due_ns);
    }
    late.record(monotonic_clock_ns() - due_ns);
  }
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const double processor_s = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                             static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  std::fputs(fmt::format(R"({{"p50":{},"p99":{},"max":{},"core_percent":{:.1f}}})"
                         "\n",
                         late.quantile_ns(0.5), late.quantile_ns(0.99), late.max_ns(), processor_s / seconds * 100)
                 .c_str(),
             stdout);
  return 0;
}
