#include "mdpipe/runner/invoker.hpp"

#include <algorithm>
#include <utility>

namespace mdpipe::runner {

void Invoker::add(Pump::OpenReader open_reader, Stage& stage) {
  pumps_.push_back(std::make_unique<Pump>(std::move(open_reader), stage));
}

bool Invoker::step(std::size_t limit) noexcept {
  bool moved = false;
  for (const auto& pump : pumps_) {
    moved = pump->step(limit) || moved;
  }
  return moved;
}

bool Invoker::drain(std::size_t idle_rounds_max) noexcept {
  const auto run_until = [&](auto&& all_done) {
    for (std::size_t idle_rounds = 0; idle_rounds <= idle_rounds_max;) {
      idle_rounds = step() ? 0 : idle_rounds + 1;
      if (failure()) {
        return false;  // asked first: a reader that failed has nothing more to give either
      }
      if (std::all_of(pumps_.begin(), pumps_.end(), all_done)) {
        return true;
      }
    }
    return false;
  };
  if (!run_until([](const auto& pump) { return pump->caught_up(); })) {
    return false;
  }
  for (const auto& pump : pumps_) {
    pump->stage().begin_drain();
  }
  return run_until([](const auto& pump) { return pump->caught_up() && pump->stage().drained(); });
}

std::optional<Error> Invoker::failure() const noexcept {
  for (const auto& pump : pumps_) {
    if (pump->failure()) {
      return pump->failure();
    }
  }
  return std::nullopt;
}

std::vector<journal::Skip> Invoker::take_skips() {
  std::vector<journal::Skip> all;
  for (const auto& pump : pumps_) {
    for (journal::Skip& skip : pump->take_skips()) {
      all.push_back(std::move(skip));
    }
  }
  return all;
}

}  // namespace mdpipe::runner
