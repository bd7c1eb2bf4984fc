#include <simdjson.h>
#include <new>

#include "decoder_peers.hpp"
#include "mdpipe/base/decimal.hpp"

namespace mdpipe::bench {
namespace {

namespace dom = simdjson::dom;
namespace ondemand = simdjson::ondemand;

constexpr std::size_t kMessageMaxBytes = 65'536;

std::uint64_t condition_bit(std::string_view code) {
  unsigned number = 0;
  for (const char c : code) {
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number < 64 ? std::uint64_t{1} << number : 0;
}

template <bool kExact>
class SimdjsonOndemand final : public Peer {
 public:
  SimdjsonOndemand() {
    if (parser_.allocate(kMessageMaxBytes) != simdjson::SUCCESS) {
      throw std::bad_alloc();
    }
  }

  const std::vector<PeerTrade>& read(char* message, std::size_t length, const SymbolTable& symbols) override {
    trades_.clear();
    ondemand::document document = parser_.iterate(message, length, length + simdjson::SIMDJSON_PADDING);
    ondemand::object root = document.get_object();
    for (ondemand::field member : root) {
      const ondemand::raw_json_string key = member.key();
      if (key == "data") {
        for (ondemand::value element : member.value().get_array()) {
          const char* const begin = element.raw_json_token().data();
          trades_.push_back(trade(element.get_object(), symbols));
          // Behind the element stands the next token: the slice ends at the brace before it.
          const char* end = document.current_location();
          while (*--end != '}') {
          }
          trades_.back().text = {begin, static_cast<std::size_t>(end + 1 - begin)};
        }
      } else if (key == "type" && std::string_view(member.value().get_string()) != "trade") {
        trades_.clear();
      }
    }
    return trades_;
  }

 private:
  static void number(ondemand::value value, double& real, Decimal& exact) {
    if constexpr (kExact) {
      const std::string_view token = value.raw_json_token();
      exact = parse_decimal(token.substr(0, token.find_last_not_of(" \t\r\n") + 1)).value;
    } else {
      real = value.get_double();
    }
  }

  static PeerTrade trade(ondemand::object object, const SymbolTable& symbols) {
    PeerTrade trade{};
    for (ondemand::field member : object) {
      const ondemand::raw_json_string key = member.key();
      ondemand::value value = member.value();
      switch (key.raw()[0]) {
        case 's':
          trade.symbol_id = symbols.find(value.get_string());
          break;
        case 'p':
          number(value, trade.price, trade.exact_price);
          break;
        case 'v':
          number(value, trade.size, trade.exact_size);
          break;
        case 't':
          trade.time_ms = value.get_int64();
          break;
        case 'c':
          if (!value.is_null()) {
            for (ondemand::value code : value.get_array()) {
              trade.conditions |= condition_bit(code.get_string());
            }
          }
          break;
        default:
          break;
      }
    }
    return trade;
  }

  ondemand::parser parser_;
  std::vector<PeerTrade> trades_;
};

class SimdjsonDom final : public Peer {
 public:
  SimdjsonDom() {
    if (parser_.allocate(kMessageMaxBytes) != simdjson::SUCCESS) {
      throw std::bad_alloc();
    }
  }

  const std::vector<PeerTrade>& read(char* message, std::size_t length, const SymbolTable& symbols) override {
    trades_.clear();
    const dom::object root = parser_.parse(message, length, false);
    if (std::string_view(root["type"]) != "trade") {
      return trades_;
    }
    for (const dom::object element : dom::array(root["data"])) {
      PeerTrade trade{};
      for (const dom::key_value_pair member : element) {
        switch (member.key[0]) {
          case 's':
            trade.symbol_id = symbols.find(std::string_view(member.value));
            break;
          case 'p':
            trade.price = double(member.value);
            break;
          case 'v':
            trade.size = double(member.value);
            break;
          case 't':
            trade.time_ms = std::int64_t(member.value);
            break;
          case 'c':
            if (!member.value.is_null()) {
              for (const dom::element code : dom::array(member.value)) {
                trade.conditions |= condition_bit(std::string_view(code));
              }
            }
            break;
          default:
            break;
        }
      }
      trades_.push_back(trade);
    }
    return trades_;
  }

 private:
  dom::parser parser_;
  std::vector<PeerTrade> trades_;
};

}  // namespace

std::unique_ptr<Peer> make_simdjson_ondemand() {
  return std::make_unique<SimdjsonOndemand<false>>();
}
std::unique_ptr<Peer> make_simdjson_ondemand_exact() {
  return std::make_unique<SimdjsonOndemand<true>>();
}
std::unique_ptr<Peer> make_simdjson_dom() {
  return std::make_unique<SimdjsonDom>();
}

}  // namespace mdpipe::bench
