#include "mdpipe/journal/writer.hpp"

#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "cursors.hpp"
#include "helper.hpp"
#include "mdpipe/base/clock.hpp"
#include "reader_state.hpp"
#include "recovery.hpp"
#include "segment.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::uint32_t kSyncIntervalMinMs = 2;
/// How far ahead of the pen lines are fetched: what memory takes to bring one, at the rate at which commits follow one
/// another in a burst.
constexpr std::uint32_t kFetchAheadBytes = 2048;

constexpr std::uint64_t kSessionRecordMaxBytes =
    align_record(sizeof(RecordHeader) + sizeof(SessionPayload) + kSessionTextMaxBytes);

/// Room that the records of one claim can take: the payload, all trades that its text can hold, and a symbol record for
/// each of them. A symbol record takes 64 bytes, or 103 and its text where that is long: all texts are in the payload.
/// A session event has room too, however small the frames are.
constexpr std::uint64_t claim_bytes(std::uint64_t payload_bytes) noexcept {
  const std::uint64_t trades = payload_bytes / kTradeTextMinBytes + 1;
  return std::max(trades_offset(payload_bytes + kClaimPaddingBytes) + trades * (sizeof(Trade) + 2 * kRecordAlignment) +
                      align_record(payload_bytes),
                  kSessionRecordMaxBytes);
}

/// Most that a payload can be for its record to have a length of 32 bits, with all its trades.
constexpr std::uint32_t kPayloadMaxBytes = 256U << 20U;

Result<void> judge_options(const WriterOptions& options) {
  if (options.payload_max_bytes == 0 || options.payload_max_bytes > kPayloadMaxBytes) {
    return fail(ErrorCode::usage, fmt::format("frames of up to {} bytes cannot be journaled: choose 1 to {}",
                                              options.payload_max_bytes, kPayloadMaxBytes));
  }
  const std::uint64_t least =
      kHeaderBytes + options.symbols_max * kRecordAlignment + 2 * claim_bytes(options.payload_max_bytes) + kRollBytes;
  if (options.segment_bytes < least || options.segment_bytes % kHeaderBytes != 0) {
    return fail(ErrorCode::usage,
                fmt::format("segments of {} bytes are too small, or no multiple of {}: frames of up to {} bytes and {} "
                            "symbols need {}",
                            options.segment_bytes, kHeaderBytes, options.payload_max_bytes, options.symbols_max,
                            (least + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes));
  }
  if (options.sync_interval_ms < kSyncIntervalMinMs) {
    return fail(ErrorCode::usage, fmt::format("a sync interval of {} ms is too short: {} or more",
                                              options.sync_interval_ms, kSyncIntervalMinMs));
  }
  return {};
}

Result<void> judge_filesystem(const WriterOptions& options) {
  struct statfs status {};
  if (::statfs(options.directory.c_str(), &status) != 0) {
    return tl::unexpected(system_error(options.directory.string(), errno));
  }
  const auto name = unsuitable_filesystem(static_cast<long>(status.f_type));
  if (name && !options.force_filesystem) {
    return fail(ErrorCode::environment,
                fmt::format("{} lies on {}: a journal's preallocation promises nothing there; choose a local disk or a "
                            "tmpfs, or force it",
                            options.directory.string(), *name));
  }
  return {};
}

}  // namespace

class MappedWriter final : public Writer {
 public:
  MappedWriter(const WriterOptions& options, LockFile lock, Recovery recovery);
  ~MappedWriter() override;
  MappedWriter(const MappedWriter&) = delete;
  MappedWriter& operator=(const MappedWriter&) = delete;

  [[nodiscard]] Result<void> start();

  [[nodiscard]] SymbolTable& symbols() noexcept override { return symbols_; }
  [[nodiscard]] FrameClaim claim() noexcept override;
  void commit(const FrameClaim& claim, const FrameDescription& frame) noexcept override;
  [[nodiscard]] bool append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                                    std::int64_t time_ns) noexcept override;

  [[nodiscard]] const RecoveryReport& recovery() const noexcept override { return recovery_.report; }
  [[nodiscard]] std::uint64_t journal_id() const noexcept override { return recovery_.journal_id; }
  [[nodiscard]] const WriterFigures& figures() const noexcept override { return figures_; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> reader(Position after) override;
  [[nodiscard]] Result<std::unique_ptr<RegisteredCursor>> register_cursor(const std::string& name) override {
    return cursors_.register_cursor(name);
  }
  [[nodiscard]] Result<void> close() override;

 private:
  [[nodiscard]] Result<void> begin_first(Segment& first);
  [[nodiscard]] bool make_room() noexcept;
  [[nodiscard]] std::uint64_t pending_symbol_bytes() const noexcept;
  void begin(Segment& segment) noexcept;
  void define_symbols(std::byte*& record, std::size_t written_bytes) noexcept;
  std::uint32_t write_symbol(std::byte* at, Position position, SymbolId id, std::uint32_t seed) noexcept;
  void release(std::byte* record, std::uint32_t length, std::size_t trade_count) noexcept;
  void fetch_ahead(std::uint32_t length) const noexcept;
  static void close_segment(Segment& segment, std::uint64_t offset, Position position) noexcept;

  // Of the writer's thread, looked at on each commit
  std::byte* base_ = nullptr;
  std::uint64_t offset_ = 0;  // where the next record begins
  std::uint64_t limit_ = 0;   // a claim may begin here or before
  std::uint64_t payload_max_bytes_;
  Position next_position_;
  std::size_t symbols_defined_ = 0;
  std::uint32_t seed_ = 0;
  Segment* current_ = nullptr;
  SymbolTable symbols_;

  // Of the writer's thread, looked at when a segment ends
  std::uint64_t claim_bytes_;
  std::uint64_t symbols_defined_bytes_ = 0;  // what restating them takes
  std::int64_t last_time_ns_;
  std::uint64_t connections_;
  Position last_position_;
  bool closed_ = false;

  // Shared with readers and the helper
  WriterFigures figures_;
  alignas(64) Handover handover_;
  std::shared_ptr<SegmentChain> chain_;

  const WriterOptions options_;
  LockFile lock_;
  Recovery recovery_;
  CursorRegister cursors_;
  std::unique_ptr<Helper> helper_;
};

MappedWriter::MappedWriter(const WriterOptions& options, LockFile lock, Recovery recovery)
    : payload_max_bytes_(options.payload_max_bytes),
      next_position_(make_position(recovery.epoch, recovery.next_sequence)),
      symbols_(std::move(recovery.symbols)),
      claim_bytes_(claim_bytes(options.payload_max_bytes)),
      last_time_ns_(recovery.report.last_record_time_ns),
      connections_(recovery.report.connections),
      last_position_(recovery.report.last_position),
      chain_(std::make_shared<SegmentChain>(options.directory)),
      options_(options),
      lock_(std::move(lock)),
      recovery_(std::move(recovery)),
      cursors_(options.directory / "cursors") {}

MappedWriter::~MappedWriter() {
  try {
    static_cast<void>(MappedWriter::close());
  } catch (const std::exception&) {
    // No memory: the helper ends with its owner, and says what it could not do.
  }
}

Result<void> MappedWriter::start() {
  const auto close_unclosed = [&](const Recovery::Unclosed& unclosed) {
    close_segment(*unclosed.segment, unclosed.offset, 0);
    unclosed.segment->punch(unclosed.offset + kRollBytes);
  };
  // Those that have a next one are closed first. Whenever we are killed, no more than the last two then lack their end,
  // which is as far back as the next recovery looks.
  const auto has_next = [&](const Recovery::Unclosed& unclosed) {
    return unclosed.segment->index() + 1 < recovery_.next_index;
  };
  const auto last = std::stable_partition(recovery_.unclosed.begin(), recovery_.unclosed.end(), has_next);
  std::for_each(recovery_.unclosed.begin(), last, close_unclosed);
  auto first = Segment::create(options_.directory, recovery_.next_index, options_.segment_bytes);
  if (!first) {
    return tl::unexpected(first.error());
  }
  if (auto begun = begin_first(**first); !begun) {
    ::unlink((*first)->path().c_str());
    return begun;
  }
  chain_->set_head(std::move(*first));
  recovery_.segments.push_back(
      {current_->index(), current_->header().previous_position, current_->header().created_ns, false});
  // Only now: a reader that finds the end of a segment finds the next one begun.
  std::for_each(last, recovery_.unclosed.end(), close_unclosed);
  recovery_.unclosed.clear();
  helper_ = std::make_unique<Helper>(options_, *chain_, cursors_, handover_, figures_, recovery_.segments);
  return helper_->start();
}

Result<void> MappedWriter::begin_first(Segment& first) {
  symbols_defined_ = symbols_.size();
  symbols_defined_bytes_ = symbols_.records_bytes();
  const std::uint64_t head_bytes = kHeaderBytes + symbols_defined_bytes_;
  if (head_bytes + claim_bytes_ + kRollBytes > options_.segment_bytes) {
    return fail(ErrorCode::usage, fmt::format("segments of {} bytes are too small for the {} symbols that the journal "
                                              "names already",
                                              options_.segment_bytes, symbols_defined_));
  }
  populate_pages(first.base(), 0, head_bytes, true);
  begin(first);
  // Durable before a position of it is given away: an epoch that a power loss took back would be given away again.
  if (::msync(first.base(), (head_bytes + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes, MS_SYNC) != 0) {
    return tl::unexpected(system_error(fmt::format("syncing {}", first.path().string()), errno));
  }
  handover_.current.store(&first, std::memory_order_release);
  return {};
}

void MappedWriter::close_segment(Segment& segment, std::uint64_t offset, Position position) noexcept {
  std::byte* const record = segment.base() + offset;
  auto& header = *reinterpret_cast<RecordHeader*>(record);
  std::memset(record + sizeof header.length, 0, kRollBytes - sizeof header.length);
  header.position = position;
  header.kind = static_cast<std::uint16_t>(RecordKind::roll);
  header.crc32c = record_checksum(record, kRollBytes, segment.seed());
  store_length(record, kRollBytes);
}

std::uint32_t MappedWriter::write_symbol(std::byte* at, Position position, SymbolId id, std::uint32_t seed) noexcept {
  const std::string_view text = symbols_.text(id);
  const auto length = static_cast<std::uint32_t>(symbol_record_length(text.size()));
  auto& header = *reinterpret_cast<RecordHeader*>(at);
  std::memset(at + sizeof header.length, 0, length - sizeof header.length);
  header.position = position;
  header.receive_time_ns = last_time_ns_;
  header.kind = static_cast<std::uint16_t>(RecordKind::symbol);
  header.payload_length = static_cast<std::uint32_t>(sizeof(SymbolPayload) + text.size());
  const SymbolPayload symbol{id, 0};
  std::memcpy(at + sizeof header, &symbol, sizeof symbol);
  std::memcpy(at + sizeof header + sizeof symbol, text.data(), text.size());
  header.crc32c = record_checksum(at, length, seed);
  return length;
}

void MappedWriter::begin(Segment& segment) noexcept {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kFormatVersion;
  header.byte_order = kByteOrderMark;
  header.header_bytes = kHeaderBytes;
  header.record_header_bytes = sizeof(RecordHeader);
  header.trade_bytes = sizeof(Trade);
  header.payload_max_bytes = static_cast<std::uint32_t>(payload_max_bytes_);
  header.journal_id = recovery_.journal_id;
  header.index = segment.index();
  header.segment_bytes = segment.bytes();
  header.first_sequence = sequence_of(next_position_);
  header.previous_position = last_position_;
  header.previous_time_ns = last_time_ns_;
  header.connections = connections_;
  header.created_ns = wall_clock_ns();
  header.epoch = epoch_of(next_position_);
  header.symbols = static_cast<std::uint32_t>(symbols_defined_);
  std::memcpy(header.boot_id, options_.boot_id.data(), std::min(options_.boot_id.size(), kBootIdBytes));

  base_ = segment.base();
  seed_ = segment_seed(header.journal_id, header.index);
  offset_ = kHeaderBytes;
  for (SymbolId id = 0; id < symbols_defined_; ++id) {
    const std::uint32_t length = write_symbol(base_ + offset_, 0, id, seed_);
    store_length(base_ + offset_, length);
    offset_ += length;
  }
  segment.trusted = true;
  segment.bytes_before = figures_.bytes.get();
  segment.head_end = offset_;
  segment.committed_offset.store(offset_, std::memory_order_relaxed);
  segment.begin(header);
  limit_ = segment.bytes() - kRollBytes - claim_bytes_;
  current_ = &segment;
}

/// Into the next segment. False where none is prepared: the helper could not allocate it yet. Also where the symbols'
/// texts have grown so long that no segment can hold them.
__attribute__((noinline)) bool MappedWriter::make_room() noexcept {
  // Claims that were given up can have added symbols beyond what one claim reckons with.
  const std::uint64_t pending = pending_symbol_bytes();
  if (offset_ + pending <= limit_) {
    return true;
  }
  Segment* const next = handover_.prepared.load(std::memory_order_acquire);
  if (closed_ || next == nullptr ||
      kHeaderBytes + symbols_defined_bytes_ + pending + claim_bytes_ + kRollBytes > next->bytes()) {
    figures_.full_claims.add();
    return false;
  }
  Segment& full = *current_;
  const std::uint64_t end = offset_;
  begin(*next);
  full.next.store(next, std::memory_order_release);
  close_segment(full, end, last_position_);
  full.committed_offset.store(end + kRollBytes, std::memory_order_release);
  // Release, and only now: when the helper finds the next segment it finds this one linked to it and ended. It would
  // else give back, behind an end without the roll record, the page in which that stands.
  handover_.current.store(next, std::memory_order_release);
  // Taken out after it was made current: the helper then prepares the one behind it.
  handover_.prepared.store(nullptr, std::memory_order_release);
  figures_.rolls.add();
  return true;
}

std::uint64_t MappedWriter::pending_symbol_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (auto id = static_cast<SymbolId>(symbols_defined_); id < symbols_.size(); ++id) {
    bytes += symbol_record_length(symbols_.text(id).size());
  }
  return bytes;
}

FrameClaim MappedWriter::claim() noexcept {
  if ((offset_ > limit_ || symbols_.size() != symbols_defined_) && !make_room()) [[unlikely]] {
    return {};
  }
  return {base_ + offset_, payload_max_bytes_};
}

/// Symbols that are new are defined before the record that uses them: the record, written already, moves up. Texts are
/// found by their distance from the record's start, so moving it harms nothing.
__attribute__((noinline)) void MappedWriter::define_symbols(std::byte*& record, std::size_t written_bytes) noexcept {
  const std::uint64_t moved_by = pending_symbol_bytes();
  std::memmove(record + moved_by, record, written_bytes);
  record += moved_by;
  while (symbols_defined_ < symbols_.size()) {
    std::byte* const at = base_ + offset_;
    const std::uint32_t length = write_symbol(at, next_position_, static_cast<SymbolId>(symbols_defined_), seed_);
    ++symbols_defined_;
    symbols_defined_bytes_ += length;
    release(at, length, 0);
  }
}

/// Makes a record visible. Precondition: all of it but the commit word is written.
inline void MappedWriter::release(std::byte* record, std::uint32_t length, std::size_t trade_count) noexcept {
  clear_length(record + length);
  store_length(record, length);
  last_position_ = next_position_ + trade_count;
  next_position_ = last_position_ + 1;
  offset_ += length;
  figures_.records.add();
  figures_.bytes.add(length);
  figures_.position.set(last_position_);
  // The offset before the position: whoever loads the position first finds an offset that covers it.
  current_->committed_offset.store(offset_, std::memory_order_release);
  handover_.position.store(last_position_, std::memory_order_release);
}

/// Asks for as many lines ahead as a record has taken, to be written: no core has had them since the helper populated
/// them, and the checksum, which reads what was just stored, would wait for each. Behind the segment's end, or what is
/// populated, it does nothing.
inline void MappedWriter::fetch_ahead(std::uint32_t length) const noexcept {
  const std::byte* const until = base_ + offset_ + kFetchAheadBytes;
  for (const std::byte* line = until - std::min(length, kFetchAheadBytes); line < until; line += kRecordAlignment) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // the compiler's own asks for reading where not told of the processor
#else
    __builtin_prefetch(line, 1);
#endif
  }
}

void MappedWriter::commit(const FrameClaim& claim, const FrameDescription& frame) noexcept {
  std::byte* record = claim.record();
  const std::size_t trades_at = trades_offset(frame.payload_length);
  const auto length = static_cast<std::uint32_t>(trades_at + frame.trade_count * sizeof(Trade));
  // What a parser read ahead of the payload's end is no part of the record.
  const std::size_t payload_end = sizeof(RecordHeader) + frame.payload_length;
  std::memset(record + payload_end, 0, trades_at - payload_end);
  if (symbols_.size() != symbols_defined_) [[unlikely]] {
    define_symbols(record, length);
  }
  auto* const trades = reinterpret_cast<Trade*>(record + trades_at);
  for (std::uint32_t i = 0; i < frame.trade_count; ++i) {
    trades[i].position = next_position_ + 1 + i;
  }
  auto& header = *reinterpret_cast<RecordHeader*>(record);
  header.position = next_position_;
  header.receive_time_ns = frame.receive_time_ns;
  header.kind = static_cast<std::uint16_t>(RecordKind::frame);
  header.sub = make_frame_sub(frame.kind, frame.reason);
  header.payload_length = frame.payload_length;
  header.crc32c = record_checksum(record, length, seed_);
  last_time_ns_ = frame.receive_time_ns;
  figures_.trades.add(frame.trade_count);
  release(record, length, frame.trade_count);
  fetch_ahead(length);
  chain_->bell.ring();
}

bool MappedWriter::append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                                  std::int64_t time_ns) noexcept {
  text = text.substr(0, kSessionTextMaxBytes);
  const std::size_t payload_length = sizeof payload + text.size();
  const std::size_t length = align_record(sizeof(RecordHeader) + payload_length);
  if (!claim()) {
    return false;
  }
  std::byte* record = base_ + offset_;
  // Not the commit word: a reader is looking at it, and it is 0 already.
  std::memset(record + sizeof(RecordHeader::length), 0, length - sizeof(RecordHeader::length));
  std::memcpy(record + sizeof(RecordHeader), &payload, sizeof payload);
  std::memcpy(record + sizeof(RecordHeader) + sizeof payload, text.data(), text.size());
  if (symbols_.size() != symbols_defined_) {
    define_symbols(record, length);
  }
  auto& header = *reinterpret_cast<RecordHeader*>(record);
  header.position = next_position_;
  header.receive_time_ns = time_ns;
  header.kind = static_cast<std::uint16_t>(RecordKind::session);
  header.sub = static_cast<std::uint16_t>(kind);
  header.payload_length = static_cast<std::uint32_t>(payload_length);
  header.crc32c = record_checksum(record, static_cast<std::uint32_t>(length), seed_);
  last_time_ns_ = time_ns;
  connections_ = std::max(connections_, payload.connection);
  release(record, static_cast<std::uint32_t>(length), 0);
  chain_->bell.ring();
  return true;
}

Result<std::unique_ptr<Reader>> MappedWriter::reader(Position after) {
  auto state = std::make_unique<Reader::State>();
  auto entry = chain_->enter(after, state->place);
  if (!entry) {
    return tl::unexpected(entry.error());
  }
  state->chain = chain_;
  state->directory = options_.directory;
  state->journal_id = recovery_.journal_id;
  state->position = after;
  state->held = entry->segment;
  state->begin(*entry->segment, entry->start);
  return std::unique_ptr<Reader>(new Reader(std::move(state)));
}

Result<void> MappedWriter::close() {
  if (std::exchange(closed_, true) || helper_ == nullptr) {
    return {};
  }
  limit_ = 0;  // no claim after this
  auto stopped = helper_->stop();
  helper_.reset();
  current_->punch(offset_ + kRecordAlignment);
  return stopped;
}

Result<std::unique_ptr<Writer>> Writer::open(const WriterOptions& given) {
  WriterOptions options = given;
  if (options.boot_id.empty()) {
    options.boot_id = boot_id();
  }
  if (auto judged = judge_options(options); !judged) {
    return tl::unexpected(judged.error());
  }
  if (auto made = make_directories(options.directory / "cursors"); !made) {
    return tl::unexpected(made.error());
  }
  if (auto judged = judge_filesystem(options); !judged) {
    return tl::unexpected(judged.error());
  }
  auto lock = LockFile::acquire(options.directory / "lock", options.holder);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  auto recovery = recover(options.directory, options.boot_id);
  if (!recovery) {
    return tl::unexpected(recovery.error());
  }
  auto writer = std::make_unique<MappedWriter>(options, std::move(*lock), std::move(*recovery));
  if (auto started = writer->start(); !started) {
    return tl::unexpected(started.error());
  }
  return writer;
}

}  // namespace mdpipe::journal
