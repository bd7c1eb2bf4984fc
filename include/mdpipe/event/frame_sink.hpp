#pragma once
/// \file
/// Where a feed puts what it hears. The journal's writer is one; tests have simpler ones.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "mdpipe/event/record.hpp"
#include "mdpipe/event/symbol_table.hpp"

namespace mdpipe {

/// Readable bytes that a claim guarantees behind its payload capacity, whatever they hold: parsers may read ahead.
inline constexpr std::size_t kClaimPaddingBytes = 64;

/// The smallest text that is a trade: `{"s":"","p":0,"v":0,"t":0}`.
inline constexpr std::size_t kTradeTextMinBytes = 26;

/// Room for one frame record, written in place: payload first, then trades behind it. Nothing of it can be read by
/// anyone before FrameSink::commit(). Claiming again gives the same room anew.
class FrameClaim {
 public:
  FrameClaim() noexcept = default;
  FrameClaim(std::byte* record, std::size_t payload_capacity) noexcept
      : record_(record), payload_capacity_(payload_capacity) {}

  /// False where the sink has no room now (disk full): stop reading the socket, ask again later.
  [[nodiscard]] explicit operator bool() const noexcept { return record_ != nullptr; }

  [[nodiscard]] char* payload() const noexcept { return reinterpret_cast<char*>(record_) + sizeof(RecordHeader); }
  [[nodiscard]] std::size_t payload_capacity() const noexcept { return payload_capacity_; }

  /// Where the trades of a payload of this length go. There is room for payload_length / kTradeTextMinBytes of them.
  [[nodiscard]] Trade* trades(std::size_t payload_length) const noexcept {
    return reinterpret_cast<Trade*>(record_ + trades_offset(payload_length));
  }
  [[nodiscard]] std::byte* record() const noexcept { return record_; }

 private:
  std::byte* record_ = nullptr;
  std::size_t payload_capacity_ = 0;
};

/// What commit() needs to know of a frame that lies in its claim.
struct FrameDescription {
  std::uint32_t payload_length = 0;
  std::uint32_t trade_count = 0;
  FrameKind kind = FrameKind::trades;
  FrameReason reason = FrameReason::none;
  std::int64_t receive_time_ns = 0;
};

/// Thread safety: one thread calls it, ever (the feed's).
class FrameSink {
 public:
  virtual ~FrameSink() = default;

  /// The ids of symbols. The feed may add(); ids that are new at commit() are defined before the record that uses them.
  /// A journal has room for so many as its options say (symbols_max records of 64 bytes): who adds more, or beyond what
  /// an earlier life with a larger limit left, may find that no claim has room any more. The feed's Decoder heeds it.
  [[nodiscard]] virtual SymbolTable& symbols() noexcept = 0;

  [[nodiscard]] virtual FrameClaim claim() noexcept = 0;

  /// Makes the frame visible, whole. Sets the header and each trade's position; the caller has filled all else of the
  /// trades. Never fails: what can fail was done by claim(). Allocates nothing unless symbols are new.
  virtual void commit(const FrameClaim& claim, const FrameDescription& frame) noexcept = 0;

  /// A session event: `payload` by the feed, `text` cut at 1 KiB. False where there is no room (see claim()).
  [[nodiscard]] virtual bool append_session(SessionKind kind, const SessionPayload& payload, std::string_view text,
                                            std::int64_t time_ns) noexcept = 0;
};

}  // namespace mdpipe
