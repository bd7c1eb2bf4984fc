#include "mdpipe/journal/reader.hpp"

#include <array>
#include <deque>
#include <exception>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "reader_state.hpp"

namespace mdpipe::journal {
namespace {

/// What a reader that failed looks at: a commit word that stays 0.
alignas(kRecordAlignment) constexpr std::array<std::byte, kRecordAlignment> kNothing{};

constexpr int kOpenAttempts = 5;

}  // namespace

void Reader::State::enter(Segment& segment) noexcept {
  current = &segment;
  base = segment.base();
  offset = kHeaderBytes;
  trusted = segment.trusted;
  committed = 0;
  fetched = 0;
  walked = segment.header().previous_position;
  expected = segment.first_position();
  in_head = true;
}

void Reader::State::begin(Segment& segment, const Start& start) {
  enter(segment);
  if (start.refused) {
    // Where it began is not known if we were to begin with it, unless nothing was before.
    const Position last = walked;
    walked = position;
    const std::uint64_t lost = position != kBeforeEverything || start.refused_index == 1 ? lost_up_to(last) : 0;
    walked = last;
    const auto path = directory / segment_name(start.refused_index);
    note({path, 0, 0, lost, refusal(path, *start.refused)});
  }
}

void Reader::State::fail_with(Error error) noexcept {
  failure = std::move(error);
  base = kNothing.data();
  offset = 0;
  trusted = true;
}

void Reader::State::fail_for_want(const char* what, const std::exception& exception) noexcept {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    fail_with(Error{ErrorCode::environment, "no memory"});  // so short that it takes none
    return;
  }
  try {
    fail_with(Error{ErrorCode::environment, fmt::format("{}: {}", what, exception.what())});
  } catch (const std::exception&) {
    fail_with(Error{ErrorCode::environment, "a failure"});
  }
}

const char* Reader::State::judge(const std::byte* record, std::uint32_t length) noexcept {
  const std::uint64_t room = current->bytes() - offset;
  if (const char* const wrong = judge_record(record, length, room, current->seed())) {
    return wrong;
  }
  const auto& header = *reinterpret_cast<const RecordHeader*>(record);
  if (header.kind == static_cast<std::uint16_t>(RecordKind::roll)) {
    return nullptr;
  }
  if (length + kRollBytes > room) {
    return "it leaves no room for the segment's end";
  }
  const bool restated = header.kind == static_cast<std::uint16_t>(RecordKind::symbol) && header.position == 0;
  if (!restated && header.position != expected) {
    return "its position does not follow the one before it";
  }
  if (restated && !in_head) {
    return "a symbol is restated in the middle of the segment";
  }
  return nullptr;
}

Reader::State::Sight Reader::State::look(const std::byte* record, std::uint32_t length) noexcept {
  if (const char* const wrong = judge(record, length)) {
    return mend(Stop::bad, wrong) ? Sight::moved : Sight::nothing;
  }
  const RecordView view(record);
  if (view.kind() == RecordKind::roll) {
    return Sight::record;
  }
  if (!names_known_symbols(record, length)) {
    pass_over(record, length);
    return Sight::moved;
  }
  if (view.position() != 0) {
    walked = view.last_position();
    expected = walked + 1;
    in_head = false;
  }
  return Sight::record;
}

bool Reader::State::names_known_symbols(const std::byte* record, std::uint32_t length) const noexcept {
  // Where it is no frame, nothing lies behind the payload.
  const auto& header = *reinterpret_cast<const RecordHeader*>(record);
  for (std::size_t at = trades_offset(header.payload_length); at < length; at += sizeof(Trade)) {
    const SymbolId id = reinterpret_cast<const Trade*>(record + at)->symbol_id;
    if (id >= symbols.size() || is_lost_symbol(symbols.text(id))) {
      return false;
    }
  }
  return true;
}

bool Reader::State::take_symbol(const RecordView& record) noexcept {
  const SymbolId id = record.symbol_id();
  const std::string_view text = record.symbol_text();
  try {
    if (id < symbols.size()) {
      // A name that recovery could not find any more is known here: it stays.
      if (symbols.text(id) == text || is_lost_symbol(text)) {
        return true;
      }
    } else if (id == symbols.size() && symbols.add(text) == id) {
      return true;
    }
    if (!trusted) {
      // Behind damage that has taken a definition. Trades of a symbol that is not known are not handed out.
      note({current->path(), offset, record.header().length, 0,
            fmt::format("it gives symbol {} a meaning that does not fit those before it", id)});
      return true;
    }
    fail_with(Error{ErrorCode::data, fmt::format("{} is damaged at byte {}: it gives symbol {} another meaning",
                                                 current->path().string(), offset, id)});
  } catch (const std::exception& exception) {
    fail_for_want("no memory for the journal's symbols", exception);
  }
  return false;
}

bool Reader::State::cross() noexcept {
  if (!trusted) {
    return mend(Stop::end, "it ends as one that another follows");
  }
  Segment* const next = current->next.load(std::memory_order_acquire);
  if (next == nullptr) {
    return false;
  }
  enter(*next);
  return true;
}

Reader::Reader(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

Reader::~Reader() {
  if (state_->chain != nullptr) {
    state_->chain->leave(state_->place);
  }
}

Result<std::unique_ptr<Reader>> Reader::open(const std::filesystem::path& directory, Position after) {
  for (int attempt = 1;; ++attempt) {
    auto start = find_start(directory, after);
    if (!start) {
      return tl::unexpected(start.error());
    }
    const auto path = directory / segment_name(start->index);
    auto segment = Segment::open(path, start->index, false);
    if (!segment || *segment == nullptr) {
      // Retention may take the oldest segment between looking and opening.
      if (attempt < kOpenAttempts && !std::filesystem::exists(path)) {
        continue;
      }
      return segment ? fail(ErrorCode::data, fmt::format("{} has lost its header", path.string()))
                     : tl::unexpected(segment.error());
    }
    auto state = std::make_unique<State>();
    state->directory = directory;
    state->journal_id = (*segment)->header().journal_id;
    state->position = after;
    state->held = segment->get();
    state->begin(**segment, *start);
    state->mapped.push_back(std::move(*segment));
    return std::unique_ptr<Reader>(new Reader(std::move(state)));
  }
}

std::optional<RecordView> Reader::next() noexcept {
  State& state = *state_;
  for (;;) {
    const std::byte* const record = state.base + state.offset;
    const std::uint32_t length = load_length(record);
    if (length == 0) {
      state.in_run = false;
      if (state.trusted || !state.mend(State::Stop::open, nullptr)) {
        return std::nullopt;
      }
      continue;
    }
    if (!state.trusted) {
      if (const auto sight = state.look(record, length); sight != State::Sight::record) {
        if (sight == State::Sight::nothing) {
          return std::nullopt;
        }
        continue;
      }
    } else {
      state.fetch_ahead(length);
    }
    const RecordView view(record);
    if (view.kind() == RecordKind::roll) [[unlikely]] {
      if (!state.cross()) {
        return std::nullopt;
      }
      continue;
    }
    if (view.kind() == RecordKind::symbol && !state.take_symbol(view)) [[unlikely]] {
      return std::nullopt;
    }
    state.offset += length;
    const Position last = view.last_position();
    // At or below: a symbol restated at a segment's head (0), or what lies before the place we were asked to begin.
    if (last <= state.position) [[unlikely]] {
      continue;
    }
    state.position = last;
    return view;
  }
}

const std::optional<Error>& Reader::failure() const noexcept {
  return state_->failure;
}

const SkipFigures& Reader::skipped() const noexcept {
  return state_->skipped;
}

std::vector<Skip> Reader::take_skips() {
  state_->passing_over = false;
  return std::exchange(state_->skips, {});
}

const SymbolTable& Reader::symbols() const noexcept {
  return state_->symbols;
}

Position Reader::position() const noexcept {
  return state_->position;
}

void Reader::release(Position up_to) noexcept {
  State& state = *state_;
  while (state.held != state.current) {
    Segment* const next = state.held->next.load(std::memory_order_acquire);
    if (next->header().previous_position > up_to) {
      return;
    }
    state.held = next;
    if (state.chain != nullptr) {
      // Release: our loads from the segments before it are over when the helper sees this and unmaps them.
      state.place.store(next->index(), std::memory_order_release);
    } else {
      state.mapped.pop_front();
    }
  }
}

std::uint64_t Reader::journal_id() const noexcept {
  return state_->journal_id;
}

Bell* Reader::bell() const noexcept {
  return state_->chain != nullptr ? &state_->chain->bell : nullptr;
}

}  // namespace mdpipe::journal
