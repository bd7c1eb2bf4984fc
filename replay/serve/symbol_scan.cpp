#include "replay/serve/symbol_scan.hpp"

#include <utility>
#include <vector>

namespace mdpipe::replay {

Result<std::unique_ptr<SymbolScan>> SymbolScan::start(SessionOptions options,
                                                      std::function<void(std::set<std::string>)> on_known) {
  std::unique_ptr<SymbolScan> scan(new SymbolScan());
  auto worker = Worker::start("symbol-scan", -1,
                              [scan = scan.get(), options = std::move(options), on_known = std::move(on_known)] {
                                scan->run(options, on_known);
                              });
  if (!worker) {
    return tl::unexpected(worker.error());
  }
  scan->worker_ = std::move(*worker);
  return scan;
}

void SymbolScan::run(const SessionOptions& options, const std::function<void(std::set<std::string>)>& on_known) {
  SymbolTable symbols;
  auto source = open_sessions(options, symbols);
  if (!source) {
    return;
  }
  std::vector<bool> seen;
  SessionFrame frame;
  while (!stop_.load(std::memory_order_relaxed)) {
    const auto more = (*source)->next(frame);
    if (!more) {
      return;
    }
    if (!*more) {
      std::set<std::string> found;
      for (SymbolId id = 0; id < seen.size(); ++id) {
        if (seen[id]) {
          found.emplace(symbols.text(id));
        }
      }
      on_known(std::move(found));
      return;
    }
    seen.resize(symbols.size());
    for (const FrameElement& element : frame.shape.elements) {
      if (element.symbol != SymbolTable::kNone) {
        seen[element.symbol] = true;
      }
    }
  }
}

}  // namespace mdpipe::replay
