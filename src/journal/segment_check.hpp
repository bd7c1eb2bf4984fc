#pragma once
// The records of one segment, each held against everything that a writer promises of it. Goes on behind damage.

#include <cstdint>
#include <optional>
#include <string>

#include "mdpipe/event/symbol_table.hpp"
#include "mdpipe/journal/verify.hpp"
#include "segment_image.hpp"

namespace mdpipe::journal {

/// Where verification writes what it finds.
class Findings {
 public:
  Findings(VerifyReport& report, const VerifyOptions& options) noexcept : report_(report), options_(options) {}

  void damage(const std::filesystem::path& file, std::uint64_t offset, std::string reason);
  /// Takes back all but the first `count` damages.
  void take_back(std::uint64_t count);
  void note(std::string words) { report_.notes.push_back(std::move(words)); }
  void record(const RecordView& record, const SymbolTable& symbols) const {
    if (options_.on_record) {
      options_.on_record(record, symbols);
    }
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return report_.damages_count; }

 private:
  VerifyReport& report_;
  const VerifyOptions& options_;
};

/// What is known of the symbols: all of them, or those before the first that damage has taken.
struct KnownSymbols {
  SymbolTable table;
  bool complete = true;
};

class SegmentCheck {
 public:
  enum class End : std::uint8_t {
    open,    ///< a commit word of 0
    closed,  ///< a roll record
    torn,    ///< damage, with nothing whole behind it
  };

  /// `header`: the image's, judged.
  SegmentCheck(SegmentImage& image, const SegmentHeader& header, SegmentReport& report, KnownSymbols& symbols,
               Findings& findings);

  /// Whether a record with a position, or an end, is in the segment, of whatever epoch.
  [[nodiscard]] bool has_records() { return find_whole(kHeaderBytes, &SegmentCheck::is_record).has_value(); }

  /// From where it stands to the end.
  [[nodiscard]] End run();

  /// Behind End::open, once it is known that the next segment is begun: reads again what lies there.
  [[nodiscard]] End run_again() {
    image_.forget(report_.end_offset);
    return run();
  }

  /// Behind End::open: whole records behind a commit word of 0 that stays. Damage; goes on behind it.
  [[nodiscard]] End look_behind();

  /// At the end, whichever.
  void finish();

  [[nodiscard]] Position position() const noexcept { return position_; }
  [[nodiscard]] std::int64_t time_ns() const noexcept { return time_ns_; }
  [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }

 private:
  /// Bounds and checksum of what stands at `offset`; null where all is well.
  [[nodiscard]] const char* judge(std::uint64_t offset);
  [[nodiscard]] std::optional<End> step();
  [[nodiscard]] std::optional<End> skip(const char* wrong);
  [[nodiscard]] bool may_follow(std::uint64_t offset);
  [[nodiscard]] bool is_record(std::uint64_t offset);
  [[nodiscard]] std::optional<std::uint64_t> find_whole(std::uint64_t from,
                                                        bool (SegmentCheck::*accept)(std::uint64_t));
  void take(const RecordView& record);
  void take_restated(const RecordView& record);
  void define(const RecordView& record);
  void judge_roll(const RecordView& record);
  [[nodiscard]] std::string judge_position(const RecordView& record) const;
  [[nodiscard]] std::string judge_meaning(const RecordView& record) const;
  [[nodiscard]] std::string judge_frame(const RecordView& record) const;
  [[nodiscard]] std::string judge_trade(const RecordView& record, std::size_t which) const;
  [[nodiscard]] std::string judge_symbol(const RecordView& record) const;
  [[nodiscard]] static std::string lost(Position from, Position to);
  void damage(std::string reason) { findings_.damage(image_.path(), report_.end_offset, std::move(reason)); }

  SegmentImage& image_;
  SegmentReport& report_;  // end_offset: where the check stands
  KnownSymbols& symbols_;
  Findings& findings_;
  const SegmentHeader header_;
  const std::uint32_t seed_;

  Position position_;  // last_position() of the last record
  Position expected_;
  std::int64_t time_ns_;
  std::uint64_t connections_;
  std::uint32_t restated_ = 0;
  bool in_head_ = true;   // no record with a position yet
  bool skipped_ = false;  // over damage
  bool cut_in_head_ = false;
};

}  // namespace mdpipe::journal
