#pragma once
/// \file
/// Which symbols a session holds: a thread reads it once through, to the end, unless nobody wants to know any more.

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "mdpipe/base/thread.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

class SymbolScan {
 public:
  /// `on_known` is called by the scan's thread, once, unless it was stopped or failed: a session that is damaged is
  /// for its player to complain of, where it gets there.
  [[nodiscard]] static Result<std::unique_ptr<SymbolScan>> start(SessionOptions options,
                                                                 std::function<void(std::set<std::string>)> on_known);
  ~SymbolScan() { stop(); }
  SymbolScan(const SymbolScan&) = delete;
  SymbolScan& operator=(const SymbolScan&) = delete;

  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

 private:
  SymbolScan() = default;
  void run(const SessionOptions& options, const std::function<void(std::set<std::string>)>& on_known);

  std::atomic<bool> stop_{false};  // a mere wish: nothing else is read by it
  Worker worker_;                  // last: joined before the rest goes
};

}  // namespace mdpipe::replay
