#include "journal_range.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "mdpipe/journal/maintenance.hpp"

namespace mdpipe::tools {
namespace {

/// Behind which position to begin, so that nothing at or behind `from` is passed over.
Result<Position> start_of(const std::string& directory, const std::optional<JournalPlace>& from) {
  if (!from) {
    return kBeforeEverything;
  }
  if (from->position) {
    return *from->position == 0 ? kBeforeEverything : *from->position - 1;
  }
  return journal::position_before(directory, *from->time_ns);
}

Result<std::optional<JournalPlace>> place_of(std::string_view option, const std::string& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  const auto place = parse_place(option, text);
  return place ? Result<std::optional<JournalPlace>>(*place) : tl::unexpected(place.error());
}

/// Symbol records bear the time of what was before them.
bool received_before(const RecordView& record, std::int64_t time_ns) {
  return record.receive_time_ns() < time_ns;
}

bool is_behind(const RecordView& record, const JournalPlace& to) {
  return to.position ? record.position() > *to.position
                     : record.kind() != RecordKind::symbol && !received_before(record, *to.time_ns + 1);
}

}  // namespace

Result<JournalRange> JournalRange::open(const std::string& directory, const std::string& from, const std::string& to) {
  const auto from_place = place_of("--from", from);
  const auto to_place = place_of("--to", to);
  if (!from_place || !to_place) {
    return tl::unexpected(from_place ? to_place.error() : from_place.error());
  }
  const auto start = start_of(directory, *from_place);
  if (!start) {
    return tl::unexpected(start.error());
  }
  auto reader = journal::Reader::open(directory, *start);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  return JournalRange(std::move(*reader), *from_place, *to_place);
}

std::optional<RecordView> JournalRange::next() {
  reader_->release(reader_->position());  // the record before was in use until now
  for (;;) {
    const auto record = reader_->next();
    say_skips();
    if (!record || (to_ && is_behind(*record, *to_))) {
      return std::nullopt;
    }
    begun_ = begun_ || !from_ || from_->position || !received_before(*record, *from_->time_ns);
    if (begun_) {
      return record;
    }
  }
}

void JournalRange::say_skips() {
  if (reader_->skipped().places == said_places_) {
    return;
  }
  said_places_ = reader_->skipped().places;
  for (const journal::Skip& skip : reader_->take_skips()) {
    std::fputs(fmt::format("mdpipe: {}\n", to_string(skip)).c_str(), stderr);
  }
}

Result<void> JournalRange::end() {
  if (reader_->failure()) {
    return tl::unexpected(*reader_->failure());
  }
  if (const journal::SkipFigures& skipped = reader_->skipped(); skipped.places != 0) {
    return fail(ErrorCode::data, fmt::format("the journal is damaged in {} places: {} positions are not here",
                                             skipped.places, skipped.positions));
  }
  return {};
}

}  // namespace mdpipe::tools
