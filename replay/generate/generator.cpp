#include "replay/generate/generator.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"
#include "replay/session/byte_source.hpp"
#include "replay/session/json_scanner.hpp"

namespace mdpipe::replay {
namespace {

// Chosen so that with three partitions (murmur2 mod 3, as Kafka's Java client has it) each holds four; the tests hold
// the list against an independent implementation.
constexpr std::array<std::string_view, 12> kSymbols = {
    "AAPL", "GOOGL", "TSLA", "BINANCE:BTCUSDT", "BRK/B", "IC MARKETS:1", "MSFT", "Q\"X", "SPY", "META", "A", "ÄÖ"};

constexpr std::array<std::string_view, 8> kStocks = {"SPY", "AAPL", "MSFT", "TSLA", "GOOGL", "META", "BRK.B", "F"};
constexpr std::array<std::string_view, 6> kCoins = {"BTC", "ETH", "SOL", "XRP", "DOGE", "ADA"};

constexpr std::int64_t kMidnightNs = 1'710'460'800 * kNanosecondsPerSecond;    // 2024-03-15T00:00:00Z
constexpr std::int64_t kPlainStartNs = 1'710'426'600 * kNanosecondsPerSecond;  // 2024-03-14T14:30:00Z
constexpr std::int64_t kBeforeMidnightNs = 20 * kNanosecondsPerSecond;
constexpr std::uint64_t kFrameTradesMax = 10;

/// "AAAA", "AAAB", …, longer where four letters are not enough: apart from those above.
std::string made_up_symbol(std::uint64_t index) {
  std::string letters;
  do {
    letters.insert(letters.begin(), static_cast<char>('A' + index % 26));
    index /= 26;
  } while (index != 0);
  return "X" + std::string(letters.size() < 4 ? 4 - letters.size() : 0, 'A') + letters;
}

/// A decimal of `ticks` times 10^-digits, without trailing zeros, as venues print it.
std::string decimal_text(std::int64_t ticks, int digits) {
  std::string text = fmt::format("{:0{}}", ticks, digits + 1);
  text.insert(text.size() - static_cast<std::size_t>(digits), ".");
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

/// The parts of a braced list are evaluated in order, the arguments of a function are not: and they draw on chance.
void append_parts(std::initializer_list<std::string_view> parts, std::string& out) {
  for (const std::string_view part : parts) {
    out += part;
  }
}

}  // namespace

std::vector<std::string> generated_symbols(std::uint64_t count, Profile profile) {
  std::vector<std::string> symbols;
  if (profile == Profile::stocks || profile == Profile::crypto) {
    for (std::uint64_t i = 0; i < count; ++i) {
      symbols.push_back(
          profile == Profile::stocks
              ? i < kStocks.size() ? std::string(kStocks[i]) : made_up_symbol(i - kStocks.size())
              : "BINANCE:" + (i < kCoins.size() ? std::string(kCoins[i]) : made_up_symbol(i - kCoins.size())) + "USDT");
    }
    return symbols;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    symbols.push_back(i < kSymbols.size() ? std::string(kSymbols[i]) : made_up_symbol(i - kSymbols.size()));
  }
  return symbols;
}

Generator::Generator(const GenerateOptions& options)
    : options_(options),
      odd_(options.profile == Profile::none ? !options.plain : options.profile == Profile::storm),
      random_(options.seed),
      now_ns_(odd_ ? kMidnightNs - kBeforeMidnightNs : kPlainStartNs),
      midnight_ns_(kMidnightNs) {
  for (std::string& symbol : generated_symbols(std::max<std::uint64_t>(options.symbols, 1), options.profile)) {
    const bool crypto = symbol.find(':') != std::string::npos;
    instruments_.push_back({std::move(symbol), crypto, random_.between(500, crypto ? 7'000'000 : 60'000)});
  }
  if (options.profile != Profile::none) {
    weigh_instruments();
  }
}

/// Zipf's law: the n-th symbol has one n-th of the first one's trades. In whole numbers, which are the same everywhere.
void Generator::weigh_instruments() {
  constexpr std::uint64_t kFirst = std::uint64_t{1} << 32U;
  std::uint64_t sum = 0;
  weights_.reserve(instruments_.size());
  for (std::uint64_t rank = 1; rank <= instruments_.size(); ++rank) {
    sum += kFirst / rank;
    weights_.push_back(sum);
  }
}

/// 1, or as often 2 to 3, 4 to 7 half as often, and so on: a tail without a mean, but for its end.
std::uint64_t Generator::doubled(int doublings_max) {
  std::uint64_t number = 1;
  for (int i = 0; i < doublings_max && random_.one_in(2); ++i) {
    number *= 2;
  }
  return number + random_.below(number);
}

bool Generator::next(std::string& out) {
  if (trades_made_ >= options_.trades) {
    return false;
  }
  if (odd(40) && options_.format != SessionFormat::trade) {
    append_other_message(out);
    return true;
  }
  advance_time();
  spaced_ = odd(10);
  std::uint64_t count = random_.one_in(3) ? random_.below(kFrameTradesMax) + 1 : random_.below(3) + 1;
  count = std::min(count, options_.trades - trades_made_);
  const bool thrice = odd(50) && trades_made_ + 3 * count <= options_.trades;
  frame_trades_.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i != 0 && odd(30)) {
      frame_trades_.push_back(frame_trades_.back());  // two identical prints are two prints
      continue;
    }
    const Print print = make_print();
    if (options_.format != SessionFormat::capture) {
      schedule_ns_ = std::max(schedule_ns_, print.time_ms * kNanosecondsPerMillisecond);
    }
    append_trade(print, frame_trades_.emplace_back());
  }
  frame_.clear();
  append_frame(frame_trades_, frame_);
  for (int copy = 0; copy < (thrice ? 3 : 1); ++copy) {
    trades_made_ += count;
    if (options_.format == SessionFormat::trade) {
      for (const std::string& trade : frame_trades_) {
        out.append(trade).append("\n");
      }
    } else {
      append_line(frame_, out);
    }
  }
  return true;
}

/// Bursts, and now and then a quiet moment. Midnight comes at half of the trades at the latest.
void Generator::advance_time() {
  if (options_.profile != Profile::none) {
    advance_in_bursts();
  } else if (random_.one_in(4)) {
    now_ns_ += random_.between(1'000, 3'000'000);
  } else if (random_.one_in(3)) {
    now_ns_ += random_.between(3'000'000, 40'000'000);
  } else if (random_.one_in(200)) {
    now_ns_ += random_.between(300'000'000, 2'000'000'000);
  } else {
    now_ns_ += random_.between(500, 20'000);
  }
  if (odd_ && trades_made_ >= options_.trades / 2 && now_ns_ < midnight_ns_) {
    now_ns_ = midnight_ns_ + random_.between(0, 5'000'000);
  }
}

/// A burst, a distance, a burst, …: in the mean some thousand trades a second.
void Generator::advance_in_bursts() {
  constexpr int kBurstDoublingsMax = 12;
  constexpr int kDistanceDoublingsMax = 14;
  if (burst_frames_ == 0) {
    burst_frames_ = doubled(kBurstDoublingsMax);
    now_ns_ += static_cast<std::int64_t>(doubled(kDistanceDoublingsMax)) * random_.between(100'000, 300'000);
  } else {
    now_ns_ += random_.between(500, 20'000);
  }
  --burst_frames_;
}

/// The first symbols have the most trades.
Generator::Instrument& Generator::pick_instrument() {
  if (!weights_.empty()) {
    const auto at = std::upper_bound(weights_.begin(), weights_.end(), random_.below(weights_.back()));
    return instruments_[static_cast<std::size_t>(at - weights_.begin())];
  }
  const std::uint64_t within = random_.below(instruments_.size()) + 1;
  return instruments_[random_.below(within)];
}

std::string Generator::price_text(Instrument& instrument) {
  const std::int64_t step = instrument.crypto ? 300 : 3;
  instrument.price_ticks = std::max<std::int64_t>(instrument.price_ticks + random_.between(-step, step), 1);
  if (!instrument.crypto && random_.one_in(12)) {  // between the ticks: an average or a midpoint
    return decimal_text(instrument.price_ticks * 100 + random_.between(1, 99), 4);
  }
  return decimal_text(instrument.price_ticks, 2);
}

void Generator::size_and_conditions(const Instrument& instrument, Print& print) {
  if (instrument.crypto) {
    print.conditions = odd(20) ? "" : "null";
    const std::int64_t lots = random_.between(1, 5'000'000);
    print.size = odd(40) ? fmt::format("{}e-{:02}", lots % 9 + 1, lots % 4 + 5) : decimal_text(lots, 6);
  } else if (random_.one_in(3)) {
    print.size = std::to_string(random_.between(1, 99));
    print.conditions = R"(["1","12"])";
  } else {
    print.size = std::to_string(random_.between(1, 20) * 100);
    print.conditions = random_.one_in(10) ? R"(["1","8"])" : R"(["1"])";
  }
  if (odd(60)) {
    print.size = odd(2) ? "0" : "0.0";
  }
  if (odd(30)) {
    constexpr std::array<std::string_view, 4> kOthers = {"", "null", "[]", R"(["1","24","12","41"])"};
    print.conditions = kOthers[random_.below(kOthers.size())];
  }
}

/// In quotes; escaped in one of the ways that JSON allows.
std::string Generator::symbol_text(const std::string& symbol) {
  std::string text = quote(symbol);
  if (odd(4)) {
    if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
      text.insert(slash, "\\");
    } else if (symbol == "ÄÖ") {
      text = R"("\u00c4\u00D6")";
    } else if (odd(8)) {
      text.replace(1, 1, fmt::format("\\u{:04x}", static_cast<unsigned>(symbol.front())));
    }
  }
  return text;
}

Generator::Print Generator::make_print() {
  Instrument& instrument = pick_instrument();
  Print print;
  print.price = price_text(instrument);
  size_and_conditions(instrument, print);
  print.symbol = symbol_text(instrument.symbol);
  latest_exchange_ms_ = std::max(latest_exchange_ms_, floor_to_ms(now_ns_) - random_.between(1, 15));
  print.time_ms = latest_exchange_ms_;
  if (weights_.empty() ? odd(25) : random_.one_in(25)) {
    print.time_ms -= random_.between(24, 156);  // late: out of order
  } else if (odd(100)) {
    print.time_ms += random_.between(20, 1500);  // the venue's clock, or ours, is off
  }
  return print;
}

const char* Generator::blank() {
  if (!spaced_) {
    return "";
  }
  constexpr std::array<const char*, 4> kBlanks = {"", " ", "  ", "\t"};
  return kBlanks[random_.below(kBlanks.size())];
}

void Generator::append_trade(const Print& print, std::string& out) {
  std::array<std::pair<const char*, std::string>, 6> fields;
  std::size_t count = 0;
  if (!print.conditions.empty()) {
    fields[count++] = {"c", print.conditions};
  }
  fields[count++] = {"p", print.price};
  fields[count++] = {"s", print.symbol};
  fields[count++] = {"t", std::to_string(print.time_ms)};
  fields[count++] = {"v", print.size};
  if (odd(50)) {
    fields[count++] = {"x", R"({"venue":[1,{"t":"s"}],"note":"}],\""})"};
  }
  if (odd(8)) {
    for (std::size_t i = count; i > 1; --i) {
      std::swap(fields[i - 1], fields[random_.below(i)]);
    }
  }
  out += '{';
  for (std::size_t i = 0; i < count; ++i) {
    append_parts(
        {i == 0 ? "" : ",", blank(), "\"", fields[i].first, "\"", blank(), ":", blank(), fields[i].second, blank()},
        out);
  }
  out += '}';
}

void Generator::append_frame(const std::vector<std::string>& trades, std::string& out) {
  const bool type_first = odd(15);
  const auto append_type = [&] {
    append_parts({blank(), "\"type\"", blank(), ":", blank(), "\"trade\"", blank()}, out);
  };
  out += '{';
  if (type_first) {
    append_type();
    out += ',';
  }
  append_parts({blank(), "\"data\"", blank(), ":", blank(), "["}, out);
  for (std::size_t i = 0; i < trades.size(); ++i) {
    append_parts({i == 0 ? "" : ",", blank(), trades[i], blank()}, out);
  }
  out += ']';
  out += blank();
  if (!type_first) {
    out += ',';
    append_type();
  }
  out += '}';
}

void Generator::append_line(std::string_view frame, std::string& out) {
  if (options_.format == SessionFormat::frame) {
    out.append(frame).append("\n");
    return;
  }
  schedule_ns_ = now_ns_;
  append_parts({"{\"recv_ns\":", std::to_string(now_ns_), ",\"frame\":", frame, "}\n"}, out);
  now_ns_ += random_.between(100, 2'000);
}

void Generator::append_other_message(std::string& out) {
  constexpr std::array<std::string_view, 4> kMessages = {
      R"({"type":"ping"})", R"({"type":"ping"})", R"({"msg":"Subscribing to too many symbols","type":"error"})",
      R"({"data":[{"headline":"A headline, \"quoted\"","related":"AAPL"}],"type":"news"})"};
  append_line(kMessages[random_.below(kMessages.size())], out);
}

Result<void> write_session(const GenerateOptions& options, const std::filesystem::path& path) {
  constexpr std::size_t kChunkBytes = 64U << 10U;
  auto sink = ByteSink::create(path);
  if (!sink) {
    return tl::unexpected(sink.error());
  }
  Generator generator(options);
  std::string text;
  bool more = true;
  while (more) {
    more = generator.next(text);
    if (text.size() >= kChunkBytes || !more) {
      if (auto written = (*sink)->write(text); !written) {
        return written;
      }
      if (auto marked = (*sink)->mark(generator.schedule_ns()); !marked) {
        return marked;
      }
      text.clear();
    }
  }
  return (*sink)->finish();
}

}  // namespace mdpipe::replay
