#include "replay/verify/verify.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "replay/verify/session_entries.hpp"
#include "replay/verify/target_entries.hpp"

namespace mdpipe::replay {
namespace {

/// What is compared with the same entries of the session is compared with one reading of them.
struct Reference {
  OpenEntries open;
  SymbolTable keys;
  std::optional<Tally> tally;
};

class Verification {
 public:
  explicit Verification(const VerifyOptions& options)
      : options_(options), wanted_(options.session.symbols.begin(), options.session.symbols.end()) {
    by_symbol_.open = [this] { return open_session_entries(options_.session, EntryKey::symbol); };
    by_date_.open = [this] { return open_session_entries(options_.session, EntryKey::symbol_and_date); };
    metrics_.open = [this] {
      stage::AggregateOptions aggregate;
      aggregate.window = options_.window;
      aggregate.every = options_.every;
      aggregate.precision = options_.precision;
      return open_metrics_entries(options_.session, aggregate);
    };
  }

  Result<VerifyReport> run();

 private:
  Result<void> look_at(std::string role, std::string where, Reference& reference, const OpenEntries& target,
                       bool trades = true);
  Result<void> look_at_topic(std::string role, const std::string& topic, Reference& reference, bool trades);

  const VerifyOptions& options_;
  const WantedSymbols wanted_;
  Reference by_symbol_;
  Reference by_date_;
  Reference metrics_;
  VerifyReport report_;
};

Result<VerifyReport> Verification::run() {
  std::vector<std::function<Result<void>()>> steps;
  if (!options_.sent.empty()) {
    steps.emplace_back([this] {
      return look_at("sent", options_.sent, by_symbol_, [this] { return open_sent_entries(options_.sent, wanted_); });
    });
  }
  if (!options_.journal.empty()) {
    steps.emplace_back([this] {
      return look_at("received", options_.journal, by_symbol_,
                     [this] { return open_journal_entries(options_.journal, wanted_); });
    });
  }
  if (options_.kafka && !options_.topic.empty()) {
    steps.emplace_back([this] { return look_at_topic("published", options_.topic, by_symbol_, true); });
  }
  if (!options_.store.empty()) {
    steps.emplace_back([this] {
      return look_at("stored", options_.store, by_date_,
                     [this] { return open_store_entries(options_.store, wanted_); });
    });
  }
  if (!options_.metrics_file.empty()) {
    steps.emplace_back([this] {
      return look_at(
          "metrics", options_.metrics_file, metrics_,
          [this] { return open_metrics_file_entries(options_.metrics_file, wanted_); }, false);
    });
  }
  if (options_.kafka && !options_.metrics_topic.empty()) {
    steps.emplace_back([this] { return look_at_topic("metrics", options_.metrics_topic, metrics_, false); });
  }
  for (const auto& step : steps) {
    if (auto done = step(); !done) {
      return tl::unexpected(done.error());
    }
  }
  return std::move(report_);
}

Result<void> Verification::look_at_topic(std::string role, const std::string& topic, Reference& reference,
                                         bool trades) {
  const TopicOptions options{*options_.kafka, topic, trades};
  return look_at(
      std::move(role), topic + " at " + options_.kafka->bootstrap, reference,
      [&] { return open_topic_entries(options, wanted_); }, trades);
}

Result<void> Verification::look_at(std::string role, std::string where, Reference& reference, const OpenEntries& target,
                                   bool trades) {
  if (!reference.tally) {
    auto tallied = tally(reference.open, reference.keys);
    if (!tallied) {
      return tl::unexpected(tallied.error());
    }
    reference.tally.emplace(std::move(*tallied));
  }
  auto comparison = compare(reference.open, *reference.tally, target, reference.keys);
  if (!comparison) {
    return tl::unexpected(comparison.error());
  }
  if (trades) {
    report_.trades = reference.tally->count;
  }
  report_.targets.push_back({std::move(role), std::move(where), trades, std::move(*comparison)});
  return {};
}

}  // namespace

bool TargetReport::is_right() const noexcept {
  return comparison.equal() && comparison.wanted != 0 &&
         std::none_of(comparison.findings.begin(), comparison.findings.end(),
                      [](const Finding& finding) { return finding.is_fault; });
}

bool VerifyReport::is_right() const noexcept {
  return std::all_of(targets.begin(), targets.end(), [](const TargetReport& target) { return target.is_right(); });
}

Result<VerifyReport> verify_session(const VerifyOptions& options) {
  return Verification(options).run();
}

}  // namespace mdpipe::replay
