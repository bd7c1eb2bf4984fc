#include "mdpipe/base/clock.hpp"

#include <cstring>
#include <ctime>
#include <optional>

#include <fmt/format.h>

namespace mdpipe {
namespace {

constexpr std::int64_t kMillisecondsPerDay = 86'400'000;

std::int64_t read_clock_ns(clockid_t clock) noexcept {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

struct Date {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

// Proleptic Gregorian calendar from days since 1970-01-01: Howard Hinnant, "chrono-compatible low-level date
// algorithms", civil_from_days; years begin in March there, so that leap days come last.
Date civil_from_days(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + static_cast<std::int64_t>(day_of_era) - 719'468;
}

struct DayAndTime {
  std::int64_t days;
  std::int64_t ms_of_day;
};

DayAndTime split(std::int64_t time_ms) noexcept {
  std::int64_t days = time_ms / kMillisecondsPerDay;
  std::int64_t rest = time_ms % kMillisecondsPerDay;
  if (rest < 0) {
    rest += kMillisecondsPerDay;
    --days;
  }
  return {days, rest};
}

char* put_digits(char* out, std::uint64_t value, int width) noexcept {
  for (int i = width - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + width;
}

char* put_date(char* out, std::int64_t days) noexcept {
  const Date date = civil_from_days(days);
  std::uint64_t year = static_cast<std::uint64_t>(date.year);
  if (date.year < 0) {
    *out++ = '-';
    year = static_cast<std::uint64_t>(-date.year);
  }
  int width = 4;
  for (std::uint64_t bound = 10'000; year >= bound; bound *= 10) {
    ++width;
  }
  out = put_digits(out, year, width);
  *out++ = '-';
  out = put_digits(out, date.month, 2);
  *out++ = '-';
  return put_digits(out, date.day, 2);
}

/// Takes exactly `width` digits off the front of `text`.
std::optional<std::int64_t> take_digits(std::string_view& text, std::size_t width) noexcept {
  if (text.size() < width) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') {
      return std::nullopt;
    }
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool take(std::string_view& text, std::string_view one_of) noexcept {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

/// ".25" → 250'000'000; digits beyond nanoseconds are dropped. Nothing there: 0.
std::optional<std::int64_t> take_fraction_ns(std::string_view& text) noexcept {
  if (!take(text, ".")) {
    return 0;
  }
  std::int64_t value = 0;
  int digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (digits < 9) {
      value = value * 10 + (text.front() - '0');
    }
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0) {
    return std::nullopt;
  }
  for (; digits < 9; ++digits) {
    value *= 10;
  }
  return value;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) noexcept {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) {
    return std::nullopt;
  }
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) {
    return std::nullopt;
  }
  const auto day = take_digits(text, 2);
  if (!day || *month < 1 || *month > 12 || *day < 1 || *day > 31) {
    return std::nullopt;
  }
  const std::int64_t days = days_from_civil(*year, static_cast<unsigned>(*month), static_cast<unsigned>(*day));
  if (const Date back = civil_from_days(days); back.day != static_cast<unsigned>(*day)) {
    return std::nullopt;  // the 31st of a month that has none
  }
  if (*year < 1678 || *year > 2261) {
    return std::nullopt;  // beyond nanoseconds in 64 bits
  }
  std::int64_t seconds = days * 86'400;
  if (text.empty()) {
    return seconds * kNanosecondsPerSecond;  // a date alone: its midnight, UTC
  }
  if (!take(text, "Tt ")) {
    return std::nullopt;
  }
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ":")) {
    return std::nullopt;
  }
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ":")) {
    return std::nullopt;
  }
  const auto second = take_digits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  seconds += *hour * 3600 + *minute * 60 + *second;
  const auto fraction_ns = take_fraction_ns(text);
  if (!fraction_ns) {
    return std::nullopt;
  }
  if (!take(text, "Zz")) {
    const bool west = !text.empty() && text.front() == '-';
    if (!take(text, "+-")) {
      return std::nullopt;
    }
    const auto offset_hour = take_digits(text, 2);
    if (!offset_hour || !take(text, ":")) {
      return std::nullopt;
    }
    const auto offset_minute = take_digits(text, 2);
    if (!offset_minute || *offset_hour > 23 || *offset_minute > 59) {
      return std::nullopt;
    }
    const std::int64_t offset_s = *offset_hour * 3600 + *offset_minute * 60;
    seconds += west ? offset_s : -offset_s;
  }
  return text.empty() ? std::optional(seconds * kNanosecondsPerSecond + *fraction_ns) : std::nullopt;
}

std::optional<std::int64_t> parse_epoch(std::string_view text) noexcept {
  const bool negative = take(text, "-");
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 19) {
    return std::nullopt;
  }
  std::int64_t unit_ns = 1;
  if (digits <= 11) {
    unit_ns = kNanosecondsPerSecond;
  } else if (digits <= 14) {
    unit_ns = kNanosecondsPerMillisecond;
  } else if (digits <= 17) {
    unit_ns = 1000;
  }
  std::int64_t value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[i] - '0', &value)) {
      return std::nullopt;
    }
  }
  text.remove_prefix(digits);
  const auto fraction_ns = take_fraction_ns(text);
  if (!fraction_ns || !text.empty() || (*fraction_ns != 0 && unit_ns != kNanosecondsPerSecond)) {
    return std::nullopt;
  }
  if (__builtin_mul_overflow(value, unit_ns, &value) || __builtin_add_overflow(value, *fraction_ns, &value)) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

}  // namespace

std::int64_t wall_clock_ns() noexcept {
  return read_clock_ns(CLOCK_REALTIME);
}

std::int64_t monotonic_clock_ns() noexcept {
  return read_clock_ns(CLOCK_MONOTONIC);
}

std::size_t format_iso_time_ms(std::int64_t time_ms, char* out) noexcept {
  const DayAndTime when = split(time_ms);
  const auto ms = static_cast<std::uint64_t>(when.ms_of_day);
  char* end = put_date(out, when.days);
  *end++ = 'T';
  end = put_digits(end, ms / 3'600'000, 2);
  *end++ = ':';
  end = put_digits(end, ms / 60'000 % 60, 2);
  *end++ = ':';
  end = put_digits(end, ms / 1000 % 60, 2);
  *end++ = '.';
  end = put_digits(end, ms % 1000, 3);
  *end++ = 'Z';
  return static_cast<std::size_t>(end - out);
}

std::string iso_time_ms(std::int64_t time_ms) {
  char text[kIsoTimeMaxBytes];
  return {text, format_iso_time_ms(time_ms, text)};
}

std::size_t format_utc_date(std::int64_t time_ms, char* out) noexcept {
  return static_cast<std::size_t>(put_date(out, split(time_ms).days) - out);
}

std::string utc_date(std::int64_t time_ms) {
  char text[kIsoTimeMaxBytes];
  return {text, format_utc_date(time_ms, text)};
}

Result<std::int64_t> parse_time_ns(std::string_view text) {
  if (const auto time_ns = parse_rfc3339(text)) {
    return *time_ns;
  }
  if (const auto time_ns = parse_epoch(text)) {
    return *time_ns;
  }
  return fail(
      ErrorCode::usage,
      fmt::format("\"{}\" is no time: give RFC 3339 (2013-10-07T14:30:00Z) or seconds, milliseconds, microseconds "
                  "or nanoseconds since 1970",
                  text));
}

}  // namespace mdpipe
