#pragma once
// What we say to a venue, and how its answers to our asking are read.

#include <cstdint>
#include <string>
#include <string_view>

namespace mdpipe::feed {

/// However long a venue asks us to wait: we ask again after a day.
inline constexpr std::int64_t kRetryAfterMaxS = 86'400;

/// {"type":"subscribe","symbol":"…"}
[[nodiscard]] std::string subscribe_message(std::string_view symbol);

/// As a value in a query wants it (RFC 3986, 2.1).
[[nodiscard]] std::string percent_encoded(std::string_view text);

/// The header Retry-After (RFC 9110, 10.2.3): seconds, or a date. Seconds from now on, 0 where it says nothing that can
/// be understood, at most kRetryAfterMaxS.
[[nodiscard]] std::int64_t parse_retry_after_s(std::string_view text, std::int64_t now_s);

/// What a stranger wrote, fit for a log line: printable ASCII, other bytes as '?', cut after 200.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace mdpipe::feed
