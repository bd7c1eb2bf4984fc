#include "mdpipe/stage/aggregate.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "aggregate_snapshot.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "mdpipe/base/state_file.hpp"
#include "symbol_windows.hpp"

namespace mdpipe::stage {
namespace {

constexpr const char* kKind = "aggregate";

/// A snapshot that takes long (many symbols, a slow disk) is taken that much less often: it costs at most a twentieth.
constexpr std::int64_t kSaveRest = 20;

class AggregateBody final : public Aggregate {
 public:
  AggregateBody(AggregateOptions options, std::unique_ptr<Outbox::Port> port)
      : options_(std::move(options)),
        source_(options_.source),
        window_options_{options_.window, options_.every, options_.precision},
        port_(std::move(port)),
        windows_(window_options_) {}

  std::string_view name() const noexcept override { return "aggregate"; }
  std::optional<Position> resume_after() override;
  Uptake on_record(const RecordView& record, const SymbolTable& symbols) override;
  bool poll() override;
  Position settled() const noexcept override;
  void begin_drain() noexcept override { draining_ = true; }
  bool drained() const noexcept override;
  void close() override;
  std::string waiting_for() const override;
  std::optional<Error> failure() const override { return failure_; }
  const AggregateFigures& figures() const noexcept override { return figures_; }
  void set_source(std::uint64_t source) noexcept override { source_ = source; }
  const std::optional<std::string>& source_state() const noexcept override { return loaded_source_state_; }

 private:
  struct Symbol {
    std::string text;
    std::string json;  // as a JSON string, with its quotes
  };

  [[nodiscard]] Result<void> open(const std::string& cluster_id);
  void meet_symbols(const SymbolTable& symbols);
  [[nodiscard]] bool hand_on(const Trade& trade, Position cause);
  void append_source_state();
  void take_snapshot(std::int64_t now_ns);
  void write_snapshot(std::int64_t now_ns);
  [[nodiscard]] bool may_save() const noexcept {
    return (port_ == nullptr || port_->acknowledged_below() >= snapshot_position_) &&
           options_.source_state.allows(snapshot_position_);
  }
  [[nodiscard]] bool keeps_state() const noexcept { return !options_.state_directory.empty(); }

  const AggregateOptions options_;
  std::uint64_t source_;
  const WindowOptions window_options_;
  const std::unique_ptr<Outbox::Port> port_;
  SymbolWindows windows_;
  std::vector<Symbol> symbols_;               // by id
  std::map<std::string, SavedSymbol> saved_;  // of the last life, not met in this one yet
  std::string text_;                          // of a metric that nobody takes

  std::size_t next_trade_ = 0;  // of the record that is being taken: those before are counted
  Position taken_ = kBeforeEverything;
  bool held_back_ = false;  // the outbox had no room
  bool draining_ = false;

  std::optional<StateFile> file_;
  std::optional<std::string> loaded_source_state_;
  std::string snapshot_;  // as of snapshot_position_, waiting until all that it covers is acknowledged
  bool snapshot_waits_ = false;
  Position snapshot_position_ = kBeforeEverything;
  Position durable_position_ = kBeforeEverything;
  std::int64_t next_save_ns_ = 0;
  std::int64_t snapshot_cost_ns_ = 0;
  std::string trouble_;
  std::optional<Error> failure_;
  AggregateFigures figures_;
};

std::optional<Position> AggregateBody::resume_after() {
  if (!keeps_state()) {
    taken_ = options_.start_after;
    return taken_;
  }
  if (failure_) {
    return std::nullopt;
  }
  const std::optional<std::string> cluster_id = options_.cluster_id();
  if (!cluster_id) {
    return std::nullopt;
  }
  if (auto opened = open(*cluster_id); !opened) {
    failure_ = opened.error();
    return std::nullopt;
  }
  return taken_;
}

Result<void> AggregateBody::open(const std::string& cluster_id) {
  std::string name = "aggregate-" + cluster_id + ".state";
  std::replace(name.begin(), name.end(), '/', '_');
  file_.emplace(options_.state_directory / name, kKind);
  auto state = file_->load();
  if (!state) {
    return tl::unexpected(state.error());
  }
  if (!*state) {
    // Before the first metric: whoever finds no file knows that none was ever sent.
    begin_snapshot(window_options_, 0, snapshot_);
    append_source_state();
    taken_ = snapshot_position_ = durable_position_ = options_.begin_after;
    return file_->save(taken_, snapshot_);
  }
  auto saved = read_snapshot(window_options_, (*state)->payload, file_->path().string());
  if (!saved) {
    return tl::unexpected(saved.error());
  }
  for (SavedSymbol& symbol : saved->symbols) {
    saved_.emplace(symbol.text, std::move(symbol));
  }
  loaded_source_state_ = std::move(saved->source_state);
  taken_ = snapshot_position_ = durable_position_ = (*state)->position;
  return {};
}

/// New ids since the last record. Allocates: once a symbol.
void AggregateBody::meet_symbols(const SymbolTable& symbols) {
  windows_.grow(symbols.size());
  for (auto id = static_cast<SymbolId>(symbols_.size()); id < symbols.size(); ++id) {
    const std::string text(symbols.text(id));
    symbols_.push_back({text, json_string(text)});
    if (const auto saved = saved_.find(text); saved != saved_.end()) {
      windows_.restore(id, saved->second.count, saved->second.trades);
      saved_.erase(saved);
    }
  }
  figures_.symbols.set(symbols_.size() + saved_.size());
}

Uptake AggregateBody::on_record(const RecordView& record, const SymbolTable& symbols) {
  if (record.kind() != RecordKind::frame) {
    taken_ = record.last_position();
    return Uptake::taken;
  }
  if (symbols.size() != symbols_.size()) [[unlikely]] {
    meet_symbols(symbols);
  }
  const auto trades = record.trades();
  // Where symbols are many, each is a miss in the cache: those of one frame are fetched together.
  for (const Trade& trade : trades.subspan(next_trade_)) {
    windows_.prefetch(trade.symbol_id);
  }
  const std::size_t begin = next_trade_;
  for (; next_trade_ < trades.size(); ++next_trade_) {
    const Trade& trade = trades[next_trade_];
    if (!windows_.due_next(trade.symbol_id)) [[likely]] {
      windows_.add(trade.symbol_id, trade);
    } else if (!hand_on(trade, record.position() + 1 + next_trade_)) {
      figures_.trades.add(next_trade_ - begin);
      figures_.held_back.add();
      held_back_ = true;
      return Uptake::busy;
    }
  }
  figures_.trades.add(next_trade_ - begin);
  next_trade_ = 0;
  held_back_ = false;
  taken_ = record.last_position();
  return Uptake::taken;
}

/// The trade and the metric that it causes; neither where the outbox has no room.
bool AggregateBody::hand_on(const Trade& trade, Position cause) {
  OutboxMessage* const message = port_ == nullptr ? nullptr : port_->prepare();
  if (port_ != nullptr && message == nullptr) {
    return false;
  }
  const Symbol& symbol = symbols_[trade.symbol_id];
  windows_.add(trade.symbol_id, trade);
  std::string& text = message == nullptr ? text_ : message->value;
  text.clear();
  windows_.append_metric(trade.symbol_id, symbol.json, trade.exchange_time_ms(), text);
  if (message != nullptr) {
    message->destination = Destination::metrics;
    message->header_flags = 0;
    message->source = source_;
    message->position = trade.position;
    message->cause = cause;
    message->receive_time_ns = trade.receive_time_ns;
    message->key.assign(symbol.text);
    port_->submit();
  }
  figures_.metrics.add();
  return true;
}

bool AggregateBody::poll() {
  if (!file_ || failure_) {
    return false;
  }
  // In the middle of a record the windows stand at no position.
  const std::int64_t now_ns = monotonic_clock_ns();
  if (!snapshot_waits_ && next_trade_ == 0 && taken_ != snapshot_position_ && (draining_ || now_ns >= next_save_ns_)) {
    take_snapshot(now_ns);
  }
  if (snapshot_waits_ && may_save() && (trouble_.empty() || now_ns >= next_save_ns_)) {
    write_snapshot(now_ns);
    return trouble_.empty();
  }
  return false;
}

void AggregateBody::append_source_state() {
  if (options_.source_state.append) {
    std::string text;
    options_.source_state.append(text);
    end_snapshot(text, snapshot_);
  }
}

void AggregateBody::take_snapshot(std::int64_t now_ns) {
  begin_snapshot(window_options_, static_cast<std::uint32_t>(symbols_.size() + saved_.size()), snapshot_);
  for (SymbolId id = 0; id < symbols_.size(); ++id) {
    append_symbol(symbols_[id].text, windows_, id, snapshot_);
  }
  for (const auto& [text, symbol] : saved_) {
    append_symbol(symbol, snapshot_);
  }
  append_source_state();
  snapshot_position_ = taken_;
  snapshot_waits_ = true;
  snapshot_cost_ns_ = monotonic_clock_ns() - now_ns;
}

void AggregateBody::write_snapshot(std::int64_t now_ns) {
  const auto saved = file_->save(snapshot_position_, snapshot_);
  const std::int64_t end_ns = monotonic_clock_ns();
  next_save_ns_ = end_ns + std::max(options_.save_interval_ns, kSaveRest * (end_ns - now_ns + snapshot_cost_ns_));
  if (!saved) {
    trouble_ = saved.error().message;  // the next start computes again from further back: slower, not wrong
    return;
  }
  trouble_.clear();
  snapshot_waits_ = false;
  durable_position_ = snapshot_position_;
  figures_.snapshots.add();
}

Position AggregateBody::settled() const noexcept {
  if (keeps_state()) {
    return durable_position_;
  }
  return port_ == nullptr ? taken_ : std::min(taken_, port_->acknowledged_below());
}

bool AggregateBody::drained() const noexcept {
  if (failure_) {
    return true;
  }
  return keeps_state() ? durable_position_ >= taken_ : port_ == nullptr || port_->outstanding() == 0;
}

void AggregateBody::close() {
  if (file_ && !failure_ && snapshot_waits_ && may_save()) {
    write_snapshot(monotonic_clock_ns());
  }
}

std::string AggregateBody::waiting_for() const {
  if (!trouble_.empty()) {
    return trouble_;
  }
  if (keeps_state() && !file_) {
    return "for a broker to say which cluster it is";
  }
  return held_back_ ? "for Kafka to take the metrics that are there" : std::string();
}

}  // namespace

std::unique_ptr<Aggregate> Aggregate::make(AggregateOptions options, std::unique_ptr<Outbox::Port> port) {
  return std::make_unique<AggregateBody>(std::move(options), std::move(port));
}

}  // namespace mdpipe::stage
