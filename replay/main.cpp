// mdreplay: recorded sessions, looked at, made up and played.

#include <cstdio>
#include <exception>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/secret.hpp"
#include "mdpipe/wiring/command_line.hpp"
#include "replay/command/convert.hpp"
#include "replay/command/generate.hpp"
#include "replay/command/info.hpp"
#include "replay/command/kafka.hpp"
#include "replay/command/serve.hpp"
#include "replay/command/verify.hpp"

namespace mdpipe::replay {
namespace {

int run(int argc, const char* const* argv) {
  CLI::App app("Recorded market data sessions: look at them, make them up, play them.", "mdreplay");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 a check found a difference, 2 usage, 3 the environment (port taken, no such file, no\n"
      "broker), 5 data refused (a session that is damaged or none). Every option can be MDPIPE_<OPTION> in the "
      "environment or a key in --config FILE.");
  InfoCommand info;
  ServeCommand serve;
  KafkaCommand kafka;
  GenerateCommand generate;
  VerifyCommand verify;
  ConvertCommand convert;
  info.add_to(app);
  generate.add_to(app);
  serve.add_to(app);
  kafka.add_to(app);
  verify.add_to(app);
  convert.add_to(app);
  if (const int code = wiring::parse_command_line(app, argc, argv); code >= 0) {
    return code;
  }
  const auto done = app.got_subcommand("info")       ? info.run()
                    : app.got_subcommand("generate") ? generate.run()
                    : app.got_subcommand("kafka")    ? kafka.run()
                    : app.got_subcommand("verify")   ? verify.run()
                    : app.got_subcommand("convert")  ? convert.run()
                                                     : serve.run();
  for (const SessionArguments* const session :
       {&info.session, &serve.session, &kafka.session, &verify.session, &convert.session}) {
    session->say_skipped();
  }
  if (!done) {
    std::fputs(fmt::format("mdreplay: {}\n", redact(done.error().message)).c_str(), stderr);
    return exit_code(done.error());
  }
  return 0;
}

}  // namespace
}  // namespace mdpipe::replay

int main(int argc, char** argv) {
  try {
    return mdpipe::wiring::end_with("mdreplay", mdpipe::replay::run(argc, argv));
  } catch (const std::exception& error) {
    std::fputs(fmt::format("mdreplay: {}\n", mdpipe::redact(error.what())).c_str(), stderr);
    return static_cast<int>(mdpipe::ErrorCode::environment);
  }
}
