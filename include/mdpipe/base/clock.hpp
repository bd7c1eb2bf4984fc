#pragma once
/// \file
/// The two clocks and the text forms of time. Wall times are nanoseconds since 1970-01-01T00:00:00Z.

#include <cstdint>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"

namespace mdpipe {

inline constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;
inline constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

/// CLOCK_REALTIME. For stamps only: it may jump; never measure a time-out with it.
[[nodiscard]] std::int64_t wall_clock_ns() noexcept;

/// CLOCK_MONOTONIC. For time-outs, pacing and durations.
[[nodiscard]] std::int64_t monotonic_clock_ns() noexcept;

/// "2013-10-07T08:00:00.464Z": ISO 8601, UTC, milliseconds. Exact for every int64 (years before 0 and after 9999 get a
/// sign or more digits). Writes at most kIsoTimeMaxBytes, returns how many; allocates nothing.
inline constexpr std::size_t kIsoTimeMaxBytes = 40;
[[nodiscard]] std::size_t format_iso_time_ms(std::int64_t time_ms, char* out) noexcept;
[[nodiscard]] std::string iso_time_ms(std::int64_t time_ms);

/// "2013-10-07": the UTC date of an exchange time. Same bounds as above.
[[nodiscard]] std::size_t format_utc_date(std::int64_t time_ms, char* out) noexcept;
[[nodiscard]] std::string utc_date(std::int64_t time_ms);

/// Milliseconds from nanoseconds, rounded towards minus infinity (times before 1970 keep their date).
[[nodiscard]] constexpr std::int64_t floor_to_ms(std::int64_t time_ns) noexcept {
  const std::int64_t quotient = time_ns / kNanosecondsPerMillisecond;
  return quotient - (time_ns % kNanosecondsPerMillisecond < 0 ? 1 : 0);
}

/// RFC 3339 ("2013-10-07T14:30:00.25-04:00", "…Z") or an epoch number: up to 11 digits are seconds (a fraction may
/// follow), up to 14 milliseconds, up to 17 microseconds, more nanoseconds.
[[nodiscard]] Result<std::int64_t> parse_time_ns(std::string_view text);

}  // namespace mdpipe
