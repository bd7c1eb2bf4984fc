#include "mdpipe/stage/store.hpp"

#include <optional>
#include <utility>

#include "mdpipe/base/clock.hpp"
#include "store_files.hpp"

namespace mdpipe::stage {
namespace {

class StoreBody final : public Store {
 public:
  StoreBody(StoreOptions options, std::optional<LockFile> lock, std::unique_ptr<StoreFiles> files)
      : options_(std::move(options)), lock_(std::move(lock)), files_(std::move(files)), taken_(files_->settled()) {}

  std::string_view name() const noexcept override { return "store"; }
  std::optional<Position> resume_after() override { return taken_; }
  Uptake on_record(const RecordView& record, const SymbolTable& symbols) override;
  bool poll() override;
  Position settled() const noexcept override { return files_->settled(); }
  void begin_drain() noexcept override { draining_ = true; }
  bool drained() const noexcept override { return failure_ || files_->settled() >= taken_; }
  void close() override;
  std::string waiting_for() const override { return held_back_ || !files_->trouble().empty() ? files_->trouble() : ""; }
  std::optional<Error> failure() const override { return failure_; }
  const StoreFigures& figures() const noexcept override { return figures_; }
  const std::optional<std::string>& source_state() const noexcept override { return files_->source_state(); }

 private:
  [[nodiscard]] bool put(const RecordView& record, const Trade& trade);
  bool note(WriteOutcome outcome);
  void settle();

  const StoreOptions options_;
  const std::optional<LockFile> lock_;
  const std::unique_ptr<StoreFiles> files_;

  std::size_t next_trade_ = 0;  // of the record that is being taken: those before are in the buffers
  Position taken_;
  bool held_back_ = false;
  bool draining_ = false;
  std::int64_t unsettled_since_ns_ = 0;  // 0: nothing is
  std::int64_t retry_at_ns_ = 0;
  std::optional<Error> failure_;
  StoreFigures figures_;
};

/// True where it was done; else held back or failed.
bool StoreBody::note(WriteOutcome outcome) {
  held_back_ = outcome == WriteOutcome::no_room;
  if (held_back_) {
    figures_.held_back.add();
    retry_at_ns_ = monotonic_clock_ns() + options_.retry_ns;
  } else if (outcome == WriteOutcome::failed) {
    failure_ = files_->failure();
  }
  return outcome == WriteOutcome::done;
}

bool StoreBody::put(const RecordView& record, const Trade& trade) {
  const std::int64_t day = day_of(trade.exchange_time_ns);
  if (!files_->is_current(day) && !note(files_->choose(day))) {
    return false;
  }
  return note(files_->append(record.text(trade)));
}

Uptake StoreBody::on_record(const RecordView& record, const SymbolTable& /*symbols*/) {
  if (failure_ || (held_back_ && monotonic_clock_ns() < retry_at_ns_)) {
    return Uptake::busy;
  }
  if (record.kind() == RecordKind::frame) {
    const auto trades = record.trades();
    const std::size_t begin = next_trade_;
    while (next_trade_ < trades.size() && put(record, trades[next_trade_])) {
      ++next_trade_;
    }
    figures_.trades.add(next_trade_ - begin);
    if (next_trade_ < trades.size()) {
      return Uptake::busy;
    }
  }
  next_trade_ = 0;
  taken_ = record.last_position();
  return Uptake::taken;
}

bool StoreBody::poll() {
  figures_.bytes.set(files_->bytes_written());
  if (failure_ || files_->settled() >= taken_ || next_trade_ != 0) {
    // In the middle of a record there is no position at which everything is in the files.
    return false;
  }
  const std::int64_t now_ns = monotonic_clock_ns();
  if (unsettled_since_ns_ == 0) {
    unsettled_since_ns_ = now_ns;
  }
  const bool due = draining_ || now_ns - unsettled_since_ns_ >= options_.flush_interval_ns;
  if (!due || (held_back_ && now_ns < retry_at_ns_) || !options_.source_state.allows(taken_)) {
    return false;
  }
  settle();
  return true;
}

void StoreBody::settle() {
  if (note(files_->settle(taken_))) {
    unsettled_since_ns_ = 0;
  }
  figures_.syncs.set(files_->syncs());
  figures_.files.set(files_->count());
}

void StoreBody::close() {
  if (!failure_ && next_trade_ == 0 && files_->settled() < taken_ && options_.source_state.allows(taken_)) {
    settle();
  }
  figures_.bytes.set(files_->bytes_written());
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  const auto state_directory = options.directory / ".state";
  if (auto made = make_directories(state_directory); !made) {
    return tl::unexpected(made.error());
  }
  std::optional<LockFile> lock;
  if (options.part.empty()) {
    auto acquired = LockFile::acquire(state_directory / "lock", "mdpipe store");
    if (!acquired) {
      return tl::unexpected(acquired.error());
    }
    lock.emplace(std::move(*acquired));
  }
  auto files = std::make_unique<StoreFiles>(options);
  if (auto recovered = files->recover(); !recovered) {
    return tl::unexpected(recovered.error());
  }
  if (!options.part.empty() && !files->source_state()) {
    if (auto begun = files->begin(options.start_after); !begun) {
      return tl::unexpected(begun.error());
    }
  }
  return std::make_unique<StoreBody>(std::move(options), std::move(lock), std::move(files));
}

}  // namespace mdpipe::stage
