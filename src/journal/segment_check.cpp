#include "segment_check.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mdpipe::journal {
namespace {

/// Whether a value read from a file is one of its kind.
template <class Kind>
bool has_name(Kind kind) noexcept {
  return to_string(kind) != to_string(static_cast<Kind>(0xFF));
}

bool is_restated(const RecordView& record) noexcept {
  return record.kind() == RecordKind::symbol && record.position() == 0;
}

}  // namespace

void Findings::damage(const std::filesystem::path& file, std::uint64_t offset, std::string reason) {
  ++report_.damages_count;
  if (report_.damages.size() < options_.damages_max) {
    report_.damages.push_back({file, offset, std::move(reason)});
  }
}

void Findings::take_back(std::uint64_t count) {
  report_.damages_count = count;
  report_.damages.resize(std::min<std::uint64_t>(count, report_.damages.size()));
}

SegmentCheck::SegmentCheck(SegmentImage& image, const SegmentHeader& header, SegmentReport& report,
                           KnownSymbols& symbols, Findings& findings)
    : image_(image),
      report_(report),
      symbols_(symbols),
      findings_(findings),
      header_(header),
      seed_(segment_seed(header_.journal_id, header_.index)),
      position_(header_.previous_position),
      expected_(make_position(header_.epoch, header_.first_sequence)),
      time_ns_(header_.previous_time_ns),
      connections_(header_.connections) {
  report_.end_offset = kHeaderBytes;
  // A table of which damage has taken a part is told anew at the segment's head.
  if (!symbols_.complete) {
    symbols_ = {};
  }
}

SegmentCheck::End SegmentCheck::run() {
  for (;;) {
    if (const auto end = step()) {
      return *end;
    }
  }
}

const char* SegmentCheck::judge(std::uint64_t offset) {
  if (!image_.load(offset + kRecordAlignment)) {
    return image_.trouble().c_str();
  }
  const std::uint32_t length = load_length(image_.at(offset));
  const std::uint64_t room = image_.bytes() - offset;
  if (length <= room && !image_.load(offset + length)) {
    return image_.trouble().c_str();
  }
  if (const char* const wrong = judge_record(image_.at(offset), length, room, seed_)) {
    return wrong;
  }
  return RecordView(image_.at(offset)).kind() != RecordKind::roll && length + kRollBytes > room
             ? "it leaves no room for the segment's end"
             : nullptr;
}

std::optional<SegmentCheck::End> SegmentCheck::step() {
  const std::uint64_t offset = report_.end_offset;
  if (!image_.load(offset + kRecordAlignment)) {
    damage(image_.trouble());
    return End::torn;
  }
  if (load_length(image_.at(offset)) == 0) {
    return End::open;
  }
  if (judge(offset) != nullptr) {
    // The writer may have been at it while it was read: what is wrong now as well is wrong.
    image_.forget(offset);
    if (const char* const wrong = judge(offset)) {
      return skip(wrong);
    }
  }
  const RecordView record(image_.at(offset));
  if (record.kind() == RecordKind::roll) {
    judge_roll(record);
    return End::closed;
  }
  if (is_restated(record)) {
    take_restated(record);
  } else {
    take(record);
  }
  report_.end_offset += record.header().length;
  return std::nullopt;
}

void SegmentCheck::judge_roll(const RecordView& record) {
  const RecordHeader& header = record.header();
  cut_in_head_ = header.position == 0 && in_head_;
  if (header.position > position_ && epoch_of(header.position) == header_.epoch) {
    damage(fmt::format("the segment's end says that more came before it: {}", lost(expected_, header.position)));
    position_ = header.position;
  } else if (header.position != 0 && header.position != position_) {
    damage(fmt::format("the segment's end says position {}, the record before it {}", position_text(header.position),
                       position_text(position_)));
  }
}

void SegmentCheck::finish() {
  // Recovery ended it there: the rest of its head had not reached the disk. The symbols are known from before.
  if (std::exchange(in_head_, false) && !skipped_ && !cut_in_head_ && restated_ != header_.symbols) {
    damage(fmt::format("its header says that {} symbols are restated, {} are", header_.symbols, restated_));
    symbols_.complete = false;
  }
  if (cut_in_head_ && symbols_.table.size() < header_.symbols) {
    symbols_.complete = false;  // retention has taken what was before
  }
  report_.symbols = symbols_.table.size();
}

/// Behind damage: at the next record that is whole and may stand there.
std::optional<SegmentCheck::End> SegmentCheck::skip(const char* wrong) {
  const std::string reason = wrong;  // judging goes on below
  const std::uint64_t offset = report_.end_offset;
  symbols_.complete = false;
  skipped_ = true;
  // Its length is not believed: it could lead past records that are whole.
  const auto next = find_whole(offset + kRecordAlignment, &SegmentCheck::may_follow);
  if (!next) {
    damage(fmt::format("a record is refused, {}; nothing whole follows", reason));
    return End::torn;
  }
  const RecordView record(image_.at(*next));
  std::string cost;
  if (record.position() >= expected_) {
    const Position last = record.kind() == RecordKind::roll ? record.position() : record.position() - 1;
    cost = ": " + (last >= expected_ ? lost(expected_, last) : "no position is lost");
    position_ = std::max(position_, last);
    expected_ = last + 1;
  }
  damage(fmt::format("a record is refused, {}; {} bytes are skipped{}", reason, *next - offset, cost));
  report_.end_offset = *next;
  return std::nullopt;
}

bool SegmentCheck::may_follow(std::uint64_t offset) {
  if (judge(offset) != nullptr) {
    return false;
  }
  const RecordView record(image_.at(offset));
  if (record.kind() == RecordKind::roll) {
    return record.position() == 0 || record.position() >= position_;
  }
  if (is_restated(record)) {
    return in_head_;
  }
  return record.position() > position_ && record.position() >= expected_ &&
         epoch_of(record.position()) == header_.epoch;
}

bool SegmentCheck::is_record(std::uint64_t offset) {
  return judge(offset) == nullptr && !is_restated(RecordView(image_.at(offset)));
}

std::optional<std::uint64_t> SegmentCheck::find_whole(std::uint64_t from, bool (SegmentCheck::*accept)(std::uint64_t)) {
  for (std::uint64_t at = from; at + kRollBytes <= image_.bytes(); at += kRecordAlignment) {
    if (at % kHeaderBytes == 0) {
      const std::uint64_t data = image_.skip_hole(at);
      at = std::max(at, data / kRecordAlignment * kRecordAlignment);
    }
    if (at + kRollBytes > image_.bytes() || !image_.load(at + kRecordAlignment)) {
      return std::nullopt;
    }
    if (load_length(image_.at(at)) != 0 && (this->*accept)(at)) {
      return at;
    }
  }
  return std::nullopt;
}

SegmentCheck::End SegmentCheck::look_behind() {
  const std::uint64_t offset = report_.end_offset;
  if (!find_whole(offset + kRecordAlignment, &SegmentCheck::may_follow)) {
    return End::open;
  }
  // Records are committed in order: if it is still 0 now, then it was something else once.
  image_.forget(offset);
  if (!image_.load(offset + kRecordAlignment) || load_length(image_.at(offset)) != 0) {
    return End::open;
  }
  if (const auto end = skip("its length is 0 though whole records follow")) {
    return *end;
  }
  return run();
}

std::string SegmentCheck::lost(Position from, Position to) {
  return from == to ? fmt::format("position {} is lost", position_text(from))
                    : fmt::format("positions {} to {} are lost", position_text(from), position_text(to));
}

void SegmentCheck::take_restated(const RecordView& record) {
  if (const std::string wrong = judge_symbol(record); !wrong.empty()) {
    damage("a symbol restated at the segment's head is refused, " + wrong);
    symbols_.complete = false;
    return;
  }
  if (!in_head_) {
    damage("a symbol is restated in the middle of the segment");
    return;
  }
  ++restated_;
  define(record);
}

/// Ids are dense: behind one that was lost none can be given any more.
void SegmentCheck::define(const RecordView& record) {
  if (symbols_.complete || record.symbol_id() == symbols_.table.size()) {
    symbols_.table.add(record.symbol_text());
  }
}

void SegmentCheck::take(const RecordView& record) {
  finish();  // the head
  if (const std::string wrong = judge_position(record); !wrong.empty()) {
    damage("a record is refused, " + wrong);
    return;
  }
  if (record.position() != expected_) {
    damage(fmt::format("records are missing before it: {}", lost(expected_, record.position() - 1)));
    symbols_.complete = false;
  }
  position_ = record.last_position();
  expected_ = position_ + 1;
  if (const std::string wrong = judge_meaning(record); !wrong.empty()) {
    damage(fmt::format("the record {} is refused, {}", position_text(record.position()), wrong));
    symbols_.complete = symbols_.complete && record.kind() != RecordKind::symbol;
    return;
  }
  if (record.kind() == RecordKind::symbol) {
    define(record);
  } else {
    time_ns_ = record.receive_time_ns();
    report_.first_time_ns = report_.first_time_ns == 0 ? time_ns_ : report_.first_time_ns;
    report_.last_time_ns = time_ns_;
  }
  if (record.kind() == RecordKind::session) {
    connections_ = std::max(connections_, record.session().connection);
  }
  if (report_.records == 0) {
    report_.first_position = record.position();
  }
  ++report_.records;
  report_.trades += record.trades().size();
  report_.last_position = position_;
  findings_.record(record, symbols_.table);
}

std::string SegmentCheck::judge_position(const RecordView& record) const {
  const Position first = record.position();
  if (epoch_of(first) != header_.epoch) {
    return fmt::format("its position {} is not of the segment's epoch {}", position_text(first), header_.epoch);
  }
  if (first < expected_) {
    return fmt::format("its position {} comes again or too late: {} was due", position_text(first),
                       position_text(expected_));
  }
  return epoch_of(record.last_position()) == header_.epoch ? std::string() : "its trades go beyond the last position";
}

std::string SegmentCheck::judge_meaning(const RecordView& record) const {
  switch (record.kind()) {
    case RecordKind::frame:
      return judge_frame(record);
    case RecordKind::symbol:
      return judge_symbol(record);
    default:
      return has_name(record.session_kind()) ? std::string()
                                             : fmt::format("there is no session event {}", record.header().sub);
  }
}

std::string SegmentCheck::judge_symbol(const RecordView& record) const {
  const SymbolTable& table = symbols_.table;
  const SymbolId id = record.symbol_id();
  const std::string_view text = record.symbol_text();
  const SymbolId known = table.find(text);
  if (is_restated(record) && id < table.size() && id == restated_) {
    return known == id ? std::string() : fmt::format("it gives symbol {} another meaning", id);
  }
  if (!symbols_.complete) {
    return {};
  }
  const SymbolId due = is_restated(record) ? restated_ : static_cast<SymbolId>(table.size());
  if (id != due) {
    return fmt::format("it defines symbol {} where {} is due", id, due);
  }
  return known == SymbolTable::kNone ? std::string() : fmt::format("its symbol is defined already, as {}", known);
}

std::string SegmentCheck::judge_frame(const RecordView& record) const {
  const RecordHeader& header = record.header();
  if (header.payload_length > header_.payload_max_bytes) {
    return fmt::format("its payload of {} bytes is larger than the journal's largest, {}", header.payload_length,
                       header_.payload_max_bytes);
  }
  if (!has_name(record.frame_kind()) || !has_name(record.frame_reason())) {
    return fmt::format("there is no kind of frame {:#06x}", header.sub);
  }
  const bool may_have_trades = record.frame_kind() == FrameKind::trades || record.frame_kind() == FrameKind::partly_bad;
  if (!may_have_trades && !record.trades().empty()) {
    return fmt::format("a frame of kind \"{}\" has {} trades", to_string(record.frame_kind()), record.trades().size());
  }
  for (std::size_t which = 0; which < record.trades().size(); ++which) {
    if (std::string wrong = judge_trade(record, which); !wrong.empty()) {
      return fmt::format("trade {} of it: {}", which + 1, wrong);
    }
  }
  return {};
}

std::string SegmentCheck::judge_trade(const RecordView& record, std::size_t which) const {
  const Trade& trade = record.trades()[which];
  if (trade.position != record.position() + 1 + which) {
    return fmt::format("its position is {}", position_text(trade.position));
  }
  if (trade.receive_time_ns != record.receive_time_ns()) {
    return "its receive time is not its frame's";
  }
  if (symbols_.complete && trade.symbol_id >= symbols_.table.size()) {
    return fmt::format("it is of symbol {}, which nothing defines", trade.symbol_id);
  }
  const auto has = [&](TradeFlag flag) { return (trade.flags & flag) != 0; };
  if (has(kTradeLastOfFrame) && which + 1 != record.trades().size()) {
    return "it says that it is the last of its frame";
  }
  if (has(kTradePriceUpdate) && trade.size_mantissa != 0) {
    return "it says that it has no size";
  }
  if (has(kTradeReceivedBeforeExchange) && trade.receive_time_ns >= trade.exchange_time_ns) {
    return "it says that it was received before it was made";
  }
  return {};
}

}  // namespace mdpipe::journal
