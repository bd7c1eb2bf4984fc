#include "mdpipe/runner/pump.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::runner {

Pump::Pump(OpenReader open_reader, Stage& stage, Position earlier_until)
    : open_reader_(std::move(open_reader)), stage_(stage), earlier_until_(earlier_until) {
  const std::int64_t now_ns = monotonic_clock_ns();
  figures_.moved_ns.set(now_ns);
  figures_.alive_ns.set(now_ns);
}

bool Pump::open() {
  const std::optional<Position> after = stage_.resume_after();
  if (!after) {
    return false;
  }
  auto reader = open_reader_(*after);
  if (!reader) {
    failure_ = reader.error();
    return false;
  }
  reader_ = std::move(*reader);
  figures_.read_position.set(reader_->position());
  return true;
}

std::size_t Pump::hand_over(std::size_t limit) {
  std::size_t taken = 0;
  while (taken < limit) {
    if (!held_) {
      held_ = reader_->next();
      if (!held_) {
        caught_up_ = true;
        break;
      }
    }
    if (held_->kind() != RecordKind::symbol) {
      if (stage_.on_record(*held_, reader_->symbols()) == Uptake::busy) {
        break;
      }
      ++taken;
      if (held_->position() <= earlier_until_) [[unlikely]] {
        figures_.earlier_trades.add(held_->trades().size());
      }
    }
    figures_.read_position.set(held_->last_position());
    held_.reset();
  }
  return taken;
}

void Pump::count_skips() noexcept {
  const journal::SkipFigures& skipped = reader_->skipped();
  figures_.skipped_bytes.set(skipped.bytes);
  figures_.skipped_positions.set(skipped.positions);
  figures_.skipped_places.set(skipped.places);
}

bool Pump::step(std::size_t limit) noexcept {
  if (failure_) {
    return false;
  }
  try {
    return round(limit);
  } catch (const std::exception& exception) {
    fail_with(exception.what());
  } catch (...) {
    fail_with("not a std::exception");
  }
  return false;
}

void Pump::close() noexcept {
  try {
    stage_.close();
  } catch (const std::exception& exception) {
    fail_with(exception.what());
  } catch (...) {
    fail_with("not a std::exception");
  }
}

void Pump::fail_with(std::string_view exception) noexcept {
  caught_up_ = false;
  if (failure_) {
    return;  // the first one is the cause
  }
  try {
    failure_ = Error{ErrorCode::environment, fmt::format("{} ended by an exception: {}", stage_.name(), exception)};
  } catch (...) {
    failure_ = Error{ErrorCode::environment, "out of memory"};  // short enough to need none
  }
}

bool Pump::round(std::size_t limit) {
  caught_up_ = false;
  bool moved = false;
  if (reader_ != nullptr || open()) {
    const std::size_t taken = hand_over(limit);
    figures_.records.add(taken);
    moved = taken != 0;
    if (reader_->skipped().places != figures_.skipped_places.get()) [[unlikely]] {
      count_skips();
    }
    if (reader_->failure()) {
      failure_ = reader_->failure();
      caught_up_ = false;
    }
  }
  moved = stage_.poll() || moved;
  if (reader_ != nullptr) {
    // A stage that keeps nothing says "everything": that is what it has seen, not what is yet to come.
    const Position settled = std::min(stage_.settled(), figures_.read_position.get());
    if (settled > figures_.settled_position.get()) {
      figures_.settled_position.set(settled);
      reader_->release(settled);
    }
  }
  if (!failure_) {
    failure_ = stage_.failure();
  }
  const std::int64_t now_ns = monotonic_clock_ns();
  figures_.alive_ns.set(now_ns);
  if (moved || caught_up_) {
    figures_.moved_ns.set(now_ns);
  }
  return moved;
}

Bell* Pump::bell() const noexcept {
  return reader_ != nullptr ? reader_->bell() : nullptr;
}

}  // namespace mdpipe::runner
