#include "replay/session/frame_parser.hpp"

#include <algorithm>
#include <charconv>

#include "mdpipe/base/decimal.hpp"
#include "replay/session/usual_text.hpp"

namespace mdpipe::replay {
namespace {

/// A price or size as the feed takes it.
struct Amount {
  bool good = false;
  bool exact = true;
  bool zero = false;
};

Amount amount_of(std::string_view number) noexcept {
  if (number.size() <= 18 && number.find_first_of("eE") == std::string_view::npos) {  // too short to leave the range
    return {true, true, number.find_first_of("123456789") == std::string_view::npos};
  }
  const DecimalResult parsed = parse_decimal(number);
  return {parsed.status == DecimalStatus::exact || parsed.status == DecimalStatus::inexact,
          parsed.status != DecimalStatus::inexact, parsed.value.mantissa == 0};
}

bool exchange_time(const JsonScanner::Number& number, std::int64_t& out_ms) noexcept {
  const char* const end = number.text.data() + number.text.size();
  const auto [rest, error] = std::from_chars(number.text.data(), end, out_ms);
  return number.integer && error == std::errc() && rest == end && out_ms >= -kExchangeTimeMaxMs &&
         out_ms <= kExchangeTimeMaxMs;
}

}  // namespace

/// What is known of an element while its keys come by.
struct FrameParser::Trade {
  SymbolId symbol = SymbolTable::kNone;
  std::int64_t time_ms = 0;
  std::size_t time_offset = 0;
  std::size_t time_length = 0;
  Amount price;
  Amount size;
  bool time = false;
};

/// The keys of an object that is open: those of one small letter, as all of a trade are, here, the others in keys_.
struct FrameParser::ObjectKeys {
  std::size_t first_other = 0;
  std::uint32_t letters = 0;
  bool letter_twice = false;
};

/// What is known of the whole message.
struct FrameParser::Message {
  ObjectKeys keys;
  bool has_data = false;
  bool has_list = false;
  bool has_type = false;
  bool type_is_text = false;
  std::string_view type;
};

void FrameShape::clear() noexcept {
  kind = FrameKind::bad;
  list_begin = list_end = trade_count = 0;
  latest_exchange_ms.reset();
  member_twice = false;
  elements.clear();
}

void FrameShape::settle_kind() noexcept {
  trade_count = 0;
  for (const FrameElement& element : elements) {
    if (element.is_trade) {
      ++trade_count;
      latest_exchange_ms = std::max(latest_exchange_ms.value_or(element.exchange_time_ms), element.exchange_time_ms);
    }
  }
  kind = trade_count == elements.size() && !member_twice ? FrameKind::trades : FrameKind::partly_bad;
}

namespace {

/// A bit for each small letter; 0 for every other key.
constexpr std::uint32_t letter_bit(std::string_view key) noexcept {
  return key.size() == 1 && key.front() >= 'a' && key.front() <= 'z' ? 1U << static_cast<unsigned>(key.front() - 'a')
                                                                     : 0U;
}

/// The text of a string. Of half a surrogate pair nothing sensible; the scanner has noted it.
std::string_view text_of(const JsonScanner::String& string, std::string& scratch) {
  if (!string.escaped) {
    return string.raw;
  }
  (void)unescape(string.raw, scratch);
  return scratch;
}

}  // namespace

bool FrameParser::parse(std::string_view frame, FrameShape& out) {
  JsonScanner scanner(frame);
  return is_utf8(frame) && parse(scanner, 0, out) && scanner.at_end();
}

bool FrameParser::parse(JsonScanner& scanner, std::size_t start, FrameShape& out) {
  out.clear();
  keys_.clear();
  key_twice_ = met_capture_key_ = met_type_ = false;
  if (parse_usual_frame(scanner, start, out)) {
    return true;
  }
  out.clear();
  if (scanner.peek() != '{') {
    return skip_value(scanner, 0);
  }
  Message message;
  (void)scanner.take('{');
  if (!scanner.take('}')) {
    do {
      if (!parse_member(scanner, start, message, out)) {
        return false;
      }
    } while (scanner.take(','));
    if (!scanner.take('}')) {
      return false;
    }
  }
  end_object(message.keys);
  met_type_ = message.has_type;
  const bool usable = message.type_is_text && !key_twice_ && !scanner.met_unusable();
  if (usable && message.type == "trade" && message.has_list) {
    out.settle_kind();
    return true;
  }
  out.elements.clear();
  if (usable && message.type != "trade" && !out.member_twice) {
    out.kind = message.type == "ping" ? FrameKind::ping : message.type == "error" ? FrameKind::error : FrameKind::other;
  }
  return true;
}

/// From its key on.
bool FrameParser::parse_member(JsonScanner& scanner, std::size_t start, Message& message, FrameShape& out) {
  std::string_view key;
  if (!next_key(scanner, message.keys, key)) {
    return false;
  }
  if (key == "data") {  // the last one counts
    out.member_twice = out.member_twice || message.has_data;
    message.has_data = true;
    out.elements.clear();
    message.has_list = scanner.peek() == '[';
    return message.has_list ? parse_list(scanner, start, out) : skip_value(scanner, 1);
  }
  if (key == "type") {
    out.member_twice = out.member_twice || message.has_type;
    message.has_type = true;
    message.type_is_text = scanner.peek() == '"';
    if (message.type_is_text) {
      JsonScanner::String text;
      const bool good = scanner.string(text);
      message.type = good ? text_of(text, type_scratch_) : std::string_view();
      return good;
    }
    return skip_value(scanner, 1);
  }
  met_capture_key_ = met_capture_key_ || key == "frame" || key == "raw";
  return skip_value(scanner, 1);
}

bool FrameParser::parse_list(JsonScanner& scanner, std::size_t start, FrameShape& out) {
  (void)scanner.take('[');
  out.list_begin = static_cast<std::uint32_t>(scanner.offset() - start);
  if (scanner.peek() != ']') {
    do {
      scanner.skip_blanks();
      const std::size_t begin = scanner.offset();
      FrameElement element{};
      if (!parse_element(scanner, element)) {
        return false;
      }
      element.offset = static_cast<std::uint32_t>(begin - start);
      element.length = static_cast<std::uint32_t>(scanner.offset() - begin);
      out.elements.push_back(element);
    } while (scanner.take(','));
  }
  scanner.skip_blanks();
  out.list_end = static_cast<std::uint32_t>(scanner.offset() - start);
  return scanner.take(']');
}

/// A frame as venues write it: no blanks, its two members in their order, usual trades alone. False, with nothing read,
/// where it is anything else.
bool FrameParser::parse_usual_frame(JsonScanner& scanner, std::size_t start, FrameShape& out) {
  UsualText text(scanner.rest());
  const std::size_t before = scanner.offset() - start;
  if (!text.take(R"({"data":[)")) {
    return false;
  }
  out.list_begin = static_cast<std::uint32_t>(before + text.offset());
  do {
    const std::size_t begin = text.offset();
    FrameElement& element = out.elements.emplace_back();
    if (!parse_usual(text, element)) {
      return false;
    }
    element.offset = static_cast<std::uint32_t>(before + begin);
    element.length = static_cast<std::uint32_t>(text.offset() - begin);
  } while (text.take(','));
  out.list_end = static_cast<std::uint32_t>(before + text.offset());
  if (!text.take(R"(],"type":"trade"})")) {
    return false;
  }
  scanner.skip(text.offset());
  met_type_ = true;
  out.settle_kind();
  return true;
}

/// A trade as venues write it: no blanks, no escapes, the five keys that are known, each once. False where it is
/// anything else; of `text` and `out` nothing is known then.
bool FrameParser::parse_usual(UsualText& text, FrameElement& out) {
  const std::size_t begin = text.offset();
  std::string_view symbol;
  std::int64_t whole = 0;
  bool zero = false;
  bool integer = false;
  bool no_size = false;
  std::uint32_t seen = 0;
  if (!text.take('{')) {
    return false;
  }
  do {
    const char key = text.key();
    const std::uint32_t letter = letter_bit({&key, 1});
    if ((seen & letter) != 0) {
      return false;
    }
    seen |= letter;
    bool good = false;
    switch (key) {
      case 'c':
        good = text.conditions();
        break;
      case 'p':
        good = text.number(whole, zero, integer);
        break;
      case 's':
        good = text.string(symbol);
        break;
      case 't':
        out.time_offset = static_cast<std::uint32_t>(text.offset() - begin);
        good =
            text.number(out.exchange_time_ms, zero, integer) && integer && out.exchange_time_ms <= kExchangeTimeMaxMs;
        out.time_length = static_cast<std::uint32_t>(text.offset() - begin) - out.time_offset;
        break;
      case 'v':
        good = text.number(whole, no_size, integer);
        break;
      default:
        break;
    }
    if (!good) {
      return false;
    }
  } while (text.take(','));
  constexpr std::uint32_t kNeeded = letter_bit("p") | letter_bit("s") | letter_bit("t") | letter_bit("v");
  if ((seen & kNeeded) != kNeeded || !text.take('}')) {
    return false;
  }
  if (last_symbol_ == SymbolTable::kNone || symbols_.text(last_symbol_) != symbol) {  // most are the last one again
    last_symbol_ = symbols_.add(symbol);
  }
  out.symbol = last_symbol_;
  out.is_trade = out.symbol != SymbolTable::kNone;
  out.trade_flags = static_cast<std::uint16_t>(no_size ? kTradePriceUpdate : 0);
  return true;
}

bool FrameParser::parse_element(JsonScanner& scanner, FrameElement& out) {
  if (UsualText text(scanner.rest()); parse_usual(text, out)) {
    scanner.skip(text.offset());
    return true;
  }
  out = FrameElement{};
  const std::size_t begin = scanner.offset();
  out.symbol = SymbolTable::kNone;
  if (scanner.peek() != '{') {
    return skip_value(scanner, 2);
  }
  Trade trade;
  ObjectKeys keys{keys_.size()};
  (void)scanner.take('{');
  if (!scanner.take('}')) {
    do {
      std::string_view key;
      if (!next_key(scanner, keys, key) || !parse_field(scanner, key, trade)) {
        return false;
      }
    } while (scanner.take(','));
    if (!scanner.take('}')) {
      return false;
    }
  }
  end_object(keys);
  out.symbol = trade.symbol;
  out.exchange_time_ms = trade.time_ms;
  out.time_offset = static_cast<std::uint32_t>(trade.time_offset - begin);
  out.time_length = static_cast<std::uint32_t>(trade.time_length);
  out.is_trade = trade.symbol != SymbolTable::kNone && trade.price.good && trade.size.good && trade.time;
  out.trade_flags = static_cast<std::uint16_t>((trade.size.zero ? kTradePriceUpdate : 0) |
                                               (trade.price.exact && trade.size.exact ? 0 : kTradeInexact));
  return true;
}

/// Over one value at this depth (the message's is 0), looking into every object for keys that come twice.
bool FrameParser::skip_value(JsonScanner& scanner, int depth) {
  const char next = scanner.peek();
  return next == '{' ? skip_object(scanner, depth) : next == '[' ? skip_list(scanner, depth) : scanner.skip_value();
}

bool FrameParser::skip_list(JsonScanner& scanner, int depth) {
  (void)scanner.take('[');
  if (scanner.take(']')) {
    return true;
  }
  do {
    if (depth + 1 >= JsonScanner::kMaxDepth || !skip_value(scanner, depth + 1)) {
      return false;
    }
  } while (scanner.take(','));
  return scanner.take(']');
}

bool FrameParser::skip_object(JsonScanner& scanner, int depth) {
  ObjectKeys keys{keys_.size()};
  (void)scanner.take('{');
  if (!scanner.take('}')) {
    do {
      std::string_view key;
      if (depth + 1 >= JsonScanner::kMaxDepth || !next_key(scanner, keys, key) || !skip_value(scanner, depth + 1)) {
        return false;
      }
    } while (scanner.take(','));
    if (!scanner.take('}')) {
      return false;
    }
  }
  end_object(keys);
  return true;
}

/// A key and its colon. `key` is valid until the next call.
bool FrameParser::next_key(JsonScanner& scanner, ObjectKeys& keys, std::string_view& key) {
  JsonScanner::String raw;
  if (!scanner.string(raw) || !scanner.take(':')) {
    return false;
  }
  key = text_of(raw, key_scratch_);
  if (const std::uint32_t letter = letter_bit(key)) {
    keys.letter_twice = keys.letter_twice || (keys.letters & letter) != 0;
    keys.letters |= letter;
  } else {
    keys_.emplace_back(key);
  }
  return true;
}

void FrameParser::end_object(const ObjectKeys& keys) {
  const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(keys.first_other);
  const bool is_like_a_trade = (keys.letters & (letter_bit("s") | letter_bit("p"))) != 0;
  if (is_like_a_trade) {
    std::sort(first, keys_.end());  // not pair by pair: there may be a hundred thousand
    key_twice_ = key_twice_ || keys.letter_twice || std::adjacent_find(first, keys_.end()) != keys_.end();
  }
  keys_.erase(first, keys_.end());
}

bool FrameParser::parse_field(JsonScanner& scanner, std::string_view key, Trade& trade) {
  const char kind = key.size() == 1 ? key.front() : '\0';
  const char next = scanner.peek();
  const bool number_next = next == '-' || (next >= '0' && next <= '9');
  if (kind == 's' && next == '"') {
    JsonScanner::String text;
    if (!scanner.string(text)) {
      return false;
    }
    trade.symbol = symbols_.add(text_of(text, symbol_scratch_));
    return true;
  }
  if ((kind != 'p' && kind != 'v' && kind != 't') || !number_next) {
    return skip_value(scanner, 3);
  }
  JsonScanner::Number number;
  if (!scanner.number(number)) {
    return false;
  }
  if (kind == 'p') {
    trade.price = amount_of(number.text);
  } else if (kind == 'v') {
    trade.size = amount_of(number.text);
  } else {
    trade.time = exchange_time(number, trade.time_ms);
    trade.time_length = number.text.size();
    trade.time_offset = scanner.offset() - trade.time_length;
  }
  return true;
}

bool FrameParser::parse_trade(std::string_view text, FrameElement& out) {
  JsonScanner scanner(text);
  keys_.clear();
  key_twice_ = false;
  return parse_element(scanner, out) && scanner.at_end() && out.is_trade && !key_twice_ && !scanner.met_unusable();
}

}  // namespace mdpipe::replay
