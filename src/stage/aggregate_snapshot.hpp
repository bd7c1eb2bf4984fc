#pragma once
// Windows and counts as bytes: the payload of an aggregate's state file.
//
//     window u32 · every u32 · symbols u32 · for each: text length u32 · text · count u64 · trades u32 ·
//     for each, oldest first: price mantissa i64 · size mantissa i64 · price exponent i8 · size exponent i8 ·
//     where the source keeps a state of its own: length u32 · that
//
// Little-endian.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "symbol_windows.hpp"

namespace mdpipe::stage {

struct SavedSymbol {
  std::string text;
  std::uint64_t count = 0;
  std::vector<PriceSize> trades;
};

void begin_snapshot(const WindowOptions& options, std::uint32_t symbols, std::string& out);
void append_symbol(std::string_view text, const SymbolWindows& windows, SymbolId id, std::string& out);
void append_symbol(const SavedSymbol& symbol, std::string& out);

void end_snapshot(std::string_view source_state, std::string& out);

struct Snapshot {
  std::vector<SavedSymbol> symbols;
  std::string source_state;
};

/// ErrorCode::usage where it was made with another window or cadence; ErrorCode::data where it makes no sense.
[[nodiscard]] Result<Snapshot> read_snapshot(const WindowOptions& options, std::string_view payload,
                                             const std::string& path);

}  // namespace mdpipe::stage
