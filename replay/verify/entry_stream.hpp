#pragma once
/// \file
/// One side of a comparison: trades (or metrics) one after the other, each with the key within which its order counts.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::replay {

struct Entry {
  std::string_view key;   ///< the symbol; for files, which are apart by date, the symbol and the date
  std::string_view text;  ///< as it came, but that a line break is a blank, as the store has it
};

/// What a reader saw beside the entries.
struct Finding {
  std::uint64_t count = 0;
  std::string what;
  bool is_fault = false;  ///< the target is not as it should be, whatever the comparison says
};

/// Thread safety: none.
class EntryStream {
 public:
  virtual ~EntryStream() = default;
  /// False at the end. The views are valid until the next call.
  [[nodiscard]] virtual Result<bool> next(Entry& out) = 0;
  /// Complete once next() has returned false.
  [[nodiscard]] virtual std::vector<Finding> findings() const { return {}; }
};

/// Begins it again from its first entry: a comparison that finds a difference reads both sides once more.
using OpenEntries = std::function<Result<std::unique_ptr<EntryStream>>()>;

/// Which order counts.
enum class EntryKey : std::uint8_t { symbol, symbol_and_date };

/// "SPY" or "SPY of 2013-10-07".
[[nodiscard]] std::string key_words(std::string_view key);

/// A key of the kind chosen. `scratch` holds it where it is not the symbol itself.
[[nodiscard]] std::string_view make_key(EntryKey kind, std::string_view symbol, std::int64_t exchange_time_ms,
                                        std::string& scratch);

/// The text with blanks for its line breaks; `scratch` holds it where there are any.
[[nodiscard]] std::string_view without_line_breaks(std::string_view text, std::string& scratch);

}  // namespace mdpipe::replay
