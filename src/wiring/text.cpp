#include "mdpipe/wiring/text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "mdpipe/base/file.hpp"

namespace mdpipe::wiring {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 4> kSizes{
    {{"KiB", 1ULL << 10U}, {"MiB", 1ULL << 20U}, {"GiB", 1ULL << 30U}, {"TiB", 1ULL << 40U}}};
constexpr std::array<Unit, 4> kAges{{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}}};

bool is_number(const std::string& address) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, address.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

std::optional<std::uint64_t> in_units(std::string_view text, const std::array<Unit, 4>& units) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto* const unit = std::find_if(units.begin(), units.end(), [&](const Unit& one) { return one.name == name; });
  if (error != std::errc{} || unit == units.end() || number == 0 ||
      __builtin_mul_overflow(number, unit->factor, &number) || number > INT64_MAX) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end != 0) {
      parts.push_back(text.substr(0, end));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::pair<std::string_view, std::string_view> split_at(std::string_view text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos) {
    return {text, {}};
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

Result<std::vector<std::string>> parse_symbols(const std::string& text) {
  std::string content = text;
  char separator = ',';
  if (text.starts_with('@')) {
    auto file = read_file(text.substr(1));
    if (!file) {
      return fail(ErrorCode::environment, fmt::format("--symbols {}: {}", text, file.error().message));
    }
    content = std::move(*file);
    separator = '\n';
  }
  std::vector<std::string> symbols;
  for (std::string_view part : split(content, separator)) {
    part = trim(part);
    const bool comment = separator == '\n' && part.starts_with('#');
    if (!part.empty() && !comment && std::find(symbols.begin(), symbols.end(), part) == symbols.end()) {
      symbols.emplace_back(part);
    }
  }
  if (symbols.empty()) {
    return fail(ErrorCode::usage, fmt::format("--symbols {}: no symbol in it; give AAPL,MSFT or @FILE", text));
  }
  return symbols;
}

Result<Keep> parse_keep(std::string_view option, std::string_view text, Keep otherwise) {
  for (const std::string_view part : split(text, ',')) {
    if (const auto bytes = in_units(part, kSizes)) {
      otherwise.bytes = *bytes;
    } else if (const auto age_s = in_units(part, kAges)) {
      otherwise.age_s = static_cast<std::int64_t>(*age_s);
    } else {
      return fail(ErrorCode::usage,
                  fmt::format("{} {}: give a size (10GiB) or an age (7d), or both (10GiB,7d)", option, text));
    }
  }
  return otherwise;
}

std::string grouped_text(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) {
    text.insert(at - 3, ",");
  }
  return text;
}

std::string size_text(std::uint64_t bytes) {
  const auto unit = std::find_if(kSizes.rbegin(), kSizes.rend(), [&](const Unit& one) { return one.factor <= bytes; });
  if (unit == kSizes.rend()) {
    return fmt::format("{} B", bytes);
  }
  return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(unit->factor), unit->name);
}

Result<Endpoint> parse_endpoint(std::string_view option, std::string_view text) {
  const std::size_t colon = text.rfind(':');
  Endpoint endpoint{"127.0.0.1", 0};
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (error == std::errc{} && end == port.data() + port.size()) {
      std::string_view address = text.substr(0, colon);
      if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
      }
      if (!address.empty() && address != "localhost") {
        endpoint.address = address;
      }
      if (is_number(endpoint.address)) {
        return endpoint;
      }
    }
  }
  return fail(ErrorCode::usage,
              fmt::format("{} {}: give ADDRESS:PORT, the address as a number: 127.0.0.1:8000", option, text));
}

}  // namespace mdpipe::wiring
