#pragma once
/// \file
/// What one client wants, and the frames as it gets them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "replay/serve/faults/line.hpp"
#include "replay/serve/out_queue.hpp"
#include "replay/session/read_ahead.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class Subscriber {
 public:
  /// `symbols`: those met in the session so far; `out`: where frames are queued. Both must outlive the subscriber.
  Subscriber(const SymbolTable& symbols, OutQueue& out) noexcept : symbols_(symbols), out_(out) {}

  void subscribe(std::string_view symbol);
  void unsubscribe(std::string_view symbol);
  /// The session has a symbol that it had not before.
  void learn(SymbolId id, const std::string& symbol);

  [[nodiscard]] const std::unordered_set<std::string>& subscribed() const noexcept { return names_; }
  [[nodiscard]] bool listening() const noexcept { return !names_.empty(); }

  /// Queues what of a frame this client is to get: all of it, byte for byte; or, where it has trades of symbols not
  /// subscribed, the rest; or nothing where nothing of its list is left. `due_ns`: see Schedule.
  void offer(const Batch& batch, const Batch::Entry& entry, std::int64_t due_ns);

  /// From here on its frames go by `faults`, which must outlive it.
  void use_faults(FaultLine& faults) noexcept { faults_ = &faults; }
  /// No frame that is offered from here on goes out.
  void end() noexcept { ended_ = true; }
  [[nodiscard]] bool over() const noexcept { return ended_ || (faults_ != nullptr && faults_->over()); }

  /// A market that waits for its clients may play on: this one takes more.
  [[nodiscard]] bool has_room(std::size_t room_bytes) const noexcept { return out_.size() < room_bytes && !over(); }

 private:
  [[nodiscard]] bool wants(SymbolId id) const noexcept { return id < by_id_.size() && by_id_[id] != 0; }
  void set(std::string_view symbol, bool wanted);
  void send(std::string_view text, const Batch::Entry& entry, std::uint32_t trade_count, std::int64_t due_ns);

  const SymbolTable& symbols_;
  std::unordered_set<std::string> names_;
  std::vector<char> by_id_;
  OutQueue& out_;
  FaultLine* faults_ = nullptr;
  bool ended_ = false;
  std::string trimmed_;
};

}  // namespace mdpipe::replay
