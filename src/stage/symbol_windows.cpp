#include "symbol_windows.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "exact_ratio.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"

namespace mdpipe::stage {
namespace {

/// Integers of a window stay below it. So do all mantissas.
constexpr std::int64_t kNarrowLimit = std::int64_t{1} << 60;

constexpr std::array<std::int64_t, 17> kPowers = [] {
  std::array<std::int64_t, 17> powers{};
  std::int64_t power = 1;
  for (std::int64_t& one : powers) {
    one = power;
    power *= 10;
  }
  return powers;
}();

/// What may be multiplied by a power and stay below the limit.
constexpr std::array<std::int64_t, kPowers.size()> kLimits = [] {
  std::array<std::int64_t, kPowers.size()> limits{};
  for (std::size_t i = 0; i < limits.size(); ++i) {
    limits[i] = kNarrowLimit / kPowers[i];
  }
  return limits;
}();

/// `value` as an integer of this exponent; false where it is none or is too large.
inline bool at_exponent(Decimal value, int exponent, std::int64_t& out) noexcept {
  const auto power = static_cast<std::size_t>(value.exponent - exponent);  // a negative one becomes a large one
  if (power < kPowers.size() && value.mantissa < kLimits[power] && value.mantissa > -kLimits[power]) [[likely]] {
    out = value.mantissa * kPowers[power];
    return true;
  }
  out = 0;
  return value.mantissa == 0;
}

int bit_width(std::uint64_t value) noexcept {
  return static_cast<int>(std::bit_width(value));
}

std::uint64_t magnitude(std::int64_t value) noexcept {
  return static_cast<std::uint64_t>(value < 0 ? -value : value);
}

Decimal shortened(Decimal value) noexcept {
  while (value.mantissa != 0 && value.mantissa % 10 == 0 && value.exponent < 100) {
    value.mantissa /= 10;
    ++value.exponent;
  }
  return value;
}

}  // namespace

template <class Integer>
struct SymbolWindows::Sums {
  Integer price;
  Integer size;
  Integer product;
  Integer first;
  Integer last;
  Integer minimum;
  Integer maximum;
  std::uint32_t filled;
  int price_exponent;
  int size_exponent;
};

SymbolWindows::SymbolWindows(const WindowOptions& options)
    : options_(options),
      lines_per_ring_((options.window * sizeof(Slot) + sizeof(Line) - 1) / sizeof(Line)),
      spare_(std::make_unique<Exponents[]>(options.window)) {}

void SymbolWindows::grow(std::size_t count) {
  if (count <= size_) {
    return;
  }
  if (count > wide_.capacity()) {
    const std::size_t capacity = std::max<std::size_t>({count, wide_.capacity() * 2, 64});
    lines_.reserve(capacity * lines_per_ring_);
    states_.reserve(capacity);
    counts_.reserve(capacity);
    wide_.reserve(capacity);
  }
  lines_.resize(count * lines_per_ring_);
  counts_.resize(count);
  wide_.resize(count);
  State fresh;
  fresh.until_due = options_.every;
  states_.resize(count, fresh);
  size_ = count;
}

void SymbolWindows::prefetch(SymbolId id) const noexcept {
  const State& state = states_[id];
  const Line* const lines = &lines_[id * lines_per_ring_];
  __builtin_prefetch(lines->slots + state.next, 1);
  if (state.until_due == 1) {
    constexpr std::size_t kLinesMax = 8;  // the processor itself goes on from there
    for (std::size_t line = 0; line < std::min(lines_per_ring_, kLinesMax); ++line) {
      __builtin_prefetch(lines + line);
    }
  }
}

void SymbolWindows::add(SymbolId id, Decimal price, Decimal size) noexcept {
  const State& state = states_[id];
  Slot slot{};
  if (state.wide || !at_exponent(price, state.common.price, slot.price) ||
      !at_exponent(size, state.common.size, slot.size)) [[unlikely]] {
    add_wide(id, price, size);
    return;
  }
  put(id, slot);
}

PriceSize SymbolWindows::at(SymbolId id, std::uint32_t slot) const noexcept {
  const State& state = states_[id];
  const Exponents exponents = state.wide ? wide_[id][slot] : state.common;
  const Slot& numbers = slots(id)[slot];
  return {{numbers.price, exponents.price}, {numbers.size, exponents.size}};
}

/// A smaller exponent than before, or numbers too far apart. Rewrites the window under the exponents that fit it now.
void SymbolWindows::add_wide(SymbolId id, Decimal price, Decimal size) noexcept {
  State& state = states_[id];
  if (!state.wide) {
    std::fill_n(spare_.get(), options_.window, state.common);
    wide_[id] = std::move(spare_);
    state.wide = true;
  }
  wide_[id][state.next] = {price.exponent, size.exponent};
  put(id, {price.mantissa, size.mantissa});
  if (make_narrow(id)) {
    state.wide = false;
    spare_ = std::move(wide_[id]);
  } else if (spare_ == nullptr) {
    spare_ = std::make_unique<Exponents[]>(options_.window);
  }
}

/// Finds common exponents under which the whole window fits; false where there are none.
bool SymbolWindows::make_narrow(SymbolId id) noexcept {
  State& state = states_[id];
  // First under the exponents that the trades came with: the next one most likely comes with the same.
  std::optional<Exponents> common = common_exponents(id);
  if (!common) {
    for (std::uint32_t slot = 0; slot < state.filled; ++slot) {
      const PriceSize trade = at(id, slot);
      const Decimal price = shortened(trade.price);
      const Decimal size = shortened(trade.size);
      slots(id)[slot] = {price.mantissa, size.mantissa};
      wide_[id][slot] = {price.exponent, size.exponent};
    }
    common = common_exponents(id);
  }
  if (!common) {
    return false;
  }
  state.common = *common;
  for (std::uint32_t i = 0; i < state.filled; ++i) {
    const PriceSize trade = at(id, i);
    Slot& slot = slots(id)[i];
    (void)at_exponent(trade.price, common->price, slot.price);
    (void)at_exponent(trade.size, common->size, slot.size);
  }
  return true;
}

/// The smallest exponents of the window, where all of it fits under them.
std::optional<SymbolWindows::Exponents> SymbolWindows::common_exponents(SymbolId id) const noexcept {
  const std::uint32_t filled = states_[id].filled;
  constexpr int kNone = std::numeric_limits<std::int8_t>::max();
  int price = kNone;
  int size = kNone;
  for (std::uint32_t slot = 0; slot < filled; ++slot) {
    const PriceSize trade = at(id, slot);
    price = trade.price.mantissa == 0 ? price : std::min<int>(price, trade.price.exponent);
    size = trade.size.mantissa == 0 ? size : std::min<int>(size, trade.size.exponent);
  }
  price = price == kNone ? 0 : price;  // nothing but zeros
  size = size == kNone ? 0 : size;
  for (std::uint32_t slot = 0; slot < filled; ++slot) {
    const PriceSize trade = at(id, slot);
    std::int64_t ignored = 0;
    if (!at_exponent(trade.price, price, ignored) || !at_exponent(trade.size, size, ignored)) {
      return std::nullopt;
    }
  }
  return Exponents{static_cast<std::int8_t>(price), static_cast<std::int8_t>(size)};
}

#ifdef __SSE4_1__
/// The same for numbers from 0 to 2^31 - 1, which most are: a slot is one register, and what counts of two is another.
bool SymbolWindows::small_sums(const Ring& ring, Sums<std::int64_t>& sums) const noexcept {
  const auto* const slots = reinterpret_cast<const __m128i*>(ring.slots);
  __m128i sum = _mm_setzero_si128();
  __m128i products = _mm_setzero_si128();
  __m128i bits = _mm_setzero_si128();
  __m128i minima = _mm_shuffle_epi32(_mm_load_si128(slots), 0x88);  // price, size, price, size
  __m128i maxima = minima;
  const auto take = [&](__m128i first, __m128i second, __m128i both) {
    sum = _mm_add_epi64(sum, _mm_add_epi64(first, second));
    bits = _mm_or_si128(bits, _mm_or_si128(first, second));
    products = _mm_add_epi64(products, _mm_mul_epu32(both, _mm_srli_epi64(both, 32)));
  };
  std::uint32_t i = 0;
  for (; i + 1 < ring.state.filled; i += 2) {
    const __m128i first = _mm_load_si128(slots + i);
    const __m128i second = _mm_load_si128(slots + i + 1);
    const __m128i both = _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(first), _mm_castsi128_ps(second), 0x88));
    take(first, second, both);
    minima = _mm_min_epi32(minima, both);
    maxima = _mm_max_epi32(maxima, both);
  }
  if (i < ring.state.filled) {
    const __m128i last = _mm_load_si128(slots + i);
    const __m128i twice = _mm_shuffle_epi32(last, 0x88);
    take(last, _mm_setzero_si128(), _mm_move_epi64(twice));
    minima = _mm_min_epi32(minima, twice);
    maxima = _mm_max_epi32(maxima, twice);
  }
  const __m128i product = _mm_add_epi64(products, _mm_unpackhi_epi64(products, products));
  const __m128i minimum = _mm_min_epi32(minima, _mm_unpackhi_epi64(minima, minima));
  const __m128i maximum = _mm_max_epi32(maxima, _mm_unpackhi_epi64(maxima, maxima));
  const auto price_bits = static_cast<std::uint64_t>(_mm_cvtsi128_si64(bits));
  const auto size_bits = static_cast<std::uint64_t>(_mm_extract_epi64(bits, 1));
  constexpr std::uint64_t kTooLarge = ~((std::uint64_t{1} << 31U) - 1);
  // Three numbers whose bits are 63 at most: their product is less than 2^63.
  const int all_bits = bit_width(price_bits) + bit_width(size_bits) + bit_width(ring.state.filled);
  if (((price_bits | size_bits) & kTooLarge) != 0 || all_bits > 63) {
    return false;
  }
  sums = {_mm_cvtsi128_si64(sum),        _mm_extract_epi64(sum, 1),
          _mm_cvtsi128_si64(product),    ring.slots[ring.oldest()].price,
          ring.slots[ring.last()].price, _mm_cvtsi128_si32(minimum),
          _mm_cvtsi128_si32(maximum),    ring.state.filled,
          ring.state.common.price,       ring.state.common.size};
  return true;
}
#else
bool SymbolWindows::small_sums(const Ring& /*ring*/, Sums<std::int64_t>& /*sums*/) const noexcept {
  return false;
}
#endif

/// One pass. False where Integer may not hold the sums: what `sums` has then is worth nothing.
template <class Integer, class Unsigned>
bool SymbolWindows::narrow_sums(const Ring& ring, Sums<Integer>& sums) const noexcept {
  const Slot* const slots = ring.slots;
  // Unsigned, so that what does not fit wraps without harm until we know.
  Unsigned price = 0;
  Unsigned size = 0;
  Unsigned product = 0;
  std::int64_t minimum = slots[0].price;
  std::int64_t maximum = slots[0].price;
  std::uint64_t size_bits = 0;
  for (std::uint32_t i = 0; i < ring.state.filled; ++i) {
    const auto one_price = static_cast<Unsigned>(slots[i].price);
    const auto one_size = static_cast<Unsigned>(slots[i].size);
    price += one_price;
    size += one_size;
    product += one_price * one_size;
    size_bits |= static_cast<std::uint64_t>(slots[i].size ^ (slots[i].size >> 63));  // -x has the bits of x - 1
    minimum = std::min(minimum, slots[i].price);
    maximum = std::max(maximum, slots[i].price);
  }
  const int price_bits = bit_width(magnitude(minimum) | magnitude(maximum));
  const int count_bits = bit_width(ring.state.filled);
  // The change in percent multiplies a difference of prices by 100, which is less than 2^7.
  if (price_bits + std::max(bit_width(size_bits) + 1 + count_bits, 8) >= static_cast<int>(sizeof(Integer) * 8) ||
      bit_width(size_bits) + 1 + count_bits >= static_cast<int>(sizeof(Integer) * 8)) {
    return false;
  }
  sums = {static_cast<Integer>(price),
          static_cast<Integer>(size),
          static_cast<Integer>(product),
          slots[ring.oldest()].price,
          slots[ring.last()].price,
          minimum,
          maximum,
          ring.state.filled,
          ring.state.common.price,
          ring.state.common.size};
  return true;
}

/// For integers as wide as it takes. A template so that those who include the header need not know them.
template <class Integer>
SymbolWindows::Sums<Integer> SymbolWindows::wide_sums(SymbolId id) const noexcept {
  const Ring ring = this->ring(id);
  int price_exponent = std::numeric_limits<int>::max();
  int size_exponent = std::numeric_limits<int>::max();
  for (std::uint32_t slot = 0; slot < ring.state.filled; ++slot) {
    const PriceSize trade = at(id, slot);
    price_exponent = std::min<int>(price_exponent, trade.price.exponent);
    size_exponent = std::min<int>(size_exponent, trade.size.exponent);
  }
  const auto scaled = [](Decimal value, int exponent) {
    Integer wide = value.mantissa;
    for (int i = exponent; i < value.exponent; ++i) {
      wide *= 10;
    }
    return wide;
  };
  Sums<Integer> sums{};
  sums.filled = ring.state.filled;
  sums.price_exponent = price_exponent;
  sums.size_exponent = size_exponent;
  for (std::uint32_t i = 0; i < ring.state.filled; ++i) {
    const PriceSize trade = at(id, (ring.oldest() + i) % options_.window);
    const Integer price = scaled(trade.price, price_exponent);
    const Integer size = scaled(trade.size, size_exponent);
    sums.price += price;
    sums.size += size;
    sums.product += price * size;
    sums.first = i == 0 ? price : sums.first;
    sums.minimum = i == 0 || price < sums.minimum ? price : sums.minimum;
    sums.maximum = i == 0 || price > sums.maximum ? price : sums.maximum;
    sums.last = price;
  }
  return sums;
}

template <class Use>
void SymbolWindows::with_sums(SymbolId id, const Use& use) const noexcept {
  const Ring ring = this->ring(id);
  if (ring.state.wide) [[unlikely]] {
    use(wide_sums<WideInteger>(id));
    return;
  }
  if (Sums<std::int64_t> sums; small_sums(ring, sums) || narrow_sums<std::int64_t, std::uint64_t>(ring, sums))
      [[likely]] {
    use(sums);
  } else if (Sums<Int128> larger; narrow_sums<Int128, Uint128>(ring, larger)) {
    use(larger);
  } else {
    use(wide_sums<WideInteger>(id));
  }
}

WindowRatios SymbolWindows::ratios(SymbolId id) const noexcept {
  WindowRatios ratios{};
  with_sums(id, [&](const auto& sums) {
    using Integer = std::decay_t<decltype(sums.price)>;
    ratios.average_price = nearest_double(sums.price, Integer(sums.filled), sums.price_exponent);
    ratios.volume_weighted_price = sums.size == 0 ? 0 : nearest_double(sums.product, sums.size, sums.price_exponent);
    ratios.price_change_percent =
        sums.first == 0 ? 0 : nearest_double(Integer((sums.last - sums.first) * 100), sums.first, 0);
  });
  return ratios;
}

template <class Integer>
void SymbolWindows::append_numbers(const Sums<Integer>& sums, std::string& out) const noexcept {
  const auto append_ratio = [&](const Integer& numerator, const Integer& denominator, int exponent) {
    if (denominator == 0) {
      out.push_back('0');
    } else if (options_.precision) {
      append_rounded(widen(numerator), widen(denominator), exponent, *options_.precision, out);
    } else {
      append_double(nearest_double(numerator, denominator, exponent), out);
    }
  };
  out.append(R"(,"avg_price":)");
  append_ratio(sums.price, Integer(sums.filled), sums.price_exponent);
  out.append(R"(,"min_price":)");
  append_decimal(sums.minimum, sums.price_exponent, out);
  out.append(R"(,"max_price":)");
  append_decimal(sums.maximum, sums.price_exponent, out);
  out.append(R"(,"latest_price":)");
  append_decimal(sums.last, sums.price_exponent, out);
  out.append(R"(,"total_volume":)");
  append_decimal(sums.size, sums.size_exponent, out);
  out.append(R"(,"vwap":)");
  append_ratio(sums.product, sums.size, sums.price_exponent);
  out.append(R"(,"price_change_pct":)");
  append_ratio(Integer((sums.last - sums.first) * 100), sums.first, 0);
}

void SymbolWindows::append_metric(SymbolId id, std::string_view symbol_json, std::int64_t exchange_time_ms,
                                  std::string& out) noexcept {
  out.append(R"({"symbol":)");
  out.append(symbol_json);
  out.append(R"(,"trade_count":)");
  append_number(count(id), out);
  out.append(R"(,"window_size":)");
  append_number(states_[id].filled, out);
  with_sums(id, [&](const auto& sums) { append_numbers(sums, out); });
  out.append(R"(,"timestamp":")");
  char time[kIsoTimeMaxBytes];
  out.append(time, format_iso_time_ms(exchange_time_ms, time));
  out.append("\"}");
}

void SymbolWindows::for_each(SymbolId id, const std::function<void(const PriceSize&)>& visit) const {
  const Ring ring = this->ring(id);
  for (std::uint32_t i = 0; i < ring.state.filled; ++i) {
    visit(at(id, (ring.oldest() + i) % options_.window));
  }
}

void SymbolWindows::restore(SymbolId id, std::uint64_t count, std::span<const PriceSize> trades) noexcept {
  for (const PriceSize& trade : trades) {
    add(id, trade.price, trade.size);
  }
  const auto since_due = static_cast<std::uint32_t>(count % options_.every);
  states_[id].until_due = options_.every - since_due;
  counts_[id] = count - since_due;
}

}  // namespace mdpipe::stage
