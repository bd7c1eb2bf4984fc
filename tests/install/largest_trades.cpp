// A stage of one's own, outside the tree: the largest trade of each symbol in a journal.
#include <cstdio>
#include <map>
#include <string>

#include <mdpipe/event/stage.hpp>
#include <mdpipe/runner/invoker.hpp>

class LargestTrades final : public mdpipe::Stage {
 public:
  std::string_view name() const noexcept override { return "largest trades"; }
  mdpipe::Uptake on_record(const mdpipe::RecordView& record, const mdpipe::SymbolTable& symbols) noexcept override {
    for (const mdpipe::Trade& trade : record.trades()) {
      mdpipe::Decimal& largest = largest_[std::string(symbols.text(trade.symbol_id))];
      largest = compare(trade.size(), largest) > 0 ? trade.size() : largest;
    }
    settled_ = record.last_position();
    return mdpipe::Uptake::taken;
  }
  mdpipe::Position settled() const noexcept override { return settled_; }
  std::map<std::string, mdpipe::Decimal> largest_;
  mdpipe::Position settled_ = mdpipe::kBeforeEverything;
};

int main(int /*argc*/, char** argv) {
  LargestTrades stage;
  mdpipe::runner::Invoker invoker;
  invoker.add([&](mdpipe::Position after) { return mdpipe::journal::Reader::open(argv[1], after); }, stage);
  const bool drained = invoker.drain(1);
  for (const auto& [symbol, size] : stage.largest_) {
    std::printf("%s %s\n", symbol.c_str(), to_string(size).c_str());
  }
  return drained && !invoker.failure() ? 0 : 5;
}
