// mdpipe journal prune, cursors: what may go, and who holds it.

#include <cstdio>
#include <limits>

#include <fmt/format.h>

#include "commands.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "mdpipe/wiring/text.hpp"
#include "table.hpp"

namespace mdpipe::tools {
namespace {

using journal::ListedCursor;
using journal::ListedSegment;
using wiring::size_text;

Result<journal::PruneOptions> prune_options(const JournalPruneOptions& options) {
  journal::PruneOptions wanted;
  wanted.dry_run = options.dry_run;
  if (options.keep.empty() == options.before.empty()) {
    return fail(ErrorCode::usage, "give one of --keep SIZE,AGE (10GiB,7d) and --before POSITION or TIME");
  }
  if (!options.keep.empty()) {
    constexpr wiring::Keep kEverything{std::numeric_limits<std::uint64_t>::max(), -1};
    const auto keep = wiring::parse_keep("--keep", options.keep, kEverything);
    if (!keep) {
      return tl::unexpected(keep.error());
    }
    wanted.keep_bytes = keep->bytes;
    if (keep->age_s >= 0) {
      wanted.keep_age_s = keep->age_s;
    }
    return wanted;
  }
  const auto place = parse_place("--before", options.before);
  if (!place) {
    return tl::unexpected(place.error());
  }
  wanted.before = place->position;
  wanted.before_ns = place->time_ns;
  return wanted;
}

void print_json(const journal::PruneReport& report, bool dry_run) {
  fmt::print(R"({{"dry_run":{},"gone":[)", dry_run);
  const char* separator = "";
  for (const ListedSegment& segment : report.gone) {
    fmt::print(R"({}{{"segment":{},"file":{},"disk_bytes":{},"last":"{}","last_recv_ns":{}}})", separator,
               segment.index, json_string(segment.path.string()), segment.disk_bytes,
               position_text(segment.last_position), segment.last_time_ns);
    separator = ",";
  }
  fmt::print(R"(],"freed_bytes":{},"kept":{},"kept_bytes":{},"held":{}}})"
             "\n",
             report.freed_bytes, report.kept, report.kept_bytes,
             report.held.empty() ? "null" : json_string(report.held));
}

void print_text(const journal::PruneReport& report, bool dry_run) {
  using enum Table::Align;
  if (!report.gone.empty()) {
    Table table({{"SEGMENT", right}, {"POSITIONS", left}, {"LAST RECORD", left}, {"ON DISK", right}});
    for (const ListedSegment& segment : report.gone) {
      table.add({std::to_string(segment.index), range_text(segment.first_position, segment.last_position),
                 time_text(segment.last_time_ns), size_text(segment.disk_bytes)});
    }
    std::fputs(table.text().c_str(), stdout);
  }
  fmt::print("{}: {} segment{}, {}; {}: {}, {}\n", dry_run ? "would go" : "gone", report.gone.size(),
             report.gone.size() == 1 ? "" : "s", size_text(report.freed_bytes), dry_run ? "would stay" : "kept",
             report.kept, size_text(report.kept_bytes));
  if (!report.held.empty()) {
    fmt::print("held: {}\n", report.held);
  }
}

/// The first segment that retention keeps for a cursor; nothing where it has passed all there is.
std::string held_from(const ListedCursor& cursor, const std::vector<ListedSegment>& segments) {
  for (const ListedSegment& segment : segments) {
    if (segment.last_position > cursor.position || !cursor.trouble.empty()) {
      return std::to_string(segment.index);
    }
  }
  return {};
}

}  // namespace

Result<JournalPlace> parse_place(std::string_view option, std::string_view text) {
  // "1.500" is a position: as a time it would be a second and a half of 1970.
  if (const auto position = parse_position(text)) {
    return JournalPlace{.position = *position, .time_ns = {}};
  }
  const auto time_ns = parse_time_ns(text);
  if (!time_ns) {
    return fail(ErrorCode::usage,
                fmt::format("{} {}: give a position (1.500) or a time (2013-10-07T14:30:00Z)", option, text));
  }
  return JournalPlace{.position = {}, .time_ns = *time_ns};
}

int journal_prune(const JournalPruneOptions& options) {
  const auto wanted = prune_options(options);
  if (!wanted) {
    return report(wanted.error());
  }
  const auto pruned = journal::prune(options.directory, *wanted);
  if (!pruned) {
    return report(pruned.error());
  }
  (options.json ? print_json : print_text)(*pruned, options.dry_run);
  return 0;
}

int journal_cursors(const JournalOptions& options) {
  const auto segments = journal::list_journal(options.directory);
  if (!segments) {
    return report(segments.error());
  }
  const auto cursors = journal::list_cursors(options.directory);
  if (!cursors) {
    return report(cursors.error());
  }
  Table table({{"CURSOR", Table::Align::left},
               {"POSITION", Table::Align::left},
               {"SAVED", Table::Align::left},
               {"HOLDS FROM SEGMENT", Table::Align::right}});
  for (const ListedCursor& cursor : *cursors) {
    const std::string from = held_from(cursor, *segments);
    if (options.json) {
      fmt::print(R"({{"cursor":{},"position":{},"saved_ns":{},"holds_from_segment":{},"trouble":{}}})"
                 "\n",
                 json_string(cursor.name),
                 cursor.trouble.empty() ? json_string(position_text(cursor.position)) : "null", cursor.saved_ns,
                 from.empty() ? "null" : from, cursor.trouble.empty() ? "null" : json_string(cursor.trouble));
    }
    table.add({cursor.name, cursor.trouble.empty() ? position_text(cursor.position) : "?", time_text(cursor.saved_ns),
               from.empty() ? "-" : from});
  }
  if (!options.json) {
    std::fputs(cursors->empty() ? "no cursors\n" : table.text().c_str(), stdout);
  }
  std::fflush(stdout);
  int code = 0;
  for (const ListedCursor& cursor : *cursors) {
    if (!cursor.trouble.empty()) {
      code = report({ErrorCode::data, fmt::format("{}: it holds everything back", cursor.trouble)});
    }
  }
  return code;
}

int journal_remove_cursor(const std::string& directory, const std::string& name) {
  const auto removed = journal::remove_cursor(directory, name);
  if (!removed) {
    return report(removed.error());
  }
  fmt::print("the cursor {} is off the register: retention no longer waits for it\n", name);
  return 0;
}

}  // namespace mdpipe::tools
