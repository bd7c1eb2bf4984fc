#include "run_plan.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/secret.hpp"
#include "mdpipe/base/thread.hpp"

namespace mdpipe::wiring {
namespace {

constexpr const char* kBootstrapDefault = "localhost:9092";

Result<void> plan_feed(const RunOptions& options, feed::SessionOptions& session) {
  session.url = options.feed;
  auto symbols = parse_symbols(options.symbols);
  if (!symbols) {
    return tl::unexpected(symbols.error());
  }
  session.symbols = std::move(*symbols);
  if (!options.token_file.empty()) {
    auto token = read_secret_file(options.token_file);
    if (!token) {
      return tl::unexpected(token.error());
    }
    session.token = std::move(*token);
  } else if (const char* const token = std::getenv("FINNHUB_API_KEY"); token != nullptr) {
    session.token = Secret(token);
  }
  remember_secret(session.token);
  session.ca_file = options.ca_file;
  session.once = options.once;
  session.fail_fast = options.fail_fast;
  session.silence_ns = session.stale_ns = options.silence_s * kNanosecondsPerSecond;
  return feed::Session::check(session);
}

Result<void> plan_stages(const RunOptions& options, RunPlan& plan) {
  const auto stages = split(options.stages, ',');
  if (stages.empty()) {
    return fail(ErrorCode::usage, "--stages: names none; there are publish, aggregate, store");
  }
  for (const std::string_view stage : stages) {
    if (stage == kPublishThread) {
      plan.publishes = true;
    } else if (stage == kAggregateThread) {
      plan.aggregates = true;
    } else if (stage == kStoreThread) {
      plan.stores = true;
    } else {
      return fail(ErrorCode::usage,
                  fmt::format("--stages: there is no stage \"{}\"; there are publish, aggregate, store", stage));
    }
  }
  return {};
}

Result<void> plan_kafka(const RunOptions& options, RunPlan& plan) {
  plan.topics = options.topics;
  if (options.kafka == "none") {
    plan.broker = Broker::none;
    plan.publishes = false;
    return {};
  }
  if (options.kafka == "embedded") {
    plan.broker = Broker::embedded;
    return {};
  }
  auto config = kafka::make_config(options.kafka.empty() ? kBootstrapDefault : options.kafka, options.kafka_properties,
                                   options.kafka_config);
  if (!config) {
    return tl::unexpected(config.error());
  }
  plan.kafka = std::move(*config);
  return {};
}

Result<void> plan_threads_of(const RunOptions& options, RunPlan& plan) {
  std::vector<std::string> threads{kFeedThread};
  if (plan.publishes) {
    threads.emplace_back(kPublishThread);
  }
  if (plan.aggregates) {
    threads.emplace_back(kAggregateThread);
  }
  if (plan.stores) {
    threads.emplace_back(kStoreThread);
  }
  auto planned = plan_threads(threads, options.place, options.idle, usable_cores());
  if (!planned) {
    return tl::unexpected(planned.error());
  }
  plan.threads = std::move(*planned);
  return {};
}

Result<void> plan_journal(const RunOptions& options, journal::WriterOptions& journal) {
  const journal::WriterOptions standard;
  auto keep = parse_keep("--journal-keep", options.journal_keep, {standard.keep_bytes, standard.keep_age_s});
  if (!keep) {
    return tl::unexpected(keep.error());
  }
  journal.directory = options.journal;
  journal.payload_max_bytes = options.frame_max_bytes;
  journal.keep_bytes = keep->bytes;
  journal.keep_age_s = keep->age_s;
  journal.segment_bytes = options.segment_bytes;
  journal.holder = "mdpipe run";
  return {};
}

}  // namespace

Result<RunPlan> make_run_plan(const RunOptions& options) {
  RunPlan plan;
  if (auto done = plan_feed(options, plan.session); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = plan_stages(options, plan); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = plan_kafka(options, plan); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = plan_threads_of(options, plan); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = plan_journal(options, plan.journal); !done) {
    return tl::unexpected(done.error());
  }
  if (options.listen != "none") {
    auto endpoint = parse_endpoint("--listen", options.listen);
    if (!endpoint) {
      return tl::unexpected(endpoint.error());
    }
    plan.listen = *endpoint;
  }
  plan.aggregate.window = options.window;
  plan.aggregate.every = options.every;
  plan.aggregate.precision = options.precision;
  plan.store.directory = options.store;
  plan.store.flush_bytes = options.flush_bytes;
  plan.store.flush_interval_ns = options.flush_ms * kNanosecondsPerMillisecond;
  plan.drain_ns = options.drain_s * kNanosecondsPerSecond;
  return plan;
}

}  // namespace mdpipe::wiring
