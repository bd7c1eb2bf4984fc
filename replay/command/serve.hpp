#pragma once
// mdreplay serve: a session as a venue.

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "mdpipe/base/error.hpp"
#include "replay/command/arguments.hpp"
#include "replay/command/playing.hpp"
#include "replay/serve/faults/example.hpp"
#include "replay/serve/server.hpp"

namespace mdpipe::replay {

struct ServeCommand {
  SessionArguments session;
  PaceArguments pace;
  PlayingArguments playing;
  ServeOptions options;

  void add_to(CLI::App& app) {
    CLI::App* const command =
        app.add_subcommand("serve", "play a session as a WebSocket that speaks Finnhub's protocol");
    command->footer(
        "Plays from when all symbols of the session are subscribed, or 500 ms after the last subscribe; frames are\n"
        "byte for byte the recorded ones, less the trades of symbols that a client has not subscribed.\n"
        "The first line on stdout is \"listening on URL\".\n\n"
        "Example: mdreplay serve us-stocks.jsonl.gz --speed max --once\n"
        "         mdreplay serve us-stocks.jsonl.gz --speed 20 --precise --once --report pacing.html\n"
        "         mdpipe run --feed ws://127.0.0.1:8800 --symbols SPY,AIG,BAC,IBM --once\n\n"
        "Faults on purpose: mdreplay serve us-stocks.jsonl.gz --faults faults.toml --seed 7 --fault-log faults.jsonl\n"
        "What strikes depends on the seed, the connection's and the frame's number, never on time: the same seed "
        "gives\n"
        "the same bytes. A market at max or --rate stands while a fault ends a connection: the next goes on behind "
        "the\n"
        "frame that was struck. What ends a connection by RFC 6455 (not UTF-8, a frame that there is not) is the last\n"
        "that it gets. --fault-log has what is needed to tell each connection's bytes; --log has its messages as "
        "sent.\n"
        "A whole faults.toml, every kind with its keys:\n\n" +
        std::string(kFaultsExample));
    session.add_to(*command);
    command->add_option("--listen", options.listen, "where to listen; port 0: any that is free")
        ->type_name("ADDR:PORT")
        ->capture_default_str();
    pace.add_to(*command);
    playing.add_to(*command);
    command->add_flag("--once", options.once, "after the end: close the clients with 1000 and exit 0");
    command->add_option("--loop", options.rounds, "play it so many times, times going on; 0 = without end")
        ->check(up_to(kRoundsMax))
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--per-client", options.per_client, "each client gets the session from its beginning");
    command->add_option("--tls-cert", options.tls_certificate, "certificate chain (PEM): serve wss instead of ws")
        ->type_name("FILE");
    command->add_option("--tls-key", options.tls_key, "its private key (PEM)")->type_name("FILE");
    command
        ->add_option("--token-file", options.token_file,
                     "refuse clients (401) whose ?token= is not in this file; no file: the environment's "
                     "FINNHUB_API_KEY, where it is set")
        ->type_name("FILE");
    command->add_flag("--one-connection", options.one_connection,
                      "a second client with a token drops both, as at the venue");
    command->add_option("--faults", options.faults, "what is to go wrong on purpose (TOML, see below)")
        ->type_name("FILE");
    command->add_option("--seed", options.seed, "of the faults: the same seed, the same bytes")
        ->check(up_to(kSeedMax))
        ->type_name("N")
        ->capture_default_str();
    command->add_option("--fault-log", options.fault_log, "write each fault that reached the wire, JSON lines")
        ->type_name("FILE");
    command->add_option("--log", options.log, "write what was sent on each connection, JSON lines")->type_name("FILE");
    command->add_option("--ping-interval", options.ping_interval_s, "a ping message after so long a silence; 0 = none")
        ->check(up_to(kSecondsMax))
        ->type_name("SECONDS")
        ->capture_default_str();
    command
        ->add_option("--client-buffer", options.client_buffer_bytes, "paced: cut off a client that is further behind")
        ->check(up_to(kBytesMax))
        ->type_name("BYTES")
        ->capture_default_str();
    command->add_option("--stall-timeout", options.stall_timeout_s, "cut off a client that takes nothing for so long")
        ->check(up_to(kSecondsMax))
        ->type_name("SECONDS")
        ->capture_default_str();
    command->add_option("--max-symbols", options.max_symbols, "subscriptions of a client; beyond: an error message")
        ->check(up_to(kSymbolsMax))
        ->type_name("N")
        ->capture_default_str();
  }

  [[nodiscard]] Result<void> run() {
    const auto session_options = session.options();
    if (!session_options) {
      return tl::unexpected(session_options.error());
    }
    const auto chosen = pace.pace();
    if (!chosen) {
      return tl::unexpected(chosen.error());
    }
    if (const char* const token = std::getenv("FINNHUB_API_KEY"); token != nullptr && options.token_file.empty()) {
      options.token = Secret(token);
    }
    options.session = *session_options;
    options.pace = *chosen;
    options.precise = playing.precise;
    Playing play(playing, options.session, options.pace, options.rounds);
    options.position = &play.position();
    if (auto begun = play.begin(); !begun) {
      return begun;
    }
    const auto report = serve(options, [](const std::string& url) {
      std::fputs(fmt::format("listening on {}\n", url).c_str(), stdout);
      std::fflush(stdout);
    });
    play.finish();
    if (!report) {
      return tl::unexpected(report.error());
    }
    const double seconds =
        static_cast<double>(report->last_sent_ns - report->first_sent_ns) / double{kNanosecondsPerSecond};
    std::fputs(
        fmt::format("sent {} frames, {} trades, {} bytes on {} connections in {:.3f} s ({:.0f} trades/s); {} slow "
                    "clients cut off{}\n",
                    report->frames, report->trades, report->bytes, report->connections, seconds,
                    seconds > 0 ? static_cast<double>(report->trades) / seconds : 0.0, report->clients_cut,
                    options.faults.empty() ? std::string() : fmt::format("; {} faults on purpose", report->faults))
            .c_str(),
        stderr);
    std::fputs(pacing_text(report->pacing).c_str(), stderr);
    return play.report("serve", report->stopped, report->pacing,
                       {{"connections", std::to_string(report->connections)},
                        {"frames", std::to_string(report->frames)},
                        {"trades", std::to_string(report->trades)},
                        {"bytes", std::to_string(report->bytes)},
                        {"clients_cut", std::to_string(report->clients_cut)}});
  }
};

}  // namespace mdpipe::replay
