#include "replay/session/journal_source.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "mdpipe/journal/maintenance.hpp"

namespace mdpipe::replay {

Result<std::unique_ptr<JournalSource>> JournalSource::open(const std::filesystem::path& directory, SymbolTable& symbols,
                                                           std::shared_ptr<SkippedLines> skipped,
                                                           std::optional<std::int64_t> from_ns) {
  const auto after = from_ns ? journal::position_before(directory, *from_ns) : kBeforeEverything;
  if (!after) {
    return tl::unexpected(after.error());
  }
  auto reader = journal::Reader::open(directory, *after);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  return std::unique_ptr<JournalSource>(new JournalSource(std::move(*reader), symbols, directory, std::move(skipped)));
}

Result<bool> JournalSource::next(SessionFrame& out) {
  reader_->release(reader_->position());  // the last frame's text was in use until now
  while (const auto record = reader_->next()) {
    if (record->kind() != RecordKind::frame) {
      continue;
    }
    out.receive_time_ns = record->receive_time_ns();
    out.text = record->payload();
    const FrameKind kind = record->frame_kind();
    out.is_json = kind != FrameKind::bad && kind != FrameKind::bad_truncated && parser_.parse(out.text, out.shape);
    if (!out.is_json) {
      out.shape.clear();
    }
    timeline_.stamp(out);
    return true;
  }
  for (const journal::Skip& skip : reader_->take_skips()) {
    if (skipped_ != nullptr) {
      skipped_->add(directory_.string(), ++places_, to_string(skip));
      continue;
    }
    std::fputs(fmt::format("mdreplay: {}\n", to_string(skip)).c_str(), stderr);
  }
  if (reader_->failure()) {
    return tl::unexpected(*reader_->failure());
  }
  if (const journal::SkipFigures& skipped = reader_->skipped(); skipped.places != 0 && skipped_ == nullptr) {
    return fail(ErrorCode::data, fmt::format("the journal is damaged in {} places: {} positions were not played",
                                             skipped.places, skipped.positions));
  }
  return false;
}

}  // namespace mdpipe::replay
