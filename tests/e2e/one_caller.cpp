// One caller that drives everything: it reads a session, writes the journal and steps every stage, all on its own
// thread. What comes out must be what mdpipe's pinned threads give.
//
//   one_caller SESSION JOURNAL KAFKA RAW-TOPIC METRICS-TOPIC DEAD-LETTER-TOPIC STORE

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "mdpipe/feed/decoder.hpp"
#include "mdpipe/journal/writer.hpp"
#include "mdpipe/runner/invoker.hpp"
#include "mdpipe/stage/aggregate.hpp"
#include "mdpipe/stage/outbox.hpp"
#include "mdpipe/stage/publish.hpp"
#include "mdpipe/stage/store.hpp"
#include "replay/session/session.hpp"

namespace mdpipe {
namespace {

constexpr std::size_t kOutboxSlots = 1U << 13U;
constexpr int kFramesBetweenSteps = 7;
constexpr std::size_t kIdleRoundsMax = 2'000'000'000;  // minutes: a broker may be slow

struct Arguments {
  std::string session;
  std::string journal;
  std::string kafka;
  std::string raw;
  std::string metrics;
  std::string dead_letters;
  std::string store;
};

Result<void> feed(const Arguments& arguments, journal::Writer& writer, runner::Invoker& invoker) {
  SymbolTable symbols;
  replay::SessionOptions options;
  options.paths = {arguments.session};
  auto frames = replay::open_sessions(options, symbols);
  if (!frames) {
    return tl::unexpected(frames.error());
  }
  feed::Decoder decoder(512U << 10U);
  replay::SessionFrame frame;
  for (int i = 1;; ++i) {
    const auto more = (*frames)->next(frame);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more) {
      return {};
    }
    FrameClaim claim;
    while (!(claim = writer.claim())) {
      invoker.step();
    }
    std::memcpy(claim.payload(), frame.text.data(), frame.text.size());
    std::memset(claim.payload() + frame.text.size(), 0, kClaimPaddingBytes);
    const auto decoded = decoder.decode(claim, frame.text.size(), writer.symbols());
    const std::int64_t receive_time_ns = frame.receive_time_ns.value_or(frame.time_ns);
    for (std::uint32_t trade = 0; trade < decoded.trade_count; ++trade) {
      claim.trades(frame.text.size())[trade].receive_time_ns = receive_time_ns;
    }
    writer.commit(claim, {static_cast<std::uint32_t>(frame.text.size()), decoded.trade_count, decoded.kind,
                          decoded.reason, receive_time_ns});
    if (i % kFramesBetweenSteps == 0) {
      invoker.step();
    }
  }
}

Result<void> run(const Arguments& arguments) {
  journal::WriterOptions journal;
  journal.directory = arguments.journal;
  auto writer = journal::Writer::open(journal);
  if (!writer) {
    return tl::unexpected(writer.error());
  }
  const auto outbox = stage::Outbox::make();
  stage::PublishOptions publish_options;
  auto kafka = kafka::make_config(arguments.kafka, {}, {});
  if (!kafka) {
    return tl::unexpected(kafka.error());
  }
  publish_options.kafka = *kafka;
  publish_options.topics = {arguments.raw, arguments.metrics, "", arguments.dead_letters};
  publish_options.source = (*writer)->journal_id();
  publish_options.begin.emplace();  // all of the topics is scanned: they are new
  const auto publish = stage::Publish::make(publish_options, outbox.get());
  stage::AggregateOptions aggregate_options;
  aggregate_options.source = (*writer)->journal_id();
  const auto aggregate = stage::Aggregate::make(aggregate_options, outbox->port(kOutboxSlots));
  stage::StoreOptions store_options;
  store_options.directory = arguments.store;
  store_options.source = (*writer)->journal_id();
  const auto store = stage::Store::open(store_options);
  if (!store) {
    return tl::unexpected(store.error());
  }
  runner::Invoker invoker;
  const auto reader = [&](Position after) { return (*writer)->reader(after); };
  for (Stage* const one :
       {static_cast<Stage*>(publish.get()), static_cast<Stage*>(aggregate.get()), static_cast<Stage*>(store->get())}) {
    invoker.add(reader, *one);
  }
  if (auto fed = feed(arguments, **writer, invoker); !fed) {
    return fed;
  }
  const bool drained = invoker.drain(kIdleRoundsMax);
  if (invoker.failure()) {
    return tl::unexpected(*invoker.failure());
  }
  if (!drained) {
    return fail(ErrorCode::environment, "a stage waits for what does not come");
  }
  for (Stage* const one :
       {static_cast<Stage*>(publish.get()), static_cast<Stage*>(aggregate.get()), static_cast<Stage*>(store->get())}) {
    one->close();
  }
  std::printf("trades %llu metrics %llu stored %llu\n",
              static_cast<unsigned long long>(publish->figures().trades_acknowledged.get()),
              static_cast<unsigned long long>(publish->figures().metrics_acknowledged.get()),
              static_cast<unsigned long long>((*store)->figures().trades.get()));
  return {};
}

}  // namespace
}  // namespace mdpipe

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fputs("one_caller SESSION JOURNAL KAFKA RAW-TOPIC METRICS-TOPIC DEAD-LETTER-TOPIC STORE\n", stderr);
    return 2;
  }
  const auto done = mdpipe::run({argv[1], argv[2], argv[3], argv[4], argv[5], argv[6], argv[7]});
  if (!done) {
    std::fprintf(stderr, "one_caller: %s\n", done.error().message.c_str());
    return mdpipe::exit_code(done.error());
  }
  return 0;
}
