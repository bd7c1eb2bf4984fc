#include "scan.hpp"

#include <algorithm>

namespace mdpipe::journal {
namespace {

bool is_restated(const RecordHeader& header) noexcept {
  return header.position == 0 && header.kind == static_cast<std::uint16_t>(RecordKind::symbol);
}

/// What is quickly seen of a record, before its checksum is formed.
bool may_resume(const Segment& segment, const std::byte* record, std::uint32_t length, std::uint64_t room,
                const Resumption& wanted) noexcept {
  const auto& header = *reinterpret_cast<const RecordHeader*>(record);
  if (length > room || sizeof header + std::uint64_t{header.payload_length} > length) {
    return false;
  }
  if (header.kind == static_cast<std::uint16_t>(RecordKind::roll)) {
    return header.position == 0 || (header.position + 1 >= wanted.first && header.position <= wanted.last);
  }
  if (is_restated(header)) {
    return wanted.restated;
  }
  return length + kRollBytes <= room && header.position >= wanted.first && header.position <= wanted.last &&
         epoch_of(header.position) == segment.header().epoch &&
         trades_of(length, header.payload_length) <= wanted.last - header.position;
}

const char* judge_step(const Segment& segment, bool verify, const Walk& walk, std::uint32_t length) noexcept {
  const std::byte* const record = segment.base() + walk.offset;
  const std::uint64_t room = segment.bytes() - walk.offset;
  // A symbol's text is believed for as long as the journal lives.
  const bool symbol = RecordView(record).kind() == RecordKind::symbol;
  if (const char* const wrong =
          verify || symbol ? judge_record(record, length, room, segment.seed()) : judge_bounds(record, length, room)) {
    return wrong;
  }
  const RecordView view(record);
  if (view.kind() == RecordKind::roll) {
    return nullptr;
  }
  if (length + kRollBytes > room) {
    return "it leaves no room for the segment's end";
  }
  if (!is_restated(view.header()) && view.position() != walk.expected) {
    return "its position does not follow the one before it";
  }
  return nullptr;
}

void take(const Segment& segment, const RecordView& record, Walk& walk, KnownNames& names) {
  if (record.kind() == RecordKind::symbol) {
    names.define(record.symbol_id(), record.symbol_text());
  }
  if (record.kind() == RecordKind::frame) {
    for (const Trade& trade : record.trades()) {
      const std::uint32_t length = record.header().length;
      if (!names.has(trade.symbol_id) && judge_record(record.data(), length, length, segment.seed()) == nullptr) {
        names.use(trade.symbol_id);
      }
    }
  }
  if (!is_restated(record.header())) {
    walk.position = record.last_position();
    walk.expected = walk.position + 1;
    walk.time_ns = record.receive_time_ns();
  }
  if (record.kind() == RecordKind::session) {
    walk.connections = std::max(walk.connections, record.session().connection);
  }
  walk.offset += record.header().length;
}

}  // namespace

void KnownNames::begin(std::uint64_t ids, std::uint64_t ids_max) {
  ids_max_ = ids_max;
  names_.assign(std::min(ids, ids_max), std::nullopt);
}

void KnownNames::define(SymbolId id, std::string_view text) {
  use(id);
  if (has(id) && !names_[id] && !is_lost_symbol(text)) {
    names_[id] = text;
  }
}

void KnownNames::use(SymbolId id) {
  if (!has(id) && id < ids_max_) {
    names_.resize(std::size_t{id} + 1);
  }
}

void KnownNames::fill_from(const KnownNames& earlier) {
  for (std::size_t id = 0; id < std::min(names_.size(), earlier.names_.size()); ++id) {
    if (!names_[id]) {
      names_[id] = earlier.names_[id];
    }
  }
}

std::size_t KnownNames::holes() const noexcept {
  return static_cast<std::size_t>(std::count(names_.begin(), names_.end(), std::nullopt));
}

SymbolTable KnownNames::table() const {
  SymbolTable table;
  for (SymbolId id = 0; id < names_.size(); ++id) {
    if (!names_[id] || table.find(*names_[id]) != SymbolTable::kNone) {
      table.add(lost_symbol_text(id));
    } else {
      table.add(*names_[id]);
    }
  }
  return table;
}

Walk begin_walk(const Segment& segment) noexcept {
  const SegmentHeader& header = segment.header();
  Walk walk;
  walk.position = header.previous_position;
  walk.expected = segment.first_position();
  walk.time_ns = header.previous_time_ns;
  walk.connections = header.connections;
  return walk;
}

Walk::End go_on(const Segment& segment, bool verify, Walk& walk, KnownNames& names) {
  for (;;) {
    const RecordView record(segment.base() + walk.offset);
    const std::uint32_t length = load_length(record.data());
    if (length == 0) {
      return Walk::End::open;
    }
    walk.wrong = judge_step(segment, verify, walk, length);
    if (walk.wrong != nullptr) {
      return Walk::End::bad;
    }
    if (record.kind() == RecordKind::roll) {
      return Walk::End::closed;
    }
    take(segment, record, walk, names);
  }
}

std::optional<std::uint64_t> find_whole(const Segment& segment, std::uint64_t from, std::uint64_t end,
                                        const Resumption& wanted) noexcept {
  const std::uint64_t last = std::min(end, segment.bytes() - kRollBytes + 1);
  for (std::uint64_t at = from; at < last; at += kRecordAlignment) {
    if (at % kHeaderBytes == 0) {
      at = std::max(at, segment.skip_hole(at) / kRecordAlignment * kRecordAlignment);
      if (at >= last) {
        break;
      }
    }
    const std::byte* const record = segment.base() + at;
    const std::uint32_t length = load_length(record);
    const std::uint64_t room = segment.bytes() - at;
    if (length != 0 && may_resume(segment, record, length, room, wanted) &&
        judge_record(record, length, room, segment.seed()) == nullptr) {
      return at;
    }
  }
  return std::nullopt;
}

bool skip_bad(const Segment& segment, std::uint64_t end, Position last, Walk& walk) noexcept {
  const auto found = find_whole(segment, walk.offset, end, {.first = walk.expected, .last = last, .restated = false});
  if (!found) {
    return false;
  }
  walk.offset = *found;
  const RecordView record(segment.base() + *found);
  if (record.kind() != RecordKind::roll) {
    walk.expected = record.position();
  } else if (record.position() > walk.position) {
    walk.position = record.position();
    walk.expected = walk.position + 1;
  }
  return true;
}

std::uint64_t bytes_in_use(const Segment& segment, std::uint64_t offset) noexcept {
  std::uint64_t end = segment.bytes();
  while (end > offset && segment.base()[end - 1] == std::byte{0}) {
    --end;
  }
  return end - offset;
}

}  // namespace mdpipe::journal
