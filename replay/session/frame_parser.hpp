#pragma once
/// \file
/// What a frame holds and where: enough to filter it by symbol without touching the bytes that stay.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "replay/session/json_scanner.hpp"

namespace mdpipe::replay {

class UsualText;

/// Beyond it, either way, nanoseconds leave 64 bits: such a `t` makes no trade.
inline constexpr std::int64_t kExchangeTimeMaxMs = 9'223'372'036'854;

/// One element of a trade frame's list.
struct FrameElement {
  std::uint32_t offset;  ///< of its text, from the frame's start
  std::uint32_t length;
  SymbolId symbol;            ///< kNone: it names none, and belongs to everybody
  bool is_trade;              ///< by the rules of the feed: else it is an element that will be dead-lettered
  std::uint16_t trade_flags;  ///< TradeFlag: those that its own text tells (price update, inexact)
  std::int64_t exchange_time_ms;
  std::uint32_t time_offset;  ///< of the digits of its time, from the element's start; of trades alone
  std::uint32_t time_length;
};

struct FrameShape {
  FrameKind kind = FrameKind::bad;
  std::uint32_t list_begin = 0;  ///< behind the "[" of the list
  std::uint32_t list_end = 0;    ///< at its "]"
  std::uint32_t trade_count = 0;
  std::optional<std::int64_t> latest_exchange_ms;
  bool member_twice = false;           ///< `data` or `type` is there twice: partly bad, whatever its elements are
  std::vector<FrameElement> elements;  ///< empty unless kind is trades or partly_bad

  /// Of a trade frame, once its elements are known: its kind, how many trades it has, and the latest of their times.
  void settle_kind() noexcept;

  void clear() noexcept;
};

/// Thread safety: none.
class FrameParser {
 public:
  explicit FrameParser(SymbolTable& symbols) noexcept : symbols_(symbols) {}

  /// Reads the one value that comes next, whatever it is. False where it is not JSON. Offsets count from `start`.
  [[nodiscard]] bool parse(JsonScanner& scanner, std::size_t start, FrameShape& out);

  /// The same for a text that must be one frame and nothing else.
  [[nodiscard]] bool parse(std::string_view frame, FrameShape& out);

  /// Whether a text is one object that is a trade; its symbol and time in `out`.
  [[nodiscard]] bool parse_trade(std::string_view text, FrameElement& out);

  /// The object last parsed has a key of capture lines ("frame", "raw"), and has the key "type".
  [[nodiscard]] bool met_capture_key() const noexcept { return met_capture_key_; }
  [[nodiscard]] bool met_type() const noexcept { return met_type_; }

 private:
  struct Trade;
  struct ObjectKeys;
  struct Message;

  bool parse_member(JsonScanner& scanner, std::size_t start, Message& message, FrameShape& out);
  bool parse_list(JsonScanner& scanner, std::size_t start, FrameShape& out);
  bool parse_element(JsonScanner& scanner, FrameElement& out);
  bool parse_usual_frame(JsonScanner& scanner, std::size_t start, FrameShape& out);
  bool parse_usual(UsualText& text, FrameElement& out);
  bool parse_field(JsonScanner& scanner, std::string_view key, Trade& trade);
  bool skip_value(JsonScanner& scanner, int depth);
  bool skip_list(JsonScanner& scanner, int depth);
  bool skip_object(JsonScanner& scanner, int depth);
  bool next_key(JsonScanner& scanner, ObjectKeys& keys, std::string_view& key);
  void end_object(const ObjectKeys& keys);

  SymbolTable& symbols_;
  SymbolId last_symbol_ = SymbolTable::kNone;  // of the last usual trade
  std::string key_scratch_;
  std::string type_scratch_;
  std::string symbol_scratch_;
  std::vector<std::string> keys_;  // of the objects that are open, the innermost last; but for letters
  bool key_twice_ = false;         // in an object with "s" or "p", anywhere in what is being parsed
  bool met_capture_key_ = false;
  bool met_type_ = false;
};

/// `frame` with only those elements that `keep` accepts (symbols of kNone always stay), each as it was, in `out`; its
/// new shape in `shape`. False where nothing of the list is left.
template <class Keep>
[[nodiscard]] bool trim_frame(std::string_view frame, std::uint32_t list_begin, std::uint32_t list_end,
                              const FrameElement* elements, std::size_t count, Keep&& keep, std::string& out,
                              std::vector<FrameElement>* kept = nullptr) {
  out.assign(frame.substr(0, list_begin));
  bool first = true;
  for (std::size_t i = 0; i < count; ++i) {
    const FrameElement& element = elements[i];
    if (element.symbol != SymbolTable::kNone && !keep(element.symbol)) {
      continue;
    }
    if (!first) {
      out.push_back(',');
    }
    first = false;
    if (kept != nullptr) {
      kept->push_back(element);
      kept->back().offset = static_cast<std::uint32_t>(out.size());
    }
    out.append(frame.substr(element.offset, element.length));
  }
  out.append(frame.substr(list_end));
  return !first;
}

}  // namespace mdpipe::replay
