#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/wiring/tail.hpp"

namespace mdpipe::wiring {
namespace {

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kBold = "\033[1m";
constexpr std::string_view kPlain = "\033[0m";

void append_json(const TailLine& line, std::string& out) {
  if (line.topic.empty()) {
    out.append(R"({"epoch":)");
    append_number(line.epoch, out);
    out.append(R"(,"sequence":)");
    append_number(line.sequence, out);
  } else {
    out.append(R"({"topic":)");
    append_json_string(line.topic, out);
    out.append(R"(,"partition":)");
    append_number(line.partition, out);
    out.append(R"(,"offset":)");
    append_number(line.offset, out);
  }
  out.append(R"(,"key":)");
  append_json_string(line.key, out);
  if (line.time_ms >= 0) {
    char time[kIsoTimeMaxBytes];
    out.append(R"(,"time":")").append(time, format_iso_time_ms(line.time_ms, time)).push_back('"');
  }
  if (line.latency_ms) {
    out.append(R"(,"latency_ms":)");
    append_number(*line.latency_ms, out);
  }
  out.append(R"(,"value":)");
  append_json_string(line.value, out);
  out.append("}\n");
}

}  // namespace

void append_tail_line(const TailLine& line, bool json, bool colour, std::string& out) {
  if (json) {
    append_json(line, out);
    return;
  }
  const auto paint = [&](std::string_view how) { out.append(colour ? how : std::string_view()); };
  auto at = std::back_inserter(out);
  paint(kDim);
  if (line.topic.empty()) {
    fmt::format_to(at, "{:>3}/{:<12}", line.epoch, line.sequence);
  } else {
    fmt::format_to(at, "{:>3} {:>12}", line.partition, line.offset);
  }
  fmt::format_to(at, "  {:<24}  {:>9}  ", line.time_ms >= 0 ? iso_time_ms(line.time_ms) : "-",
                 line.latency_ms ? fmt::format("{} ms", *line.latency_ms) : "-");
  paint(kPlain);
  paint(kBold);
  fmt::format_to(at, "{:<12}", line.key);
  paint(kPlain);
  out.append("  ");
  const std::size_t begin = out.size();
  out.append(line.value);
  // What moves a terminal's cursor is not for a stranger to send.
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
      [](char c) { return (c >= 0 && c < ' ') || c == '\x7F'; }, ' ');
  out.push_back('\n');
}

}  // namespace mdpipe::wiring
