// mdpipe journal ls: the segments of a journal.

#include <cstdio>

#include <fmt/format.h>

#include "commands.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "mdpipe/wiring/text.hpp"
#include "table.hpp"

namespace mdpipe::tools {
namespace {

using journal::ListedSegment;
using journal::SegmentState;

void print_json(const ListedSegment& segment) {
  fmt::print(R"({{"segment":{},"state":"{}","file":{},"file_bytes":{},"disk_bytes":{})", segment.index,
             to_string(segment.state), json_string(segment.path.string()), segment.file_bytes, segment.disk_bytes);
  if (segment.journal_id != 0) {
    fmt::print(R"(,"journal":"{:016x}","begun_ns":{},"last_recv_ns":{})", segment.journal_id, segment.begun_ns,
               segment.last_time_ns);
  }
  if (segment.first_position != 0) {
    fmt::print(R"(,"first":"{}","last":"{}")", position_text(segment.first_position),
               position_text(segment.last_position));
  }
  fmt::print("{}}}\n", segment.trouble.empty() ? "" : fmt::format(R"(,"trouble":{})", json_string(segment.trouble)));
}

void print_table(const std::string& directory, const std::vector<ListedSegment>& segments) {
  using enum Table::Align;
  Table table({{"SEGMENT", right},
               {"STATE", left},
               {"POSITIONS", left},
               {"BEGUN", left},
               {"LAST RECORD", left},
               {"SIZE", right},
               {"ON DISK", right}});
  std::uint64_t journal_id = 0;
  std::uint64_t disk_bytes = 0;
  for (const ListedSegment& segment : segments) {
    const bool empty = segment.first_position == 0;
    table.add({std::to_string(segment.index), std::string(to_string(segment.state)),
               range_text(segment.first_position, segment.last_position), time_text(segment.begun_ns),
               empty ? std::string() : time_text(segment.last_time_ns), wiring::size_text(segment.file_bytes),
               wiring::size_text(segment.disk_bytes)});
    journal_id = segment.journal_id != 0 ? segment.journal_id : journal_id;
    disk_bytes += segment.disk_bytes;
  }
  fmt::print("journal {:016x} in {}: {} segment{}, {} on disk\n{}", journal_id, directory, segments.size(),
             segments.size() == 1 ? "" : "s", wiring::size_text(disk_bytes), table.text());
}

}  // namespace

int journal_ls(const JournalOptions& options) {
  const auto segments = journal::list_journal(options.directory);
  if (!segments) {
    return report(segments.error());
  }
  if (options.json) {
    for (const ListedSegment& segment : *segments) {
      print_json(segment);
    }
  } else {
    print_table(options.directory, *segments);
  }
  std::fflush(stdout);
  int code = 0;
  for (const ListedSegment& segment : *segments) {
    if (segment.state == SegmentState::refused) {
      code = report({ErrorCode::data, fmt::format("{} is refused: {}", segment.path.string(), segment.trouble)});
    } else if (segment.state == SegmentState::torn) {
      code = report(
          {ErrorCode::data, fmt::format("{} is damaged: mdpipe journal verify says where", segment.path.string())});
    }
  }
  return code;
}

}  // namespace mdpipe::tools
