#pragma once
/// \file
/// The small forms that option values come in.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::wiring {

/// "a,b" → a, b. Empty parts are left out.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// "a=b" → a, b at the first separator; the second part is empty where there is none.
[[nodiscard]] std::pair<std::string_view, std::string_view> split_at(std::string_view text, char separator);

/// "A,B" or "@FILE" (one a line; blank lines and those that begin with # are left out). Duplicates count once, order
/// stays. ErrorCode::usage where nothing is left, ErrorCode::environment where the file cannot be read.
[[nodiscard]] Result<std::vector<std::string>> parse_symbols(const std::string& text);

/// How much of a journal to keep: "10GiB" (also KiB, MiB, TiB) or "7d" (also h, m, s), or both: "10GiB,7d".
struct Keep {
  std::uint64_t bytes;
  std::int64_t age_s;
};
[[nodiscard]] Result<Keep> parse_keep(std::string_view option, std::string_view text, Keep otherwise);

/// "1,234,567"
[[nodiscard]] std::string grouped_text(std::uint64_t number);

/// "97.3 MiB"; below 1 KiB "512 B".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// "127.0.0.1:8000", "[::1]:8000", ":8000" and "localhost:8000" (= loopback). Other names are refused.
struct Endpoint {
  std::string address;
  std::uint16_t port;
};
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view option, std::string_view text);

}  // namespace mdpipe::wiring
