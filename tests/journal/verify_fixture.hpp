#pragma once
// What the tests of verification share: a journal with something of everything, and what verification says of it.

#include <algorithm>
#include <map>

#include "format.hpp"
#include "journal_fixture.hpp"
#include "mdpipe/journal/verify.hpp"

namespace mdpipe::journal {

inline constexpr int kFrames = 400;

/// Frames of one to three trades, now and then a session event or a symbol that is new.
inline void write_something(Writer& writer, int number) {
  if (number % 37 == 0) {
    while (!writer.append_session(SessionKind::connected, {static_cast<std::uint64_t>(number), 0, 0, 0, 0}, "hello",
                                  number)) {
      std::this_thread::yield();
    }
  }
  std::vector<std::string> trades{"A", "B", "C"};
  trades.resize(1 + static_cast<std::size_t>(number) % 3);
  if (number % 29 == 0) {
    trades.back() = "S" + std::to_string(number);
  }
  must_write_frame(writer, trades, number, static_cast<std::size_t>(number) % 100);
}

/// A journal of some segments, closed in good order, with a cursor in its first one.
inline std::filesystem::path make_journal(const TemporaryDirectory& directory, int frames = kFrames) {
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  const auto cursor = writer->register_cursor("store");
  for (int number = 1; number <= frames; ++number) {
    write_something(*writer, number);
  }
  (*cursor)->advance(make_position(1, 9));
  EXPECT_TRUE(writer->close());
  return options.directory;
}

struct Verified {
  VerifyReport report;
  std::map<Position, Seen> records;

  [[nodiscard]] std::string words() const {
    std::string all;
    for (const Damage& damage : report.damages) {
      all += damage.file.filename().string() + " at " + std::to_string(damage.offset) + ": " + damage.reason + "\n";
    }
    return all;
  }
};

/// Symbols whose definition was lost have no text.
inline Seen copy_of_known(const RecordView& record, const SymbolTable& symbols) {
  const bool known = std::all_of(record.trades().begin(), record.trades().end(),
                                 [&](const Trade& trade) { return trade.symbol_id < symbols.size(); });
  if (known) {
    return copy_of(record, symbols);
  }
  SymbolTable none;
  for (int id = 0; id < 1000; ++id) {
    none.add("?" + std::to_string(id));
  }
  Seen seen = copy_of(record, none);
  seen.trade_symbols.clear();
  return seen;
}

inline Verified verify_all(const std::filesystem::path& directory) {
  Verified verified;
  Position last = 0;
  const VerifyOptions options{.damages_max = 1000,
                              .on_record = [&](const RecordView& record, const SymbolTable& symbols) {
                                EXPECT_GT(record.position(), last);
                                last = record.last_position();
                                verified.records.emplace(record.position(), copy_of_known(record, symbols));
                              }};
  auto report = verify(directory, options);
  if (!report) {
    throw std::runtime_error(report.error().message);
  }
  verified.report = std::move(*report);
  return verified;
}

/// What was written, by a reader that met no damage.
inline std::map<Position, Seen> model_of(const std::filesystem::path& directory) {
  std::map<Position, Seen> model;
  auto reader = Reader::open(directory);
  while (const auto record = (*reader)->next()) {
    model.emplace(record->position(), copy_of(*record, (*reader)->symbols()));
  }
  EXPECT_FALSE((*reader)->failure());
  return model;
}

inline bool same(const Seen& good, const Seen& wanted) {
  Seen expected = wanted;
  if (good.trade_symbols.empty()) {
    expected.trade_symbols.clear();
  }
  return good == expected;
}

inline std::vector<std::uint64_t> begun_segments(const std::filesystem::path& directory) {
  auto indices = list_segments(directory);
  EXPECT_TRUE(indices);
  EXPECT_GE(indices->size(), 3U);
  return *indices;
}

}  // namespace mdpipe::journal
