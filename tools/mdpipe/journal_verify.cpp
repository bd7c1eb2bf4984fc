// mdpipe journal verify: is the journal what its writer wrote, and if not, what is wrong and where?

#include <cstdio>

#include <fmt/format.h>

#include "commands.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/journal/verify.hpp"
#include "mdpipe/wiring/text.hpp"
#include "table.hpp"

namespace mdpipe::tools {
namespace {

using journal::Damage;
using journal::SegmentReport;
using journal::SegmentState;
using journal::VerifyReport;
using wiring::grouped_text;

std::string counted(std::uint64_t number, const char* what) {
  return fmt::format("{} {}{}", grouped_text(number), what, number == 1 ? "" : "s");
}

std::string segment_json(const SegmentReport& segment) {
  std::string json = fmt::format(
      R"({{"segment":{},"state":"{}","file":{},"records":{},"trades":{},"symbols":{},"damages":{},"end_offset":{})",
      segment.index, to_string(segment.state), json_string(segment.path.string()), segment.records, segment.trades,
      segment.symbols, segment.damages, segment.end_offset);
  if (segment.first_position != 0) {
    json += fmt::format(R"(,"first":"{}","last":"{}","first_recv_ns":{},"last_recv_ns":{})",
                        position_text(segment.first_position), position_text(segment.last_position),
                        segment.first_time_ns, segment.last_time_ns);
  }
  return json + "}";
}

void print_json(const std::string& directory, const VerifyReport& report) {
  fmt::print(R"({{"journal":"{:016x}","directory":{},"whole":{},"damages_count":{},"damages":[)", report.journal_id,
             json_string(directory), report.whole(), report.damages_count);
  const char* separator = "";
  for (const Damage& damage : report.damages) {
    fmt::print(R"({}{{"file":{},"offset":{},"reason":{}}})", separator, json_string(damage.file.string()),
               damage.offset, json_string(damage.reason));
    separator = ",";
  }
  fmt::print("],\"notes\":[");
  separator = "";
  for (const std::string& note : report.notes) {
    fmt::print("{}{}", separator, json_string(note));
    separator = ",";
  }
  fmt::print("],\"segments\":[");
  separator = "";
  for (const SegmentReport& segment : report.segments) {
    fmt::print("{}{}", separator, segment_json(segment));
    separator = ",";
  }
  fmt::print("]}}\n");
}

void print_text(const std::string& directory, const VerifyReport& report) {
  using enum Table::Align;
  Table table({{"SEGMENT", right},
               {"STATE", left},
               {"RECORDS", right},
               {"TRADES", right},
               {"POSITIONS", left},
               {"FIRST RECEIVED", left},
               {"LAST RECEIVED", left},
               {"DAMAGES", right}});
  std::uint64_t records = 0;
  std::uint64_t trades = 0;
  const SegmentReport* newest = nullptr;
  for (const SegmentReport& segment : report.segments) {
    table.add({std::to_string(segment.index), std::string(to_string(segment.state)), grouped_text(segment.records),
               grouped_text(segment.trades), range_text(segment.first_position, segment.last_position),
               time_text(segment.first_time_ns), time_text(segment.last_time_ns), grouped_text(segment.damages)});
    records += segment.records;
    trades += segment.trades;
    newest = segment.state == SegmentState::open ? &segment : newest;
  }
  fmt::print("journal {:016x} in {}\n{}", report.journal_id, directory, table.text());
  for (const Damage& damage : report.damages) {
    fmt::print("damage: {} at byte {}: {}\n", damage.file.string(), damage.offset, damage.reason);
  }
  if (report.damages.size() < report.damages_count) {
    fmt::print("damage: {} more\n", grouped_text(report.damages_count - report.damages.size()));
  }
  for (const std::string& note : report.notes) {
    fmt::print("note: {}\n", note);
  }
  if (newest != nullptr) {
    fmt::print("ends here: {} at byte {}\n", newest->path.string(), newest->end_offset);
  }
  fmt::print("{}: {}, {}, {}\n", report.whole() ? "whole" : "good", counted(report.segments.size(), "segment"),
             counted(records, "record"), counted(trades, "trade"));
}

}  // namespace

int journal_verify(const JournalOptions& options) {
  const auto verified = journal::verify(options.directory);
  if (!verified) {
    return report(verified.error());
  }
  (options.json ? print_json : print_text)(options.directory, *verified);
  std::fflush(stdout);
  return verified->whole() ? 0
                           : report({ErrorCode::data, fmt::format("the journal {} is damaged in {}", options.directory,
                                                                  counted(verified->damages_count, "place"))});
}

}  // namespace mdpipe::tools
