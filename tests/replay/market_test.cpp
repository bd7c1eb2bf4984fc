#include "replay/serve/market.hpp"

#include <deque>
#include <limits>
#include <set>
#include <thread>

#include "support.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Schedule, IsAbsoluteAndGoesAsFastAsItIsTold) {
  Schedule schedule(Pace{Pace::Kind::recorded, 4, 0});
  schedule.start(1000);
  EXPECT_EQ(schedule.due_ns(kNoTime, 0), Schedule::kAtOnce);
  EXPECT_EQ(schedule.due_ns(500 * kSecond, 0), 1000);
  EXPECT_EQ(schedule.due_ns(540 * kSecond, 9), 1000 + 10 * kSecond);
  EXPECT_EQ(schedule.due_ns(540 * kSecond, 9), 1000 + 10 * kSecond);  // asking changes nothing
}

TEST(Schedule, AtARateCountsTradesAndNotTimes) {
  Schedule schedule(Pace{Pace::Kind::rate, 1, 1000});
  schedule.start(0);
  EXPECT_EQ(schedule.due_ns(99, 0), 0);
  EXPECT_EQ(schedule.due_ns(5, 2500), 5 * kSecond / 2);
}

TEST(Schedule, PutsWhatIsBeyondAnyClockFarAhead) {
  constexpr std::int64_t kCenturyNs = 3'155'760'000 * kSecond;
  constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max();
  Schedule slow(Pace{Pace::Kind::recorded, 1e-300, 0});
  slow.start(kCenturyNs);
  EXPECT_EQ(slow.due_ns(-kLatest, 0), kCenturyNs);
  EXPECT_GT(slow.due_ns(1 - kLatest, 0), kCenturyNs + kCenturyNs / 2);
  Schedule wide(Pace{Pace::Kind::recorded, 1, 0});
  wide.start(kCenturyNs);
  EXPECT_EQ(wide.due_ns(-kLatest, 0), kCenturyNs);
  EXPECT_GT(wide.due_ns(kLatest, 0), kCenturyNs + kCenturyNs / 2);
  Schedule rate(Pace{Pace::Kind::rate, 1, 1e-300});
  rate.start(kCenturyNs);
  EXPECT_EQ(rate.due_ns(0, 0), kCenturyNs);
  EXPECT_GT(rate.due_ns(0, 1), kCenturyNs + kCenturyNs / 2);
}

TEST(Schedule, GoesOnWhereItStood) {
  Schedule schedule(Pace{Pace::Kind::rate, 1, 1});
  schedule.start(0);
  schedule.stop(3 * kSecond);
  EXPECT_FALSE(schedule.running());
  schedule.start(100 * kSecond);
  EXPECT_EQ(schedule.due_ns(0, 5), 102 * kSecond);
}

/// A session in memory, a batch a frame, given out only where the test has released it.
class ScriptedSource final : public BatchSource {
 public:
  void add(const std::string& symbol, std::int64_t schedule_ns, const std::string& text = {}) {
    auto batch = std::make_unique<Batch>();
    const SymbolId known = symbols_.find(symbol);
    const SymbolId id = symbol.empty() ? SymbolTable::kNone : symbols_.add(symbol);
    if (known == SymbolTable::kNone && !symbol.empty()) {
      batch->new_symbols.push_back(symbol);
    }
    batch->text = text.empty() ? symbol + "@" + std::to_string(schedule_ns) : text;
    const auto length = static_cast<std::uint32_t>(batch->text.size());
    if (!symbol.empty()) {
      batch->elements.push_back({0, length, id, true, 0, 0, 0, 0});
    }
    batch->entries.push_back(
        {0, length, 0, symbol.empty() ? 0U : 1U, 0, length, symbol.empty() ? 0U : 1U, true, schedule_ns, schedule_ns});
    batches_.push_back(std::move(batch));
  }
  void end(std::optional<Error> failure = std::nullopt) {
    auto batch = std::make_unique<Batch>();
    batch->last = true;
    batch->failure = std::move(failure);
    batches_.push_back(std::move(batch));
  }
  std::unique_ptr<Batch> pop() override {
    if (batches_.empty()) {
      return nullptr;
    }
    auto batch = std::move(batches_.front());
    batches_.pop_front();
    return batch;
  }
  void recycle(std::unique_ptr<Batch> batch) override { batch.reset(); }

 private:
  SymbolTable symbols_;
  std::deque<std::unique_ptr<Batch>> batches_;
};

struct Client {
  explicit Client(Market& joined) : market(joined), subscriber(joined.symbols(), out) { market.join(subscriber); }
  void subscribe(const std::string& symbol, std::int64_t now_ns = 0) {
    subscriber.subscribe(symbol);
    market.on_subscribed(now_ns);
  }
  /// What the kernel would get: the texts since the last call.
  std::vector<std::string> taken() {
    std::vector<std::string> texts;
    while (!out.front().empty()) {
      out.taken(out.front().size(), [&](const OutQueue::Sent& sent) { texts.emplace_back(sent.text); });
    }
    return texts;
  }
  Market& market;
  OutQueue out;
  Subscriber subscriber;
};

using Texts = std::vector<std::string>;

TEST(Market, StandsUntilEverySymbolOfTheSessionIsSubscribed) {
  ScriptedSource source;
  source.add("A", 0);
  source.add("B", 0);
  source.end();
  Market market(Pace{Pace::Kind::max, 1, 0}, source);
  const std::set<std::string> all = {"A", "B"};
  market.set_session_symbols(all);
  EXPECT_EQ(market.advance(0).state, Market::State::wait_for_event);
  Client first(market);
  Client second(market);
  first.subscribe("A", 10);
  EXPECT_EQ(market.advance(20).at_ns, 10 + Market::kGraceNs);
  EXPECT_FALSE(market.begun());
  second.subscribe("B", 30);
  EXPECT_EQ(market.advance(40).state, Market::State::ended);
  EXPECT_EQ(first.taken(), Texts{"A@0"});
  EXPECT_EQ(second.taken(), Texts{"B@0"});
}

TEST(Market, BeginsHalfASecondAfterTheLastSubscribeWhereSymbolsAreMissingOrUnknown) {
  ScriptedSource source;
  source.add("A", 0);
  source.end();
  Market market(Pace{Pace::Kind::max, 1, 0}, source);
  Client client(market);
  client.subscribe("X", 100);
  client.subscribe("Y", 200);
  EXPECT_EQ(market.advance(200 + Market::kGraceNs - 1).state, Market::State::wait_until);
  EXPECT_EQ(market.advance(200 + Market::kGraceNs).state, Market::State::ended);
  EXPECT_EQ(client.taken(), Texts{});
}

TEST(Market, PlaysWhatIsDueAndSaysWhenTheNextIs) {
  ScriptedSource source;
  source.add("A", 1000 * kSecond);
  source.add("A", 1000 * kSecond);
  source.add("A", 1010 * kSecond);
  source.end();
  Market market(Pace{Pace::Kind::recorded, 2, 0}, source);
  const std::set<std::string> all = {"A"};
  market.set_session_symbols(all);
  Client client(market);
  client.subscribe("A", 7);
  const auto step = market.advance(7);
  EXPECT_EQ(step.state, Market::State::wait_until);
  EXPECT_EQ(step.at_ns, 7 + 5 * kSecond);
  EXPECT_EQ(client.taken().size(), 2U);
  EXPECT_EQ(market.advance(step.at_ns - 1).at_ns, step.at_ns);
  EXPECT_EQ(market.advance(step.at_ns).state, Market::State::ended);
  EXPECT_EQ(client.taken(), Texts{"A@1010000000000"});
}

TEST(Market, StandsWhileNobodyListensUnlessItIsPaced) {
  for (const bool paced : {false, true}) {
    ScriptedSource source;
    for (std::int64_t i = 0; i < 4; ++i) {
      source.add("A", i * kSecond);
    }
    source.end();
    Market market(paced ? Pace{Pace::Kind::recorded, 1, 0} : Pace{Pace::Kind::rate, 1, 1}, source);
    const std::set<std::string> all = {"A"};
    market.set_session_symbols(all);
    {
      Client client(market);
      client.subscribe("A", 0);
      (void)market.advance(kSecond);  // the clock starts when it is first asked
      EXPECT_EQ(client.taken().size(), 1U);
      market.leave(client.subscriber);
    }
    const auto idle = market.advance(kSecond + 10);
    EXPECT_EQ(idle.state == Market::State::wait_for_event, !paced);
    (void)market.advance(3 * kSecond);  // at its pace, two more have gone by now
    Client late(market);
    late.subscribe("A", 100 * kSecond);
    (void)market.advance(100 * kSecond);
    const auto texts = late.taken();
    EXPECT_EQ(texts, paced ? Texts{"A@3000000000"} : Texts{});
    if (!paced) {
      EXPECT_EQ(market.advance(101 * kSecond).state, Market::State::wait_until);
      EXPECT_EQ(late.taken(), Texts{"A@1000000000"});
    }
  }
}

TEST(Market, WaitsForTheSlowestClientAtMaxAndLosesNothing) {
  ScriptedSource source;
  const std::string big(Market::kRoomBytes / 2, 'x');
  for (int i = 0; i < 10; ++i) {
    source.add("A", i, big + std::to_string(i));
  }
  source.end();
  Market market(Pace{Pace::Kind::max, 1, 0}, source);
  const std::set<std::string> all = {"A"};
  market.set_session_symbols(all);
  Client quick(market);
  Client slow(market);
  quick.subscribe("A");
  slow.subscribe("A");
  Texts quick_texts;
  Texts slow_texts;
  const auto drain = [](Client& client, Texts& into) {
    for (auto& text : client.taken()) {
      into.push_back(text.substr(text.size() - 1));
    }
  };
  EXPECT_EQ(market.advance(0).state, Market::State::wait_for_event);
  for (int round = 0; round < 3; ++round) {
    drain(quick, quick_texts);
    EXPECT_EQ(market.advance(0).state, Market::State::wait_for_event);
    EXPECT_LT(slow.out.size(), Market::kRoomBytes * 2);
  }
  EXPECT_EQ(quick_texts.size(), 2U);
  while (market.advance(0).state != Market::State::ended) {
    drain(quick, quick_texts);
    drain(slow, slow_texts);
  }
  drain(quick, quick_texts);
  drain(slow, slow_texts);
  EXPECT_EQ(quick_texts, (Texts{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
  EXPECT_EQ(slow_texts, quick_texts);
}

TEST(Market, GivesFramesWithoutTradesToAllAndTradesToThoseWhoWantThem) {
  ScriptedSource source;
  source.add("A", 0);
  source.add("", 0, "ping");
  source.add("B", 0);
  source.end(Error{ErrorCode::data, "damaged"});
  Market market(Pace{Pace::Kind::max, 1, 0}, source);
  Client a(market);
  Client both(market);
  Client none(market);
  a.subscribe("A");
  both.subscribe("A");
  both.subscribe("B");
  a.subscribe("B");
  a.subscriber.unsubscribe("B");
  EXPECT_EQ(market.advance(Market::kGraceNs).state, Market::State::failed);
  EXPECT_EQ(market.failure()->message, "damaged");
  EXPECT_EQ(a.taken(), (Texts{"A@0", "ping"}));
  EXPECT_EQ(both.taken(), (Texts{"A@0", "ping", "B@0"}));
  EXPECT_EQ(none.taken(), Texts{"ping"});
}

TEST(ReadAhead, GivesTheSessionWholeAndInOrderRoundAfterRound) {
  const ScratchFolder folder;
  std::string text;
  std::vector<std::string> frames;
  for (int i = 0; i < 20'000; ++i) {
    frames.push_back(frame_text({trade_text("S" + std::to_string(i % 300), 1'000 + i), trade_text("Z", 5)}));
    text += frames.back() + "\n";
  }
  SessionOptions options;
  options.paths = {folder.write("s", text)};
  ReadAhead ahead(options, 2, [] {});
  ASSERT_TRUE(ahead.start());
  std::size_t seen = 0;
  std::vector<std::string> symbols;
  for (bool last = false; !last;) {
    auto batch = ahead.pop();
    if (batch == nullptr) {
      std::this_thread::yield();
      continue;
    }
    symbols.insert(symbols.end(), batch->new_symbols.begin(), batch->new_symbols.end());
    for (const auto& entry : batch->entries) {
      ASSERT_EQ(batch->text_of(entry), frames[seen % frames.size()]);
      // The second round begins where the first one ended.
      const auto round = static_cast<std::int64_t>(seen / frames.size());
      ASSERT_EQ(entry.schedule_ns,
                (1'000 + static_cast<std::int64_t>(seen % frames.size()) + round * 19'999) * 1'000'000);
      ASSERT_EQ(symbols.at(batch->elements[entry.first_element].symbol),
                "S" + std::to_string(seen % frames.size() % 300));
      ++seen;
    }
    last = batch->last;
    EXPECT_FALSE(batch->failure);
    ahead.recycle(std::move(batch));
  }
  EXPECT_EQ(seen, 2 * frames.size());
}

TEST(ReadAhead, PlaysWhatIsGoodAndThenSaysWhereTheSessionIsDamaged) {
  const ScratchFolder folder;
  SessionOptions options;
  options.paths = {folder.write("s", "{\"type\":\"ping\"}\n{\"type\":\n")};
  ReadAhead ahead(options, 0, [] {});
  ASSERT_TRUE(ahead.start());
  std::unique_ptr<Batch> batch;
  while ((batch = ahead.pop()) == nullptr) {
    std::this_thread::yield();
  }
  EXPECT_EQ(batch->entries.size(), 1U);
  ASSERT_TRUE(batch->last && batch->failure);
  EXPECT_NE(batch->failure->message.find("s:2:"), std::string::npos);
}

TEST(ReadAhead, EndsAtOnceWhereNobodyTakesWhatItReads) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    text += frame_text({trade_text("A", i)}) + "\n";
  }
  SessionOptions options;
  options.paths = {folder.write("s", text)};
  ReadAhead ahead(options, 0, [] {});
  ASSERT_TRUE(ahead.start());
}

}  // namespace
}  // namespace mdpipe::replay
