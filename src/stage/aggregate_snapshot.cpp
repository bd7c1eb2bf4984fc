#include "aggregate_snapshot.hpp"

#include <cstring>

#include <fmt/core.h>

namespace mdpipe::stage {
namespace {

template <class T>
void put(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_trade(const PriceSize& trade, std::string& out) {
  put(trade.price.mantissa, out);
  put(trade.size.mantissa, out);
  put(trade.price.exponent, out);
  put(trade.size.exponent, out);
}

void put_head(std::string_view text, std::uint64_t count, std::size_t trades, std::string& out) {
  put(static_cast<std::uint32_t>(text.size()), out);
  out.append(text);
  put(count, out);
  put(static_cast<std::uint32_t>(trades), out);
}

/// Takes values from the front; after a false it has said that the bytes end too early.
class Bytes {
 public:
  explicit Bytes(std::string_view rest) : rest_(rest) {}

  template <class T>
  [[nodiscard]] bool take(T& value) {
    std::string_view bytes;
    if (!take(sizeof value, bytes)) {
      return false;
    }
    std::memcpy(&value, bytes.data(), sizeof value);
    return true;
  }
  [[nodiscard]] bool take(std::size_t count, std::string_view& bytes) {
    if (rest_.size() < count) {
      return false;
    }
    bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool take_symbol(Bytes& bytes, SavedSymbol& symbol) {
  std::uint32_t length = 0;
  std::string_view text;
  std::uint32_t trades = 0;
  if (!bytes.take(length) || !bytes.take(length, text) || !bytes.take(symbol.count) || !bytes.take(trades)) {
    return false;
  }
  symbol.text = text;
  for (std::uint32_t i = 0; i < trades; ++i) {
    PriceSize trade;
    if (!bytes.take(trade.price.mantissa) || !bytes.take(trade.size.mantissa) || !bytes.take(trade.price.exponent) ||
        !bytes.take(trade.size.exponent)) {
      return false;
    }
    symbol.trades.push_back(trade);
  }
  return true;
}

}  // namespace

void begin_snapshot(const WindowOptions& options, std::uint32_t symbols, std::string& out) {
  out.clear();
  put(options.window, out);
  put(options.every, out);
  put(symbols, out);
}

void append_symbol(std::string_view text, const SymbolWindows& windows, SymbolId id, std::string& out) {
  std::size_t trades = 0;
  windows.for_each(id, [&](const PriceSize& /*trade*/) { ++trades; });
  put_head(text, windows.count(id), trades, out);
  windows.for_each(id, [&](const PriceSize& trade) { put_trade(trade, out); });
}

void append_symbol(const SavedSymbol& symbol, std::string& out) {
  put_head(symbol.text, symbol.count, symbol.trades.size(), out);
  for (const PriceSize& trade : symbol.trades) {
    put_trade(trade, out);
  }
}

void end_snapshot(std::string_view source_state, std::string& out) {
  put(static_cast<std::uint32_t>(source_state.size()), out);
  out.append(source_state);
}

Result<Snapshot> read_snapshot(const WindowOptions& options, std::string_view payload, const std::string& path) {
  Bytes bytes(payload);
  std::uint32_t window = 0;
  std::uint32_t every = 0;
  std::uint32_t count = 0;
  if (!bytes.take(window) || !bytes.take(every) || !bytes.take(count)) {
    return fail(ErrorCode::data, fmt::format("{}: too short for a snapshot of windows", path));
  }
  if (window != options.window || every != options.every) {
    return fail(ErrorCode::usage,
                fmt::format("{} was kept with --window {} --every {}: go on with those, or move the file away; windows "
                            "and counts then begin anew with the oldest trade of the journal",
                            path, window, every));
  }
  Snapshot snapshot;
  for (std::uint32_t i = 0; i < count; ++i) {
    SavedSymbol symbol;
    if (!take_symbol(bytes, symbol)) {
      return fail(ErrorCode::data, fmt::format("{}: ends within symbol {} of {}", path, i + 1, count));
    }
    snapshot.symbols.push_back(std::move(symbol));
  }
  if (std::uint32_t length = 0; bytes.take(length)) {
    std::string_view source_state;
    if (!bytes.take(length, source_state)) {
      return fail(ErrorCode::data, fmt::format("{}: ends within the state of its source", path));
    }
    snapshot.source_state = source_state;
  }
  if (!bytes.empty()) {
    return fail(ErrorCode::data, fmt::format("{}: goes on behind its last symbol", path));
  }
  return snapshot;
}

}  // namespace mdpipe::stage
