#include "replay/verify/entry_stream.hpp"

#include <algorithm>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

constexpr char kKeySeparator = '\0';

}  // namespace

std::string key_words(std::string_view key) {
  const std::size_t separator = key.find(kKeySeparator);
  return separator == std::string_view::npos
             ? std::string(key)
             : std::string(key.substr(0, separator)) + " of " + std::string(key.substr(separator + 1));
}

std::string_view make_key(EntryKey kind, std::string_view symbol, std::int64_t exchange_time_ms, std::string& scratch) {
  if (kind == EntryKey::symbol) {
    return symbol;
  }
  char date[kIsoTimeMaxBytes];
  const std::size_t length = format_utc_date(exchange_time_ms, date);
  scratch.assign(symbol).append(1, kKeySeparator).append(date, length);
  return scratch;
}

std::string_view without_line_breaks(std::string_view text, std::string& scratch) {
  if (text.find('\n') == std::string_view::npos && text.find('\r') == std::string_view::npos) {
    return text;
  }
  scratch.assign(text);
  std::replace_if(
      scratch.begin(), scratch.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return scratch;
}

}  // namespace mdpipe::replay
