#include "replay/serve/subscriber.hpp"

#include <algorithm>
#include <span>

namespace mdpipe::replay {

void Subscriber::set(std::string_view symbol, bool wanted) {
  const SymbolId id = symbols_.find(symbol);
  if (id == SymbolTable::kNone) {
    return;  // learn() will see to it
  }
  by_id_.resize(std::max<std::size_t>(by_id_.size(), id + std::size_t{1}));
  by_id_[id] = wanted ? 1 : 0;
}

void Subscriber::subscribe(std::string_view symbol) {
  names_.emplace(symbol);
  set(symbol, true);
}

void Subscriber::unsubscribe(std::string_view symbol) {
  names_.erase(std::string(symbol));
  set(symbol, false);
}

void Subscriber::learn(SymbolId id, const std::string& symbol) {
  by_id_.resize(std::max<std::size_t>(by_id_.size(), id + std::size_t{1}));
  by_id_[id] = names_.contains(symbol) ? 1 : 0;
}

void Subscriber::send(std::string_view text, const Batch::Entry& entry, std::uint32_t trade_count,
                      std::int64_t due_ns) {
  if (faults_ != nullptr) [[unlikely]] {
    faults_->offer(text, entry.is_json, trade_count, entry.schedule_ns);
  } else {
    out_.append_text(text, entry.is_json, trade_count, due_ns);
  }
}

void Subscriber::offer(const Batch& batch, const Batch::Entry& entry, std::int64_t due_ns) {
  if (ended_) {
    return;
  }
  const std::string_view text = batch.text_of(entry);
  const auto elements = std::span(batch.elements).subspan(entry.first_element, entry.element_count);
  const auto kept = [this](const FrameElement& element) {
    return element.symbol == SymbolTable::kNone || wants(element.symbol);
  };
  if (std::all_of(elements.begin(), elements.end(), kept)) {
    send(text, entry, entry.trade_count, due_ns);
    return;
  }
  if (trim_frame(
          text, entry.list_begin, entry.list_end, elements.data(), elements.size(),
          [this](SymbolId id) { return wants(id); }, trimmed_)) {
    const auto trades = std::count_if(elements.begin(), elements.end(),
                                      [&](const FrameElement& element) { return element.is_trade && kept(element); });
    send(trimmed_, entry, static_cast<std::uint32_t>(trades), due_ns);
  }
}

}  // namespace mdpipe::replay
