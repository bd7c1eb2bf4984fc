#include "support/reference_decoder.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "support/reference_json.hpp"

namespace mdpipe::testing {
namespace {

using Type = JsonValue::Type;

struct Number {
  std::int64_t mantissa = 0;
  int exponent = 0;
  bool inexact = false;
};

/// The number as 0.DDDD × 10^place with DDDD as text, then rounded as one does on paper. Nothing where mdpipe's range
/// ends: 1e19 and more, or less than 1e-100 but for 0.
std::optional<Number> number_of(std::string_view text) {
  const bool negative = text[0] == '-';
  text.remove_prefix(negative ? 1 : 0);
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  std::string digits(text.substr(0, e));
  const std::size_t point = std::min(digits.find('.'), digits.size());
  long place = static_cast<long>(point);
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  if (digits.find_first_not_of('0') == std::string::npos) {
    return Number{};
  }
  if (e != text.size()) {
    // strtol stops at the largest long: far from any number in range either way, unless a message were that long.
    place +=
        std::clamp(std::strtol(std::string(text.substr(e + 1)).c_str(), nullptr, 10), -1'000'000'000L, 1'000'000'000L);
  }
  const std::size_t zeros = digits.find_first_not_of('0');
  digits.erase(0, zeros);
  place -= static_cast<long>(zeros);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (place > 19) {
    return std::nullopt;
  }

  Number number;
  constexpr std::size_t kKept = 18;
  if (digits.size() > kKept) {
    number.inexact = true;
    const std::string rest = digits.substr(kKept);
    digits.resize(kKept);
    const std::string half = "5" + std::string(rest.size() - 1, '0');
    const bool is_odd = (digits.back() - '0') % 2 == 1;
    if (rest > half || (rest == half && is_odd)) {
      std::size_t at = kKept;
      while (at > 0 && digits[at - 1] == '9') {
        digits[--at] = '0';
      }
      if (at == 0) {
        digits = "1" + digits.substr(0, kKept - 1);
        ++place;
      } else {
        ++digits[at - 1];
      }
    }
  }
  if (place <= -100) {
    return std::nullopt;
  }
  number.mantissa = std::strtoll(digits.c_str(), nullptr, 10) * (negative ? -1 : 1);
  number.exponent = static_cast<int>(place) - static_cast<int>(digits.size());
  return number;
}

std::uint64_t conditions_of(const JsonValue* value) {
  std::uint64_t conditions = 0;
  if (value != nullptr && value->type == Type::list) {
    for (const JsonValue& element : value->elements) {
      for (unsigned code = 0; code < 64; ++code) {
        if (element.type == Type::string && element.string == std::to_string(code)) {
          conditions |= std::uint64_t{1} << code;
        }
      }
    }
  }
  return conditions;
}

std::optional<ReferenceTrade> trade_of(const JsonValue& element) {
  if (element.type != Type::object) {
    return std::nullopt;
  }
  const JsonValue* const symbol = element.find("s");
  const JsonValue* const price = element.find("p");
  const JsonValue* const time = element.find("t");
  const JsonValue* const size = element.find("v");
  const auto is_number = [](const JsonValue* value) {
    return value != nullptr && (value->type == Type::integer || value->type == Type::real);
  };
  if (symbol == nullptr || symbol->type != Type::string || !is_number(price) || !is_number(size) || time == nullptr ||
      time->type != Type::integer) {
    return std::nullopt;
  }
  const std::string time_text(time->text);
  const long long time_ms = std::strtoll(time_text.c_str(), nullptr, 10);  // beyond 63 bits: the largest there is
  if (time_ms > 9223372036854 || time_ms < -9223372036854) {
    return std::nullopt;
  }
  const auto price_number = number_of(price->text);
  const auto size_number = number_of(size->text);
  if (!price_number || !size_number) {
    return std::nullopt;
  }
  ReferenceTrade trade;
  trade.symbol = symbol->string;
  trade.exchange_time_ns = time_ms * 1'000'000;
  trade.price_mantissa = price_number->mantissa;
  trade.price_exponent = price_number->exponent;
  trade.size_mantissa = size_number->mantissa;
  trade.size_exponent = size_number->exponent;
  trade.conditions = conditions_of(element.find("c"));
  trade.text = element.text;
  trade.flags = static_cast<std::uint16_t>((size_number->mantissa == 0 ? kTradePriceUpdate : 0) |
                                           (price_number->inexact || size_number->inexact ? kTradeInexact : 0));
  return trade;
}

bool has_trade_with_key_twice(const JsonValue& value) {
  if (value.type == Type::object && (value.find("s") != nullptr || value.find("p") != nullptr) &&
      value.has_key_twice()) {
    return true;
  }
  return std::any_of(value.elements.begin(), value.elements.end(), has_trade_with_key_twice);
}

bool has_twice(const JsonValue& object, std::string_view key) {
  return std::count(object.keys.begin(), object.keys.end(), key) > 1;
}

ReferenceFrame of_kind(FrameKind kind, FrameReason reason = FrameReason::none) {
  ReferenceFrame frame;
  frame.kind = kind;
  frame.reason = reason;
  return frame;
}

ReferenceFrame trades_of(const JsonValue& list) {
  ReferenceFrame frame = of_kind(FrameKind::trades);
  for (const JsonValue& element : list.elements) {
    if (auto trade = trade_of(element)) {
      frame.trades.push_back(*trade);
    } else {
      frame.kind = FrameKind::partly_bad;
      frame.reason = FrameReason::element_not_a_trade;
    }
  }
  return frame;
}

}  // namespace

ReferenceFrame reference_decode(std::string_view message) {
  const auto root = parse_json(message);
  if (!root) {
    return of_kind(FrameKind::bad, FrameReason::not_json);
  }
  if (root->type != Type::object) {
    return of_kind(FrameKind::bad, FrameReason::not_an_object);
  }
  if (has_trade_with_key_twice(*root)) {
    return of_kind(FrameKind::bad, FrameReason::duplicate_key);
  }
  const JsonValue* const type = root->find("type");
  const JsonValue* const data = root->find("data");
  const bool twice = has_twice(*root, "type") || has_twice(*root, "data");
  const bool is_named = type != nullptr && type->type == Type::string;
  if (is_named && type->string == "trade") {
    if (data == nullptr || data->type != Type::list) {
      return of_kind(FrameKind::bad, FrameReason::data_not_a_list);
    }
    ReferenceFrame frame = trades_of(*data);
    if (twice) {
      frame.kind = FrameKind::partly_bad;
      frame.reason = FrameReason::duplicate_key;
    }
    return frame;
  }
  if (twice) {
    return of_kind(FrameKind::bad, FrameReason::duplicate_key);
  }
  if (!is_named) {
    return of_kind(FrameKind::bad, FrameReason::type_missing);
  }
  if (type->string == "ping") {
    return of_kind(FrameKind::ping);
  }
  return of_kind(type->string == "error" ? FrameKind::error : FrameKind::other);
}

}  // namespace mdpipe::testing
