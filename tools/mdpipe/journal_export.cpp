// mdpipe journal export: the journal as a file that other tools can read.

#include <charconv>
#include <string>
#include <string_view>

#include "commands.hpp"
#include "journal_range.hpp"
#include "line_writer.hpp"
#include "mdpipe/base/base64.hpp"

namespace mdpipe::tools {
namespace {

Result<void> put_trades(const RecordView& record, LineWriter& lines) {
  for (const Trade& trade : record.trades()) {
    lines.put_json(record.text(trade));
    if (auto ended = lines.end_line(); !ended) {
      return ended;
    }
  }
  return {};
}

Result<void> put_frame(const RecordView& record, LineWriter& lines) {
  char number[24];
  const auto end = std::to_chars(number, number + sizeof number, record.receive_time_ns()).ptr;
  lines.put(R"({"recv_ns":)");
  lines.put({number, static_cast<std::size_t>(end - number)});
  if (record.frame_kind() == FrameKind::bad || record.frame_kind() == FrameKind::bad_truncated) {
    lines.put(R"(,"raw":")");
    lines.put(base64_encode(record.payload()));
    lines.put("\"}");
  } else {
    lines.put(R"(,"frame":)");
    lines.put_json(record.payload());
    lines.put("}");
  }
  return lines.end_line();
}

Result<void> export_journal(const JournalExportOptions& options) {
  auto range = JournalRange::open(options.directory, options.from, options.to);
  if (!range) {
    return tl::unexpected(range.error());
  }
  LineWriter lines(options.output);
  if (auto opened = lines.open(); !opened) {
    return opened;
  }
  while (const auto record = range->next()) {
    if (record->kind() == RecordKind::frame) {
      if (auto put = options.frames ? put_frame(*record, lines) : put_trades(*record, lines); !put) {
        return put;
      }
    }
  }
  // What was good is written all the same.
  if (auto flushed = lines.flush(); !flushed) {
    return flushed;
  }
  return range->end();
}

}  // namespace

int journal_export(const JournalExportOptions& options) {
  const auto exported = export_journal(options);
  return exported ? 0 : report(exported.error());
}

}  // namespace mdpipe::tools
