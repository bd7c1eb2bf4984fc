#include "replay/serve/market.hpp"

#include <algorithm>
#include <utility>

namespace mdpipe::replay {
namespace {

// So that sends begin, and clients are read, even where nobody wants what is played.
constexpr int kFramesPerStep = 16'384;

}  // namespace

void Market::join(Subscriber& subscriber) {
  members_.push_back(&subscriber);
}

void Market::leave(Subscriber& subscriber) {
  std::erase(members_, &subscriber);
}

bool Market::anybody_listens() const noexcept {
  return std::any_of(members_.begin(), members_.end(), [](const Subscriber* member) { return member->listening(); });
}

bool Market::all_subscribed() const {
  return session_symbols_ != nullptr && !session_symbols_->empty() &&
         std::all_of(session_symbols_->begin(), session_symbols_->end(), [this](const std::string& symbol) {
           return std::any_of(members_.begin(), members_.end(),
                              [&](const Subscriber* member) { return member->subscribed().contains(symbol); });
         });
}

bool Market::room() const noexcept {
  return std::all_of(members_.begin(), members_.end(),
                     [](const Subscriber* member) { return member->has_room(kRoomBytes); });
}

/// What there is to wait for before anything is played; starts and stops the clock.
std::optional<Market::Step> Market::hold(std::int64_t now_ns) {
  const bool listened_to = anybody_listens();
  if (schedule_.running()) {
    if (listened_to || !pace_.stands_alone()) {
      return std::nullopt;
    }
    schedule_.stop(now_ns);
  }
  if (!listened_to) {
    return Step{State::wait_for_event};
  }
  if (now_ns < last_subscribe_ns_ + kGraceNs && !all_subscribed()) {
    return Step{State::wait_until, last_subscribe_ns_ + kGraceNs};
  }
  schedule_.start(now_ns);
  begun_ = true;
  return std::nullopt;
}

const Batch::Entry* Market::next_entry(Step& why) {
  while (batch_ == nullptr || next_in_batch_ == batch_->entries.size()) {
    if (batch_ != nullptr && batch_->last) {
      failure_ = batch_->failure;
      why = {failure_ ? State::failed : State::ended};
      return nullptr;
    }
    if (batch_ != nullptr) {
      source_.recycle(std::move(batch_));
    }
    next_in_batch_ = 0;
    batch_ = source_.pop();
    if (batch_ == nullptr) {
      why = {State::wait_for_event};
      return nullptr;
    }
    for (const std::string& symbol : batch_->new_symbols) {
      const SymbolId id = symbols_.add(symbol);
      for (Subscriber* const member : members_) {
        member->learn(id, symbol);
      }
    }
  }
  return &batch_->entries[next_in_batch_];
}

Market::Step Market::advance(std::int64_t now_ns) {
  if (const auto held = hold(now_ns)) {
    return *held;
  }
  for (int played = 0; played < kFramesPerStep; ++played) {
    Step why{State::wait_for_event};
    const Batch::Entry* const entry = next_entry(why);
    if (entry == nullptr) {
      return why;
    }
    const std::int64_t due_ns = schedule_.due_ns(entry->schedule_ns, trades_played_);
    if (due_ns > now_ns) {
      return {State::wait_until, due_ns};
    }
    if (pace_.stands_alone() && !room()) {
      return {State::wait_for_event};
    }
    clock_.first_ns = clock_.first_ns == kNoTime ? entry->schedule_ns : clock_.first_ns;
    for (Subscriber* const member : members_) {
      member->offer(*batch_, *entry, due_ns);
    }
    clock_.played_ns = entry->schedule_ns;
    trades_played_ += entry->trade_count;
    ++next_in_batch_;
  }
  return {State::wait_until, now_ns};
}

}  // namespace mdpipe::replay
