#include "decoder_scanner.hpp"

#include "decoder_swar.hpp"

namespace mdpipe::feed {
namespace {

/// Strings longer than this are left to the judge: symbols are shorter.
constexpr unsigned kStringMaxBytes = 32;

/// Each member function takes where it stands and returns where it got to; null = not quick.
///
/// Bounds: nothing here looks for the message's end at each byte. Instead `at <= end_` is checked at least every
/// kClaimPaddingBytes, so that reading on past the end stays within what a claim guarantees to be readable, and the
/// message is taken only where the last byte read is its last.
class Scanner {
 public:
  explicit Scanner(const draft::Input& input) noexcept
      : input_(input), end_(input.payload.data() + input.payload.size()) {}

  std::optional<draft::Outcome> message() noexcept;

 private:
  /// What is read of a trade before it is known to be one.
  struct Parts {
    Decimal price;
    Decimal size;
    std::int64_t time_ms;
    std::uint64_t conditions;
  };

  /// Eight at a time: how many blanks there are is not for a branch to guess. Never moves beyond the end.
  const char* skip_blanks(const char* at) const noexcept {
    if (at >= end_) {
      return at;
    }
    do {
      const std::uint64_t stops = swar::not_blanks(swar::load(at));
      if (stops != 0) {
        at += swar::first_byte(stops);
        return at < end_ ? at : end_;
      }
      at += swar::kWordBytes;
    } while (at < end_);
    return end_;
  }

  const char* list(const char* at) noexcept;
  const char* element(const char* at) noexcept;
  const char* usual_trade(const char* at, Parts& parts) noexcept;
  const char* any_trade(const char* at, Parts& parts) noexcept;
  const char* value_of(char key, const char* at, Parts& parts) noexcept;
  template <bool kSpaced>
  const char* conditions(const char* at, std::uint64_t& conditions) const noexcept;
  const char* symbol(const char* at) noexcept;
  const char* string(const char* at, std::string_view& text) const noexcept;
  const char* time(const char* at, std::int64_t& time_ms) const noexcept;
  const char* message_member(const char* at) noexcept;
  [[nodiscard]] std::optional<draft::Outcome> outcome() const noexcept;
  void keep(const char* begin, const char* end, const Parts& parts) noexcept;

  const draft::Input& input_;
  const char* const end_;
  std::uint32_t trade_count_ = 0;
  std::uint32_t unknown_symbols_ = 0;
  bool has_data_ = false;
  std::string_view type_;  // no data() = not seen yet

  // The last symbol of this message, its closing quote with it: most messages name one again and again.
  std::string_view symbol_;
  SymbolId symbol_id_ = SymbolTable::kNone;
  unsigned known_length_ = 0;  // quote included; 0 = none that fits two words
  std::uint64_t known_words_[2] = {};
  std::uint64_t known_masks_[2] = {};
};

/// After the opening quote; returns behind the closing one.
inline const char* Scanner::string(const char* at, std::string_view& text) const noexcept {
  for (unsigned length = 0; length < kStringMaxBytes; length += swar::kWordBytes) {
    const std::uint64_t stops = swar::string_stops(swar::load(at + length));
    if (stops != 0) {
      length += swar::first_byte(stops);
      text = {at, length};
      return at[length] == '"' ? at + length + 1 : nullptr;
    }
  }
  return nullptr;
}

/// As string(), and looks the symbol up.
inline const char* Scanner::symbol(const char* at) noexcept {
  if (known_length_ != 0 && ((swar::load(at) ^ known_words_[0]) & known_masks_[0]) == 0 &&
      ((swar::load(at + swar::kWordBytes) ^ known_words_[1]) & known_masks_[1]) == 0) {
    symbol_ = {at, known_length_ - 1};
    return at + known_length_;
  }
  const char* const behind = string(at, symbol_);
  if (behind == nullptr || behind > end_) {
    return nullptr;
  }
  symbol_id_ = input_.symbols.find(symbol_);
  const auto length = static_cast<unsigned>(behind - at);
  known_length_ = length <= 2 * swar::kWordBytes ? length : 0;
  known_masks_[0] = swar::low_bytes(length);
  known_masks_[1] = length > swar::kWordBytes ? swar::low_bytes(length - swar::kWordBytes) : 0;
  known_words_[0] = swar::load(at);
  known_words_[1] = swar::load(at + swar::kWordBytes);
  return behind;
}

inline const char* Scanner::time(const char* at, std::int64_t& time_ms) const noexcept {
  const swar::QuickInteger integer = swar::read_time(at);
  time_ms = integer.value;
  return integer.value <= draft::kTimeMaxMs ? integer.end : nullptr;
}

/// One condition, `"1"` or `"12"`.
inline const char* condition(const char* at, std::uint64_t& conditions) noexcept {
  unsigned code = static_cast<unsigned>(at[1]) - '0';
  if (*at != '"' || code > 9) {
    return nullptr;
  }
  if (at[2] != '"') {
    const unsigned second = static_cast<unsigned>(at[2]) - '0';
    if (code == 0 || second > 9 || at[3] != '"') {
      return nullptr;
    }
    code = code * 10 + second;
    ++at;
  }
  conditions |= code < draft::kConditionsMax ? std::uint64_t{1} << code : 0;
  return at + 3;
}

/// `null`, or a list of conditions.
template <bool kSpaced>
inline const char* Scanner::conditions(const char* at, std::uint64_t& conditions) const noexcept {
  if (*at != '[') {
    return swar::begins_with(at, "null") ? at + 4 : nullptr;
  }
  const auto skip = [this](const char* from) { return kSpaced ? skip_blanks(from) : from; };
  at = skip(at + 1);
  if (*at == ']') {
    return at + 1;
  }
  for (;;) {
    at = at <= end_ ? condition(at, conditions) : nullptr;
    if (at == nullptr) {
      return nullptr;
    }
    at = skip(at);
    if (*at != ',') {
      return *at == ']' ? at + 1 : nullptr;
    }
    at = skip(at + 1);
  }
}

/// `{"c":…,"p":…,"s":…,"t":…,"v":…}`, or the same without `c`, without blanks: what the venue has always sent.
inline const char* Scanner::usual_trade(const char* at, Parts& parts) noexcept {
  if (swar::begins_with(at, "{\"c\":")) {
    at = conditions<false>(at + 5, parts.conditions);
    if (at == nullptr || !swar::begins_with(at, ",\"p\":")) {
      return nullptr;
    }
  } else if (!swar::begins_with(at, "{\"p\":")) {
    return nullptr;
  }
  const swar::QuickDecimal price = swar::read_decimal(at + 5);
  if (price.end == nullptr || price.end > end_ || !swar::begins_with(price.end, ",\"s\":\"")) {
    return nullptr;
  }
  at = symbol(price.end + 6);
  if (at == nullptr || !swar::begins_with(at, ",\"t\":")) {
    return nullptr;
  }
  at = time(at + 5, parts.time_ms);
  if (at == nullptr || at > end_ || !swar::begins_with(at, ",\"v\":")) {
    return nullptr;
  }
  const swar::QuickDecimal size = swar::read_decimal(at + 5);
  if (size.end == nullptr || *size.end != '}') {
    return nullptr;
  }
  parts.price = price.value;
  parts.size = size.value;
  return size.end + 1;
}

inline const char* Scanner::value_of(char key, const char* at, Parts& parts) noexcept {
  if (key == 's') {
    return *at == '"' ? symbol(at + 1) : nullptr;
  }
  if (key == 't') {
    return time(at, parts.time_ms);
  }
  if (key == 'c') {
    return conditions<true>(at, parts.conditions);
  }
  const swar::QuickDecimal number = swar::read_decimal(at);
  (key == 'p' ? parts.price : parts.size) = number.value;
  return number.end;
}

/// The known keys in any order, each at most once, blanks anywhere.
const char* Scanner::any_trade(const char* at, Parts& parts) noexcept {
  constexpr auto kBit = [](char key) { return 1U << (static_cast<unsigned>(key) & 31U); };
  constexpr unsigned kNeeded = kBit('s') | kBit('p') | kBit('t') | kBit('v');
  unsigned seen = 0;
  if (*at != '{') {
    return nullptr;
  }
  do {
    at = skip_blanks(at + 1);
    const char key = at[1];
    if (at > end_ || *at != '"' || at[2] != '"' ||
        (key != 's' && key != 'p' && key != 't' && key != 'v' && key != 'c') || (seen & kBit(key)) != 0) {
      return nullptr;
    }
    seen |= kBit(key);
    at = skip_blanks(at + 3);
    if (*at != ':') {
      return nullptr;
    }
    at = value_of(key, skip_blanks(at + 1), parts);
    if (at == nullptr) {
      return nullptr;
    }
    at = skip_blanks(at);
  } while (*at == ',');
  return *at == '}' && (seen & kNeeded) == kNeeded ? at + 1 : nullptr;
}

inline void Scanner::keep(const char* begin, const char* end, const Parts& parts) noexcept {
  Trade& trade = input_.trades[trade_count_++];
  trade.position = kBeforeEverything;
  trade.exchange_time_ns = parts.time_ms * draft::kNanosecondsPerMillisecond;
  trade.receive_time_ns = 0;
  trade.price_mantissa = parts.price.mantissa;
  trade.size_mantissa = parts.size.mantissa;
  trade.conditions = parts.conditions;
  trade.symbol_id = symbol_id_;
  trade.text_offset = static_cast<std::uint32_t>(reinterpret_cast<const std::byte*>(begin) - input_.record);
  trade.text_length = static_cast<std::uint32_t>(end - begin);
  trade.price_exponent = parts.price.exponent;
  trade.size_exponent = parts.size.exponent;
  trade.flags = parts.size.mantissa == 0 ? kTradePriceUpdate : 0;
  if (symbol_id_ == SymbolTable::kNone) {
    draft::park_symbol(trade, symbol_);
    ++unknown_symbols_;
  }
}

inline const char* Scanner::element(const char* at) noexcept {
  Parts parts{};
  const char* behind = usual_trade(at, parts);
  if (behind == nullptr) {
    parts = Parts{};
    behind = any_trade(at, parts);
  }
  if (behind == nullptr || behind > end_) {
    return nullptr;
  }
  keep(at, behind, parts);
  return behind;
}

/// The elements of `data`, behind the opening bracket; returns behind the closing one.
inline const char* Scanner::list(const char* at) noexcept {
  at = skip_blanks(at);
  if (*at == ']') {
    return at + 1;
  }
  for (;;) {
    at = element(at);
    if (at == nullptr) {
      return nullptr;
    }
    if (*at == ',' && at[1] == '{') {  // as the venue sends it
      ++at;
      continue;
    }
    at = skip_blanks(at);
    if (*at != ',') {
      return *at == ']' ? at + 1 : nullptr;
    }
    at = skip_blanks(at + 1);
  }
}

/// One member of the message, from its key on.
inline const char* Scanner::message_member(const char* at) noexcept {
  constexpr unsigned kKeyBytes = 6;
  const bool is_data = swar::begins_with(at, "\"data\"");
  if (at > end_ || (!is_data && !swar::begins_with(at, "\"type\"")) ||
      (is_data ? has_data_ : type_.data() != nullptr)) {
    return nullptr;
  }
  at = skip_blanks(at + kKeyBytes);
  if (*at != ':') {
    return nullptr;
  }
  at = skip_blanks(at + 1);
  if (is_data) {
    has_data_ = true;
    return *at == '[' ? list(at + 1) : nullptr;
  }
  return *at == '"' ? string(at + 1, type_) : nullptr;
}

std::optional<draft::Outcome> Scanner::outcome() const noexcept {
  if (type_ == "trade") {
    return has_data_
               ? std::optional(draft::Outcome{FrameKind::trades, FrameReason::none, trade_count_, unknown_symbols_})
               : std::nullopt;
  }
  if (type_.data() == nullptr) {
    return std::nullopt;
  }
  const FrameKind kind = type_ == "ping" ? FrameKind::ping : (type_ == "error" ? FrameKind::error : FrameKind::other);
  return draft::Outcome{kind, FrameReason::none, 0, 0};
}

inline std::optional<draft::Outcome> Scanner::message() noexcept {
  const char* at = input_.payload.data();
  if (swar::begins_with(at, "{\"data\":") && at[8] == '[') {
    has_data_ = true;
    at = list(at + 9);
    if (at != nullptr && swar::begins_with(at, ",\"type\":") && swar::begins_with(at + 8, "\"trade\"}") &&
        at + 16 == end_) {
      return draft::Outcome{FrameKind::trades, FrameReason::none, trade_count_, unknown_symbols_};
    }
  } else {
    at = skip_blanks(at);
    at = *at == '{' ? message_member(skip_blanks(at + 1)) : nullptr;
  }
  while (at != nullptr) {
    at = skip_blanks(at);
    if (*at == '}') {
      return skip_blanks(at + 1) == end_ ? outcome() : std::nullopt;
    }
    at = *at == ',' ? message_member(skip_blanks(at + 1)) : nullptr;
  }
  return std::nullopt;
}

}  // namespace

std::optional<draft::Outcome> scan(const draft::Input& input) noexcept {
  return Scanner(input).message();
}

}  // namespace mdpipe::feed
