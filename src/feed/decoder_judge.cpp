#include "decoder_judge.hpp"

#include <simdjson.h>
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/decimal.hpp"

namespace mdpipe::feed {
namespace {

namespace dom = simdjson::dom;

/// Steps over JSON that is known to be good, so it looks only for where things end.
class Walker {
 public:
  explicit Walker(const char* at) noexcept : at_(at) {}

  [[nodiscard]] const char* at() const noexcept { return at_; }

  void skip_blanks() noexcept {
    while (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r') {
      ++at_;
    }
  }

  /// Over blanks, and one of `{ [ , : ] }` where it stands there.
  void skip_punctuation() noexcept {
    skip_blanks();
    if (*at_ == ',' || *at_ == ':' || *at_ == '[' || *at_ == '{') {
      ++at_;
      skip_blanks();
    }
  }

  /// Over one value; its text.
  std::string_view value(const char* end) noexcept {
    const char* const begin = at_;
    if (*at_ == '"') {
      skip_string();
    } else if (*at_ == '{' || *at_ == '[') {
      skip_container();
    } else {
      while (at_ != end && *at_ != ',' && *at_ != ']' && *at_ != '}' && static_cast<unsigned char>(*at_) > ' ') {
        ++at_;
      }
    }
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }

 private:
  void skip_string() noexcept {
    for (++at_; *at_ != '"'; ++at_) {
      at_ += *at_ == '\\' ? 1 : 0;
    }
    ++at_;
  }

  void skip_container() noexcept {
    int depth = 0;
    do {
      if (*at_ == '"') {
        skip_string();
        continue;
      }
      depth += *at_ == '{' || *at_ == '[' ? 1 : 0;
      depth -= *at_ == '}' || *at_ == ']' ? 1 : 0;
      ++at_;
    } while (depth != 0);
  }

  const char* at_;
};

/// A value and its text.
struct Located {
  dom::element value;
  std::string_view text;
};

/// Calls visit(key, Located) for each member of an object whose text begins at `text`.
template <class Visit>
void for_each_member(dom::object object, std::string_view text, Visit visit) noexcept {
  Walker walker(text.data());
  const char* const end = text.data() + text.size();
  for (const dom::key_value_pair member : object) {
    walker.skip_punctuation();  // the opening brace or a comma
    walker.value(end);
    walker.skip_punctuation();  // the colon
    visit(member.key, Located{member.value, walker.value(end)});
  }
}

std::optional<DecimalResult> number_of(const Located& located) noexcept {
  if (!located.value.is_number()) {
    return std::nullopt;
  }
  const DecimalResult number = parse_decimal(located.text);
  if (number.status != DecimalStatus::exact && number.status != DecimalStatus::inexact) {
    return std::nullopt;
  }
  return number;
}

std::uint64_t conditions_of(dom::element value) noexcept {
  std::uint64_t conditions = 0;
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) {
    return 0;
  }
  for (const dom::element element : list) {
    std::string_view code;
    if (element.get(code) != simdjson::SUCCESS || code.empty() || code.size() > 2 ||
        (code.size() == 2 && code[0] == '0') ||
        !std::all_of(code.begin(), code.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    unsigned number = 0;
    for (const char c : code) {
      number = number * 10 + static_cast<unsigned>(c - '0');
    }
    conditions |= number < draft::kConditionsMax ? std::uint64_t{1} << number : 0;
  }
  return conditions;
}

/// The members of a trade, where they stand in an element.
struct Members {
  std::optional<Located> symbol;
  std::optional<Located> price;
  std::optional<Located> time;
  std::optional<Located> size;
  std::optional<Located> conditions;
};

Members members_of(dom::object object, std::string_view text) noexcept {
  Members members;
  for_each_member(object, text, [&](std::string_view key, const Located& located) {
    if (key.size() != 1) {
      return;
    }
    switch (key[0]) {
      case 's':
        members.symbol = located;
        break;
      case 'p':
        members.price = located;
        break;
      case 't':
        members.time = located;
        break;
      case 'v':
        members.size = located;
        break;
      case 'c':
        members.conditions = located;
        break;
      default:
        break;
    }
  });
  return members;
}

/// Fills `trade` from an element of `data`; false where it is no trade. Sets all but the symbol's id.
bool read_trade(const draft::Input& input, const Located& element, Trade& trade, std::string_view& symbol) noexcept {
  dom::object object;
  if (element.value.get(object) != simdjson::SUCCESS) {
    return false;
  }
  const Members members = members_of(object, element.text);
  std::int64_t time_ms = 0;
  if (!members.symbol || !members.price || !members.time || !members.size ||
      members.symbol->value.get(symbol) != simdjson::SUCCESS || !members.time->value.is_int64() ||
      members.time->value.get(time_ms) != simdjson::SUCCESS || time_ms > draft::kTimeMaxMs ||
      time_ms < -draft::kTimeMaxMs) {
    return false;
  }
  const auto price = number_of(*members.price);
  const auto size = number_of(*members.size);
  if (!price || !size) {
    return false;
  }
  const bool inexact = price->status == DecimalStatus::inexact || size->status == DecimalStatus::inexact;
  trade = Trade{};
  trade.exchange_time_ns = time_ms * draft::kNanosecondsPerMillisecond;
  trade.price_mantissa = price->value.mantissa;
  trade.price_exponent = price->value.exponent;
  trade.size_mantissa = size->value.mantissa;
  trade.size_exponent = size->value.exponent;
  trade.conditions = members.conditions ? conditions_of(members.conditions->value) : 0;
  trade.text_offset =
      static_cast<std::uint32_t>(reinterpret_cast<const std::byte*>(element.text.data()) - input.record);
  trade.text_length = static_cast<std::uint32_t>(element.text.size());
  trade.flags =
      static_cast<std::uint16_t>((size->value.mantissa == 0 ? kTradePriceUpdate : 0) | (inexact ? kTradeInexact : 0));
  return true;
}

/// Every element of `data`.
draft::Outcome read_trades(const draft::Input& input, dom::array list, std::string_view text) noexcept {
  draft::Outcome outcome{FrameKind::trades, FrameReason::none, 0, 0};
  Walker walker(text.data());
  const char* const end = text.data() + text.size();
  for (const dom::element value : list) {
    walker.skip_punctuation();  // the opening bracket or a comma
    const Located element{value, walker.value(end)};
    Trade& trade = input.trades[outcome.trade_count];
    Trade read;
    std::string_view symbol;
    if (!read_trade(input, element, read, symbol)) {
      outcome.kind = FrameKind::partly_bad;
      outcome.reason = FrameReason::element_not_a_trade;
      continue;
    }
    trade = read;
    trade.symbol_id = input.symbols.find(symbol);
    if (trade.symbol_id == SymbolTable::kNone) {
      draft::park_symbol(trade, symbol);
      ++outcome.unknown_symbols;
    }
    ++outcome.trade_count;
  }
  return outcome;
}

}  // namespace

struct Decoder::Judge::State {
  dom::parser parser;
  std::vector<std::string_view> keys;  // of the object at hand; here to be allocated once

  /// Any object, at any depth, that has `s` or `p`, and a key twice.
  [[nodiscard]] bool has_duplicate_key(dom::element value) {
    if (dom::array list; value.get(list) == simdjson::SUCCESS) {
      return std::any_of(list.begin(), list.end(), [this](dom::element element) { return has_duplicate_key(element); });
    }
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) {
      return false;
    }
    keys.clear();
    bool is_like_a_trade = false;
    for (const dom::key_value_pair member : object) {
      keys.push_back(member.key);
      is_like_a_trade = is_like_a_trade || member.key == "s" || member.key == "p";
    }
    if (is_like_a_trade) {
      std::sort(keys.begin(), keys.end());  // not pair by pair: a message may hold a hundred thousand keys
      if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) {
        return true;
      }
    }
    return std::any_of(object.begin(), object.end(),
                       [this](dom::key_value_pair member) { return has_duplicate_key(member.value); });
  }
};

Decoder::Judge::Judge(std::size_t payload_max_bytes) : state_(std::make_unique<State>()) {
  constexpr std::size_t kMemberTextMinBytes = 5;  // `"":0,`
  if (state_->parser.allocate(payload_max_bytes) != simdjson::SUCCESS) {
    throw std::bad_alloc();
  }
  // Its document grows with the largest message so far: one of the largest size, and it never allocates again.
  std::string largest(payload_max_bytes, ' ');
  largest.front() = '0';
  if (dom::element ignored; state_->parser.parse(largest).get(ignored) != simdjson::SUCCESS) {
    throw std::bad_alloc();
  }
  state_->keys.reserve(payload_max_bytes / kMemberTextMinBytes + 1);
}

Decoder::Judge::~Judge() = default;

draft::Outcome Decoder::Judge::decode(const draft::Input& input) noexcept {
  const auto bad = [](FrameReason reason) { return draft::Outcome{FrameKind::bad, reason, 0, 0}; };
  static_assert(kClaimPaddingBytes >= simdjson::SIMDJSON_PADDING);
  dom::element root;
  // Newer simdjson steps over a byte order mark; RFC 8259 lets a parser refuse it, and the one we began with does.
  if (input.payload.substr(0, 3) == "\xEF\xBB\xBF" ||
      state_->parser.parse(input.payload.data(), input.payload.size(), false).get(root) != simdjson::SUCCESS) {
    return bad(FrameReason::not_json);
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    // A list may hold objects like trades, but what it is not says more.
    return bad(FrameReason::not_an_object);
  }
  if (state_->has_duplicate_key(root)) {
    return bad(FrameReason::duplicate_key);
  }

  std::optional<Located> type;
  std::optional<Located> data;
  bool twice = false;
  Walker walker(input.payload.data());
  walker.skip_blanks();
  const char* const begin = walker.at();
  const auto left = static_cast<std::size_t>(input.payload.data() + input.payload.size() - begin);
  for_each_member(object, {begin, left}, [&](std::string_view key, const Located& located) {
    std::optional<Located>* const member = key == "type" ? &type : (key == "data" ? &data : nullptr);
    if (member != nullptr) {
      twice = twice || member->has_value();
      *member = located;
    }
  });

  std::string_view name;
  const bool is_named = type && type->value.get(name) == simdjson::SUCCESS;
  if (!is_named || name != "trade") {
    if (twice) {
      return bad(FrameReason::duplicate_key);
    }
    if (!is_named) {
      return bad(FrameReason::type_missing);
    }
    return {name == "ping" ? FrameKind::ping : (name == "error" ? FrameKind::error : FrameKind::other),
            FrameReason::none, 0, 0};
  }
  dom::array list;
  if (!data || data->value.get(list) != simdjson::SUCCESS) {
    return bad(FrameReason::data_not_a_list);
  }
  draft::Outcome outcome = read_trades(input, list, data->text);
  if (twice) {
    outcome.kind = FrameKind::partly_bad;
    outcome.reason = FrameReason::duplicate_key;
  }
  return outcome;
}

}  // namespace mdpipe::feed
