#include "decoder_peers.hpp"

// Version 1.1.0 was written before C++20 and these warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-align"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclass-memaccess"
#endif
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <rapidjson/reader.h>
#pragma GCC diagnostic pop

namespace mdpipe::bench {
namespace {

using Stream = rapidjson::InsituStringStream;

// NOLINTBEGIN(readability-identifier-naming): RapidJSON calls them by these names
/// Events of one message. The second object that is open is a trade.
struct Handler {
  using Ch = char;

  bool Null() { return true; }
  bool Bool(bool) { return true; }
  bool Int(int value) { return Number(value); }
  bool Uint(unsigned value) { return Number(value); }
  bool Int64(std::int64_t value) {
    trade.time_ms = value;
    return Number(static_cast<double>(value));
  }
  bool Uint64(std::uint64_t value) { return Int64(static_cast<std::int64_t>(value)); }
  bool Double(double value) { return Number(value); }
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool Number(double value) {
    if (key == 'p') {
      trade.price = value;
    } else if (key == 'v') {
      trade.size = value;
    }
    return true;
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    if (key == 's') {
      trade.symbol_id = symbols.find({text, length});
    } else if (key == 'c') {
      unsigned number = 0;
      for (rapidjson::SizeType i = 0; i < length; ++i) {
        number = number * 10 + static_cast<unsigned>(text[i] - '0');
      }
      trade.conditions |= number < 64 ? std::uint64_t{1} << number : 0;
    }
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType, bool) {
    key = text[0];
    return true;
  }
  bool StartObject() {
    if (++objects == 2) {
      trade = PeerTrade{};
    }
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    if (objects-- == 2) {
      trades.push_back(trade);
    }
    return true;
  }
  bool StartArray() { return true; }
  bool EndArray(rapidjson::SizeType) { return true; }

  const SymbolTable& symbols;
  std::vector<PeerTrade>& trades;
  PeerTrade trade{};
  int objects = 0;
  char key = 0;
};

// NOLINTEND(readability-identifier-naming)

class RapidjsonInSitu final : public Peer {
 public:
  const std::vector<PeerTrade>& read(char* message, std::size_t length, const SymbolTable& symbols) override {
    trades_.clear();
    message[length] = '\0';
    Stream stream(message);
    Handler handler{symbols, trades_};
    if (reader_.Parse<rapidjson::kParseInsituFlag | rapidjson::kParseFullPrecisionFlag>(stream, handler).IsError()) {
      trades_.clear();
    }
    return trades_;
  }

 private:
  rapidjson::Reader reader_;
  std::vector<PeerTrade> trades_;
};

}  // namespace

std::unique_ptr<Peer> make_rapidjson_in_situ() {
  return std::make_unique<RapidjsonInSitu>();
}

}  // namespace mdpipe::bench
