#include "request.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include <fmt/format.h>

namespace mdpipe::feed {
namespace {

constexpr std::size_t kPrintableMaxBytes = 200;

}  // namespace

std::string subscribe_message(std::string_view symbol) {
  std::string message = R"({"type":"subscribe","symbol":")";
  for (const char c : symbol) {
    if (c == '"' || c == '\\') {
      message.push_back('\\');
      message.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      message += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      message.push_back(c);
    }
  }
  return message + "\"}";
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

std::int64_t parse_retry_after_s(std::string_view text, std::int64_t now_s) {
  const bool digits =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return error == std::errc{} ? std::min(seconds, kRetryAfterMaxS) : kRetryAfterMaxS;
  }
  std::tm when{};
  const char* const end = ::strptime(std::string(text).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &when);
  if (end == nullptr) {
    return 0;
  }
  return std::clamp<std::int64_t>(::timegm(&when) - now_s, 0, kRetryAfterMaxS);
}

std::string printable(std::string_view text) {
  std::string clean(text.substr(0, kPrintableMaxBytes));
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text.size() > kPrintableMaxBytes ? clean + "..." : clean;
}

}  // namespace mdpipe::feed
