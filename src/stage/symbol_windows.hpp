#pragma once
// The last trades of each symbol: what metrics are made of.
//
//     states  | 16 B | 16 B | 16 B | ...       where each ring stands: small, so that it stays in a cache near
//     rings   | p v | p v | ... | p v | ...    a ring a symbol, of integers of one exponent for prices, one for sizes:
//                                              168.25, 168.3  ->  16825, 16830 × 10^-2
//
// A trade touches two lines, and the state says which of a ring's lines will be needed before it is: prefetch() asks
// for that. Sums, minimum and maximum are formed when a metric is due, in one pass over the ring: exact integer sums,
// in 64 bits where they fit, else in 128 or more. Where numbers are so far apart that no common exponent fits 60 bits,
// the symbol is "wide" until they have left the window: its numbers are kept as they came, and the pass computes with
// wide integers. Exact either way.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/decimal.hpp"
#include "mdpipe/base/wide.hpp"
#include "mdpipe/event/trade.hpp"

namespace mdpipe::stage {

struct WindowOptions {
  std::uint32_t window = 20;               ///< trades looked back on, 1..10,000
  std::uint32_t every = 10;                ///< trades of a symbol between two metrics
  std::optional<std::uint32_t> precision;  ///< decimals of ratios; nothing: the nearest double
};

struct PriceSize {
  Decimal price;
  Decimal size;
};

/// The ratios of a window as doubles.
struct WindowRatios {
  double average_price;
  double volume_weighted_price;
  double price_change_percent;
};

/// Thread safety: one thread.
class SymbolWindows {
 public:
  explicit SymbolWindows(const WindowOptions& options);

  /// Makes room for ids below `count`. The only call that allocates, but for a symbol that stays wide.
  void grow(std::size_t count);
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Precondition of all that follow: id < size().
  void prefetch(SymbolId id) const noexcept;
  /// The next trade of this symbol will complete `every`: a metric is due behind it.
  [[nodiscard]] bool due_next(SymbolId id) const noexcept { return states_[id].until_due == 1; }

  void add(SymbolId id, const Trade& trade) noexcept {
    State& state = states_[id];
    // Most often it comes with the exponents that we have.
    if (Exponents{trade.price_exponent, trade.size_exponent} == state.common && !state.wide) [[likely]] {
      put(id, {trade.price_mantissa, trade.size_mantissa});
    } else {
      add(id, trade.price(), trade.size());
    }
  }
  void add(SymbolId id, Decimal price, Decimal size) noexcept;

  [[nodiscard]] std::uint64_t count(SymbolId id) const noexcept {
    return counts_[id] + (options_.every - states_[id].until_due);
  }

  /// Precondition of both: a trade has been added. `symbol_json`: its name as a JSON string.
  [[nodiscard]] WindowRatios ratios(SymbolId id) const noexcept;
  void append_metric(SymbolId id, std::string_view symbol_json, std::int64_t exchange_time_ms,
                     std::string& out) noexcept;

  /// For snapshots: the trades of the window, oldest first.
  void for_each(SymbolId id, const std::function<void(const PriceSize&)>& visit) const;
  void restore(SymbolId id, std::uint64_t count, std::span<const PriceSize> trades) noexcept;

 private:
  struct Exponents {
    std::int8_t price;
    std::int8_t size;
    bool operator==(const Exponents&) const = default;
  };
  struct Slot {
    std::int64_t price;
    std::int64_t size;
  };
  struct State {
    std::uint32_t until_due = 0;
    std::uint16_t next = 0;    // where the next trade goes
    std::uint16_t filled = 0;  // trades in the window
    Exponents common{0, 0};
    bool wide = false;  // no common exponents: each slot has its own, in wide_
    std::uint8_t unused[5] = {};
  };
  static_assert(sizeof(State) == 16);
  struct alignas(64) Line {
    Slot slots[4];
  };
  static_assert(sizeof(Line) == 64);
  /// What a pass needs of a symbol.
  struct Ring {
    const State& state;
    const Slot* slots;
    std::uint32_t window;

    [[nodiscard]] std::uint32_t oldest() const noexcept { return state.filled == window ? state.next : 0; }
    [[nodiscard]] std::uint32_t last() const noexcept { return (state.next == 0 ? window : state.next) - 1U; }
  };

  template <class Integer>
  struct Sums;

  [[nodiscard]] Slot* slots(SymbolId id) noexcept { return lines_[id * lines_per_ring_].slots; }
  [[nodiscard]] const Slot* slots(SymbolId id) const noexcept { return lines_[id * lines_per_ring_].slots; }
  [[nodiscard]] Ring ring(SymbolId id) const noexcept { return {states_[id], slots(id), options_.window}; }
  [[nodiscard]] PriceSize at(SymbolId id, std::uint32_t slot) const noexcept;
  /// Into the next place of the ring.
  void put(SymbolId id, Slot slot) noexcept {
    State& state = states_[id];
    slots(id)[state.next] = slot;
    const auto next = static_cast<std::uint16_t>(state.next + 1);
    state.next = next == options_.window ? std::uint16_t{0} : next;
    state.filled = static_cast<std::uint16_t>(state.filled + (state.filled < options_.window ? 1 : 0));
    if (--state.until_due == 0) {
      state.until_due = options_.every;
      counts_[id] += options_.every;
    }
  }
  void add_wide(SymbolId id, Decimal price, Decimal size) noexcept;
  [[nodiscard]] bool make_narrow(SymbolId id) noexcept;
  [[nodiscard]] std::optional<Exponents> common_exponents(SymbolId id) const noexcept;
  [[nodiscard]] bool small_sums(const Ring& ring, Sums<std::int64_t>& sums) const noexcept;
  template <class Integer, class Unsigned>
  [[nodiscard]] bool narrow_sums(const Ring& ring, Sums<Integer>& sums) const noexcept;
  template <class Integer>
  [[nodiscard]] Sums<Integer> wide_sums(SymbolId id) const noexcept;
  /// Calls `use` with the sums, in the narrowest integers that hold them.
  template <class Use>
  void with_sums(SymbolId id, const Use& use) const noexcept;
  template <class Integer>
  void append_numbers(const Sums<Integer>& sums, std::string& out) const noexcept;

  const WindowOptions options_;
  const std::size_t lines_per_ring_;
  std::size_t size_ = 0;
  std::vector<State> states_;
  std::vector<Line> lines_;
  std::vector<std::uint64_t> counts_;               // trades when `until_due` was set
  std::vector<std::unique_ptr<Exponents[]>> wide_;  // by id, for those that are wide
  std::unique_ptr<Exponents[]> spare_;              // for the next one, if only while its window is rewritten
};

}  // namespace mdpipe::stage
