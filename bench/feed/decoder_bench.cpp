/// \file
/// The decoder beside its peers, on 100,000 distinct messages of about 5 trades.
///
///      message store (cold) --memcpy--> one claim (hot) --decode in place--> trades
///
/// Every contender pays the same copy, which is the floor. Before anything is timed each contender's trades are held
/// against the decoder's. The `ratios` rows run all contenders in turn, again and again, and report medians: that is
/// the figure to quote, since all of it was measured under the same weather.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "decoder_peers.hpp"
#include "mdpipe/feed/decoder.hpp"

namespace mdpipe::bench {
namespace {

constexpr std::size_t kMessages = 100'000;
constexpr std::size_t kMessageMaxBytes = 8192;

enum class Shape { usual, shuffled_and_spaced };

class Messages {
 public:
  explicit Messages(Shape shape) : shape_(shape), random_(7) {
    for (std::size_t i = 0; i < kMessages; ++i) {
      const std::string message = make();
      offsets_.push_back(bytes_.size());
      bytes_ += message;
    }
    offsets_.push_back(bytes_.size());
    bytes_.append(kClaimPaddingBytes, '\0');
    room_.resize(record_length(kMessageMaxBytes, kMessageMaxBytes / kTradeTextMinBytes) / sizeof(Trade) + 2);
  }

  [[nodiscard]] std::size_t trades() const { return trades_; }
  [[nodiscard]] std::size_t bytes() const { return offsets_.back(); }
  [[nodiscard]] SymbolTable& symbols() { return symbols_; }
  [[nodiscard]] std::size_t length(std::size_t i) const { return offsets_[i + 1] - offsets_[i]; }

  /// Copies the message to the claim.
  FrameClaim copy(std::size_t i) {
    const FrameClaim claim(reinterpret_cast<std::byte*>(room_.data()), kMessageMaxBytes);
    std::memcpy(claim.payload(), bytes_.data() + offsets_[i], length(i));
    return claim;
  }

 private:
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  std::string blanks() { return shape_ == Shape::usual ? "" : std::string(below(3), below(8) == 0 ? '\n' : ' '); }

  std::string object(std::vector<std::string> members) {
    if (shape_ != Shape::usual) {
      std::shuffle(members.begin(), members.end(), random_);
    }
    std::string text = "{";
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::size_t colon = members[i].find("\":") + 1;
      text += (i == 0 ? "" : ",") + blanks() + members[i].substr(0, colon) + blanks() + ":" + blanks() +
              members[i].substr(colon + 1) + blanks();
    }
    return text + "}";
  }

  std::string make() {
    const std::size_t count = 1 + below(9);
    const bool crypto = below(5) == 0;
    std::string symbol = name(crypto);
    std::string list = "[";
    for (std::size_t i = 0; i < count; ++i) {
      if (below(4) == 0) {
        symbol = name(crypto);
      }
      list += (i == 0 ? "" : "," + blanks()) + trade(symbol, crypto);
      ++trades_;
    }
    return object({"\"data\":" + list + "]", "\"type\":\"trade\""});
  }

  std::string name(bool crypto) {
    const std::size_t index = below(crypto ? 20 : 500);
    std::string text = crypto ? "BINANCE:" : "";
    for (std::size_t rest = index * 7919 + 26; rest != 0; rest /= 26) {
      text.push_back(static_cast<char>('A' + rest % 26));
    }
    text += crypto ? "USDT" : "";
    symbols_.add(text);
    return text;
  }

  std::string trade(const std::string& symbol, bool crypto) {
    char price[32];
    char size[32];
    std::snprintf(price, sizeof price, "%.*f", crypto ? 2 : static_cast<int>(2 + below(3)),
                  static_cast<double>(crypto ? below(7'000'000) + 1 : below(400'000) + 100) / 100.0 +
                      static_cast<double>(below(100)) / 10'000.0);
    if (crypto) {
      std::snprintf(size, sizeof size, "%.6f", static_cast<double>(below(2'000'000)) / 1e6);
    } else {
      std::snprintf(size, sizeof size, "%zu", below(3) == 0 ? 100 * (1 + below(10)) : 1 + below(300));
    }
    static const std::vector<std::string> lists = {"[\"1\"]", "[\"1\",\"12\"]", "[\"1\",\"8\",\"12\"]",
                                                   "[\"1\",\"24\",\"12\"]", "[]"};
    time_ms_ += below(3);
    return object({"\"c\":" + (crypto ? "null" : lists[below(lists.size())]), std::string("\"p\":") + price,
                   "\"s\":\"" + symbol + "\"", "\"t\":" + std::to_string(time_ms_), std::string("\"v\":") + size});
  }

  Shape shape_;
  std::mt19937_64 random_;
  std::string bytes_;
  std::vector<std::size_t> offsets_;
  std::vector<Trade> room_;
  SymbolTable symbols_;
  std::size_t trades_ = 0;
  std::size_t time_ms_ = 1'700'000'000'000;
};

Messages& messages(Shape shape) {
  static Messages usual(Shape::usual);
  static Messages shuffled(Shape::shuffled_and_spaced);
  return shape == Shape::usual ? usual : shuffled;
}

/// Reads message `i`; how many trades it had.
using Contender = std::function<std::size_t(Messages&, std::size_t)>;

std::size_t copy_only(Messages& all, std::size_t i) {
  const FrameClaim claim = all.copy(i);
  benchmark::DoNotOptimize(claim.payload());
  benchmark::ClobberMemory();
  return 0;
}

Contender decoder_contender() {
  auto decoder = std::make_shared<feed::Decoder>(kMessageMaxBytes);
  return [decoder](Messages& all, std::size_t i) {
    return std::size_t{decoder->decode(all.copy(i), all.length(i), all.symbols()).trade_count};
  };
}

Contender peer_contender(const std::shared_ptr<Peer>& peer) {
  return [peer](Messages& all, std::size_t i) {
    return peer->read(all.copy(i).payload(), all.length(i), all.symbols()).size();
  };
}

[[noreturn]] void fail_proof(std::string_view peer, std::size_t i) {
  std::fprintf(stderr, "%.*s and the decoder disagree on message %zu\n", static_cast<int>(peer.size()), peer.data(), i);
  std::exit(1);
}

bool same_number(double real, Decimal exact, Decimal ours) {
  return std::strtod(to_string(ours).c_str(), nullptr) == real || (real == 0 && compare(exact, ours) == 0);
}

/// Every trade of every message, member by member.
void prove(std::string_view name, Peer& peer, Messages& all) {
  feed::Decoder decoder(kMessageMaxBytes);
  std::size_t trades = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    FrameClaim claim = all.copy(i);
    const feed::DecodeResult result = decoder.decode(claim, all.length(i), all.symbols());
    const Trade* const begin = claim.trades(all.length(i));
    const std::vector<Trade> ours(begin, begin + result.trade_count);
    trades += ours.size();
    claim = all.copy(i);
    const std::vector<PeerTrade>& theirs = peer.read(claim.payload(), all.length(i), all.symbols());
    if (result.fell_back || result.kind != FrameKind::trades || theirs.size() != ours.size()) {
      fail_proof(name, i);
    }
    for (std::size_t k = 0; k < ours.size(); ++k) {
      const char* const text = reinterpret_cast<const char*>(claim.record()) + ours[k].text_offset;
      if (!same_number(theirs[k].price, theirs[k].exact_price, ours[k].price()) ||
          !same_number(theirs[k].size, theirs[k].exact_size, ours[k].size()) ||
          theirs[k].time_ms != ours[k].exchange_time_ms() || theirs[k].conditions != ours[k].conditions ||
          theirs[k].symbol_id != ours[k].symbol_id ||
          (!theirs[k].text.empty() &&
           (theirs[k].text.data() != text || theirs[k].text.size() != ours[k].text_length))) {
        fail_proof(name, i);
      }
    }
  }
  if (trades != all.trades()) {
    fail_proof("the generator", trades);
  }
}

struct Named {
  std::string name;
  Contender run;
};

std::vector<Named> contenders() {
  std::vector<Named> all = {{"memcpy_alone", copy_only}, {"mdpipe", decoder_contender()}};
  const auto add = [&](const std::string& name, const std::shared_ptr<Peer>& peer) {
    prove(name, *peer, messages(Shape::usual));
    prove(name, *peer, messages(Shape::shuffled_and_spaced));
    all.push_back({name, peer_contender(peer)});
  };
  add("simdjson_ondemand_slices", make_simdjson_ondemand());
  add("simdjson_ondemand_slices_exact", make_simdjson_ondemand_exact());
  add("simdjson_dom", make_simdjson_dom());
  add("rapidjson_in_situ", make_rapidjson_in_situ());
  return all;
}

/// Of this thread's processor time, so that a busy neighbour takes nothing from one contender alone.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_of(const Contender& run, Messages& all) {
  const double begin = processor_seconds();
  std::size_t trades = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    trades += run(all, i);
  }
  benchmark::DoNotOptimize(trades);
  return processor_seconds() - begin;
}

void alone(benchmark::State& state, const Named& contender, Shape shape) {
  Messages& all = messages(shape);
  for (auto _ : state) {
    benchmark::DoNotOptimize(seconds_of(contender.run, all));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(all.trades()));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(all.bytes()));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// How many times as fast as each peer, copy included; medians over the rounds.
void ratios(benchmark::State& state, const std::vector<Named>& all, Shape shape) {
  std::vector<std::vector<double>> seconds(all.size());
  for (auto _ : state) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      seconds[i].push_back(seconds_of(all[i].run, messages(shape)));
    }
  }
  const auto trades = static_cast<double>(messages(shape).trades());
  const double ours = median(seconds[1]);
  state.counters["mdpipe_Mtrades/s"] = trades / ours / 1e6;
  state.counters["mdpipe_Mtrades/s_min"] = trades / *std::max_element(seconds[1].begin(), seconds[1].end()) / 1e6;
  state.counters["mdpipe_Mtrades/s_max"] = trades / *std::min_element(seconds[1].begin(), seconds[1].end()) / 1e6;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != 1) {
      state.counters["x_" + all[i].name] = median(seconds[i]) / ours;
    }
  }
}

}  // namespace
}  // namespace mdpipe::bench

int main(int argc, char** argv) {
  using namespace mdpipe::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  const std::vector<Named> all = contenders();
  for (const auto& [shape, words] : {std::pair{Shape::usual, std::string("usual")},
                                     std::pair{Shape::shuffled_and_spaced, std::string("shuffled_and_spaced")}}) {
    for (const Named& one : all) {
      benchmark::RegisterBenchmark(("decoder/" + words + "/" + one.name).c_str(), [&one, shape = shape](
                                                                                      benchmark::State& state) {
        alone(state, one, shape);
      })->Unit(benchmark::kMillisecond);
    }
    benchmark::RegisterBenchmark(("decoder/" + words + "/ratios").c_str(),
                                 [&all, shape = shape](benchmark::State& state) { ratios(state, all, shape); })
        ->Iterations(7)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
