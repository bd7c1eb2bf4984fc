#pragma once
/// \file
/// Sessions made up from a seed: the same options give the same bytes, everywhere.
///
/// Unless `plain`, they hold what recorded sessions have too seldom to test with: prints out of order, size 0, frames
/// delivered three times, a midnight (UTC) in the middle, keys in any order, blanks, escapes in symbols, `c` absent,
/// null, empty or full, exponents, unknown keys, `type` before `data`, pings, errors and news between, identical prints
/// in a frame, receive times before the exchange's. From nine symbols on each of three Kafka partitions has several.
///
/// With a profile they are like a market: how often a symbol trades follows Zipf's law, trades come in bursts whose
/// sizes and distances have heavy tails (each doubling half as often), prices walk on ticks, some prints are late.
///   stocks  odd lots, condition codes, prices between the ticks
///   crypto  "EXCHANGE:PAIR", sizes of many digits, no conditions
///   storm   both, and everything that is odd

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "replay/generate/random.hpp"
#include "replay/session/session.hpp"
#include "replay/session/session_format.hpp"

namespace mdpipe::replay {

enum class Profile : std::uint8_t { none, stocks, crypto, storm };

struct GenerateOptions {
  std::uint64_t symbols = 12;
  std::uint64_t trades = 10'000;  ///< all of them, those of frames delivered three times too
  std::uint64_t seed = 1;
  SessionFormat format = SessionFormat::capture;
  bool plain = false;  ///< without a profile: none of the oddities
  Profile profile = Profile::none;
};

/// The symbols that a session of so many is made of, those with the most trades first.
[[nodiscard]] std::vector<std::string> generated_symbols(std::uint64_t count, Profile profile = Profile::none);

/// Thread safety: none.
class Generator {
 public:
  explicit Generator(const GenerateOptions& options);

  /// Appends the next lines (those of one frame) to `out`. False where the session is complete.
  [[nodiscard]] bool next(std::string& out);

  /// The schedule of the session so far.
  [[nodiscard]] std::int64_t schedule_ns() const noexcept { return schedule_ns_; }

 private:
  struct Instrument {
    std::string symbol;
    bool crypto;
    std::int64_t price_ticks;  // of 0.01
  };
  struct Print {
    std::string conditions;  // the value of "c"; empty: the key is absent
    std::string price;
    std::string size;
    std::string symbol;  // in quotes
    std::int64_t time_ms;
  };

  void advance_time();
  void advance_in_bursts();
  std::uint64_t doubled(int doublings_max);
  void weigh_instruments();
  Instrument& pick_instrument();
  Print make_print();
  std::string price_text(Instrument& instrument);
  void size_and_conditions(const Instrument& instrument, Print& print);
  std::string symbol_text(const std::string& symbol);
  void append_trade(const Print& print, std::string& out);
  void append_frame(const std::vector<std::string>& trades, std::string& out);
  void append_line(std::string_view frame, std::string& out);
  void append_other_message(std::string& out);
  const char* blank();
  /// Chance, of what only sessions with oddities have.
  bool odd(std::uint64_t one_in) { return odd_ && random_.one_in(one_in); }

  const GenerateOptions options_;
  const bool odd_;
  Random random_;
  std::vector<Instrument> instruments_;
  std::vector<std::uint64_t> weights_;  // of a profile: of this instrument and all before it
  std::uint64_t burst_frames_ = 0;      // of a profile: still to come
  std::uint64_t trades_made_ = 0;
  std::int64_t now_ns_;  // receive time
  std::int64_t midnight_ns_;
  std::int64_t schedule_ns_ = kNoTime;
  std::int64_t latest_exchange_ms_ = 0;
  bool spaced_ = false;  // this frame has blanks in it
  std::vector<std::string> frame_trades_;
  std::string frame_;
};

/// The whole session into a file, packed as its name says; "-" = stdout.
[[nodiscard]] Result<void> write_session(const GenerateOptions& options, const std::filesystem::path& path);

}  // namespace mdpipe::replay
