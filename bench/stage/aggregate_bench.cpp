// The aggregator's core: windows of 20 trades a symbol, after every 10th of a symbol its mean, VWAP, change, minimum
// and maximum. Beside it a deque a symbol, recomputed in doubles each time: with an algorithm a figure (naive), which
// is what one writes first, and with one loop for all.
//
//   aggregate_bench --benchmark_filter=ratios
//
// All see the same million trades in frames of five, each frame made just before it is handed over: in life a frame
// comes out of a cache too, and a million trades read from memory would time the memory. Symbols are drawn by Zipf's
// law. Before anything is timed every metric is compared with the others': they must agree to a billionth (ours are
// exact, the deque's are rounded at each step).

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "symbol_windows.hpp"

namespace mdpipe::bench {
namespace {

constexpr std::size_t kTrades = 1'000'000;
constexpr std::size_t kTradesPerFrame = 5;
constexpr std::uint32_t kWindow = 20;

struct Metric {
  double average;
  double volume_weighted;
  double change_percent;
};

/// What a trade is made of: a million of these stream well.
struct Seed {
  SymbolId symbol_id;
  std::int32_t price_cents;
  std::int32_t size;
};

std::vector<Seed> make_seeds(std::size_t symbols) {
  std::mt19937_64 random(17);
  std::vector<double> cumulated(symbols);
  double sum = 0;
  for (std::size_t i = 0; i < symbols; ++i) {
    sum += 1.0 / static_cast<double>(i + 1);
    cumulated[i] = sum;
  }
  std::uniform_real_distribution<double> uniform(0, sum);
  std::vector<Seed> seeds(kTrades);
  for (Seed& seed : seeds) {
    seed.symbol_id = static_cast<SymbolId>(std::lower_bound(cumulated.begin(), cumulated.end(), uniform(random)) -
                                           cumulated.begin());
    seed.price_cents = static_cast<std::int32_t>(10'000 + random() % 50'000);
    seed.size = static_cast<std::int32_t>(1 + random() % 1000);
  }
  return seeds;
}

using Frame = std::array<Trade, kTradesPerFrame>;

/// Calls `take` with each frame.
template <class Take>
void for_each_frame(const std::vector<Seed>& seeds, const Take& take) {
  static_assert(kTrades % kTradesPerFrame == 0);
  Frame frame{};
  for (std::size_t begin = 0; begin < seeds.size(); begin += kTradesPerFrame) {
    for (std::size_t i = 0; i < kTradesPerFrame; ++i) {
      const Seed& seed = seeds[begin + i];
      frame[i].symbol_id = seed.symbol_id;
      frame[i].price_mantissa = seed.price_cents;
      frame[i].price_exponent = -2;
      frame[i].size_mantissa = seed.size;
      frame[i].size_exponent = 0;
    }
    take(frame);
  }
}

/// Ours, as the stage drives it: a frame's symbols are fetched together, then taken one by one.
class Windows {
 public:
  Windows(std::size_t symbols, std::uint32_t every)
      : windows_({.window = kWindow, .every = every, .precision = std::nullopt}) {
    windows_.grow(symbols);
  }

  template <class Take>
  void run(const std::vector<Seed>& seeds, const Take& take) {
    for_each_frame(seeds, [&](const Frame& frame) {
      for (const Trade& trade : frame) {
        windows_.prefetch(trade.symbol_id);
      }
      for (const Trade& trade : frame) {
        const bool due = windows_.due_next(trade.symbol_id);
        windows_.add(trade.symbol_id, trade);
        if (due) {
          const stage::WindowRatios ratios = windows_.ratios(trade.symbol_id);
          take(Metric{ratios.average_price, ratios.volume_weighted_price, ratios.price_change_percent});
        }
      }
    });
  }

 private:
  stage::SymbolWindows windows_;
};

/// What one writes first: a deque a symbol, an algorithm a figure.
struct PassPerFigure {
  using Trades = std::deque<std::pair<double, double>>;
  static Metric compute(const Trades& trades) {
    const auto by_price = [](const auto& a, const auto& b) { return a.first < b.first; };
    const double prices = std::accumulate(trades.begin(), trades.end(), 0.0,
                                          [](double sum, const auto& trade) { return sum + trade.first; });
    const double sizes = std::accumulate(trades.begin(), trades.end(), 0.0,
                                         [](double sum, const auto& trade) { return sum + trade.second; });
    const double products = std::accumulate(trades.begin(), trades.end(), 0.0, [](double sum, const auto& trade) {
      return sum + trade.first * trade.second;
    });
    benchmark::DoNotOptimize(std::min_element(trades.begin(), trades.end(), by_price)->first);
    benchmark::DoNotOptimize(std::max_element(trades.begin(), trades.end(), by_price)->first);
    const double first = trades.front().first;
    return {prices / static_cast<double>(trades.size()), products / sizes, (trades.back().first - first) / first * 100};
  }
};

/// The same with one loop for all.
struct OnePass {
  using Trades = PassPerFigure::Trades;
  static Metric compute(const Trades& trades) {
    double prices = 0;
    double sizes = 0;
    double products = 0;
    double minimum = trades.front().first;
    double maximum = minimum;
    for (const auto& [price, size] : trades) {
      prices += price;
      sizes += size;
      products += price * size;
      minimum = std::min(minimum, price);
      maximum = std::max(maximum, price);
    }
    benchmark::DoNotOptimize(minimum);
    benchmark::DoNotOptimize(maximum);
    const double first = trades.front().first;
    return {prices / static_cast<double>(trades.size()), products / sizes, (trades.back().first - first) / first * 100};
  }
};

template <class Recompute>
class Deques {
 public:
  Deques(std::size_t symbols, std::uint32_t every) : symbols_(symbols), every_(every) {}

  template <class Take>
  void run(const std::vector<Seed>& seeds, const Take& take) {
    for_each_frame(seeds, [&](const Frame& frame) {
      for (const Trade& trade : frame) {
        Symbol& symbol = symbols_[trade.symbol_id];
        symbol.trades.emplace_back(static_cast<double>(trade.price_mantissa) / 100,
                                   static_cast<double>(trade.size_mantissa));
        if (symbol.trades.size() > kWindow) {
          symbol.trades.pop_front();
        }
        if (++symbol.count == every_) {
          symbol.count = 0;
          take(Recompute::compute(symbol.trades));
        }
      }
    });
  }

 private:
  struct Symbol {
    typename Recompute::Trades trades;
    std::uint64_t count = 0;  // trades since the last metric
  };
  std::vector<Symbol> symbols_;
  const std::uint32_t every_;
};
using NaiveDeques = Deques<PassPerFigure>;
using OnePassDeques = Deques<OnePass>;

template <class Contender>
std::vector<Metric> all_metrics(std::size_t symbols, std::uint32_t every, const std::vector<Seed>& seeds) {
  Contender contender(symbols, every);
  std::vector<Metric> metrics;
  contender.run(seeds, [&](const Metric& metric) { metrics.push_back(metric); });
  return metrics;
}

void compare(const std::vector<Metric>& ours, const std::vector<Metric>& theirs) {
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(b)); };
  bool same = !ours.empty() && ours.size() == theirs.size();
  for (std::size_t i = 0; same && i < ours.size(); ++i) {
    same = near(ours[i].average, theirs[i].average) && near(ours[i].volume_weighted, theirs[i].volume_weighted) &&
           near(ours[i].change_percent, theirs[i].change_percent);
  }
  if (!same) {
    std::fprintf(stderr, "aggregate_bench: the answers differ: nothing to time\n");
    std::exit(1);
  }
}

void prove(std::size_t symbols, std::uint32_t every, const std::vector<Seed>& seeds) {
  const auto ours = all_metrics<Windows>(symbols, every, seeds);
  compare(ours, all_metrics<NaiveDeques>(symbols, every, seeds));
  compare(ours, all_metrics<OnePassDeques>(symbols, every, seeds));
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class Contender>
double seconds_of(Contender& contender, const std::vector<Seed>& seeds) {
  const double begin = processor_seconds();
  contender.run(seeds, [](const Metric& metric) { benchmark::DoNotOptimize(metric); });
  return processor_seconds() - begin;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Alternating rounds; the first, in which windows fill, is not counted.
void ratios(benchmark::State& state) {
  const auto symbols = static_cast<std::size_t>(state.range(0));
  const auto seeds = make_seeds(symbols);
  const auto every = static_cast<std::uint32_t>(state.range(1));
  prove(symbols, every, seeds);
  Windows ours(symbols, every);
  NaiveDeques naive(symbols, every);
  OnePassDeques one_pass(symbols, every);
  (void)seconds_of(ours, seeds);
  (void)seconds_of(naive, seeds);
  (void)seconds_of(one_pass, seeds);
  std::vector<double> our_seconds;
  std::vector<double> naive_seconds;
  std::vector<double> one_pass_seconds;
  for (auto _ : state) {
    our_seconds.push_back(seconds_of(ours, seeds));
    naive_seconds.push_back(seconds_of(naive, seeds));
    one_pass_seconds.push_back(seconds_of(one_pass, seeds));
  }
  const auto rate = [](double seconds) { return static_cast<double>(kTrades) / seconds / 1e6; };
  state.counters["mdpipe_Mtrades/s"] = rate(median(our_seconds));
  state.counters["mdpipe_Mtrades/s_min"] = rate(*std::max_element(our_seconds.begin(), our_seconds.end()));
  state.counters["mdpipe_Mtrades/s_max"] = rate(*std::min_element(our_seconds.begin(), our_seconds.end()));
  state.counters["x_naive_deque"] = median(naive_seconds) / median(our_seconds);
  state.counters["x_one_pass_deque"] = median(one_pass_seconds) / median(our_seconds);
}

/// With the text of each message, which is what the stage does.
void with_text(benchmark::State& state) {
  const auto symbols = static_cast<std::size_t>(state.range(0));
  const auto seeds = make_seeds(symbols);
  stage::SymbolWindows windows({.window = kWindow, .every = 10, .precision = std::nullopt});
  windows.grow(symbols);
  std::string text;
  for (auto _ : state) {
    for_each_frame(seeds, [&](const Frame& frame) {
      for (const Trade& trade : frame) {
        const bool due = windows.due_next(trade.symbol_id);
        windows.add(trade.symbol_id, trade);
        if (due) {
          text.clear();
          windows.append_metric(trade.symbol_id, "\"SYMBOL\"", 1'381'132'800'464, text);
          benchmark::DoNotOptimize(text.data());
        }
      }
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTrades));
}

BENCHMARK(ratios)
    ->Name("aggregate/ratios")
    ->ArgNames({"symbols", "every"})
    ->ArgsProduct({{10, 1000, 100'000}, {1, 10}})
    ->Iterations(9)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(with_text)->Name("aggregate/with_text")->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mdpipe::bench

BENCHMARK_MAIN();
