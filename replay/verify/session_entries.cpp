#include "replay/verify/session_entries.hpp"

#include <cstring>
#include <utility>

#include "mdpipe/feed/decoder.hpp"
#include "replay/kafka/record_ring.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kRingBytes = 4U << 20U;
constexpr std::size_t kUsualFrameBytes = 512U << 10U;
constexpr std::size_t kSymbolRecordsMax = 40'000'000;  // a session may have more symbols than a feed
constexpr std::size_t kOutboxSlots = 1U << 10U;

class SessionEntries final : public EntryStream {
 public:
  explicit SessionEntries(EntryKey key) : key_(key) {}

  Result<void> open(const SessionOptions& session) {
    auto source = open_sessions(session, symbols_);
    if (!source) {
      return tl::unexpected(source.error());
    }
    source_ = std::move(*source);
    return {};
  }

  Result<bool> next(Entry& out) override {
    while (true) {
      for (; at_ < frame_.shape.elements.size(); ++at_) {
        const FrameElement& element = frame_.shape.elements[at_];
        if (!element.is_trade) {
          continue;
        }
        out.key = make_key(key_, symbols_.text(element.symbol), element.exchange_time_ms, key_scratch_);
        out.text = without_line_breaks(frame_.text.substr(element.offset, element.length), text_scratch_);
        ++at_;
        return true;
      }
      at_ = 0;
      frame_.shape.elements.clear();
      auto more = source_->next(frame_);
      if (!more || !*more) {
        return more;
      }
    }
  }

 private:
  const EntryKey key_;
  SymbolTable symbols_;
  std::unique_ptr<FrameSource> source_;
  SessionFrame frame_;
  std::size_t at_ = 0;
  std::string key_scratch_;
  std::string text_scratch_;
};

class MetricsEntries final : public EntryStream {
 public:
  explicit MetricsEntries(const stage::AggregateOptions& options)
      : ring_(kRingBytes),
        decoder_(kUsualFrameBytes, kSymbolRecordsMax),
        outbox_(stage::Outbox::make()),
        aggregate_(stage::Aggregate::make(options, outbox_->port(kOutboxSlots))) {}

  Result<void> open(const SessionOptions& session) {
    auto source = open_sessions(session, session_symbols_);
    if (!source) {
      return tl::unexpected(source.error());
    }
    source_ = std::move(*source);
    (void)aggregate_->resume_after();  // from the beginning: it keeps no state
    return {};
  }

  Result<bool> next(Entry& out) override {
    while (true) {
      if (const stage::OutboxMessage* const message = outbox_->take(); message != nullptr) {
        key_ = message->key;
        text_ = message->value;
        outbox_->acknowledge(message);
        out = {key_, text_};
        return true;
      }
      if (record_) {
        if (aggregate_->on_record(*record_, symbols_) == Uptake::taken) {
          ring_.release(record_->last_position());
          record_.reset();
        }
        continue;
      }
      SessionFrame frame;
      auto more = source_->next(frame);
      if (!more || !*more) {
        return more;
      }
      if (frame.is_json && frame.shape.trade_count != 0) {
        decode(frame.text);
      }
    }
  }

 private:
  void decode(std::string_view text) {
    const FrameClaim claim = ring_.claim(text.size());  // nothing is held: there is room
    std::memcpy(claim.payload(), text.data(), text.size());
    std::memset(claim.payload() + text.size(), 0, kClaimPaddingBytes);
    const feed::DecodeResult decoded = decoder_.decode(claim, text.size(), symbols_);
    Trade* const trades = claim.trades(text.size());
    const Position first = position_ + 2;  // the frame has one too
    for (std::uint32_t i = 0; i < decoded.trade_count; ++i) {
      trades[i].position = first + i;
    }
    position_ = first + decoded.trade_count - 1;
    record_ = ring_.commit(claim, text.size(), decoded.trade_count, first, 0);
  }

  SymbolTable session_symbols_;
  SymbolTable symbols_;  // of the trades alone, as the decoder adds them
  std::unique_ptr<FrameSource> source_;
  RecordRing ring_;
  feed::Decoder decoder_;
  std::unique_ptr<stage::Outbox> outbox_;
  std::unique_ptr<stage::Aggregate> aggregate_;
  std::optional<RecordView> record_;  // not taken yet
  Position position_ = 0;
  std::string key_;
  std::string text_;
};

template <class Entries>
Result<std::unique_ptr<EntryStream>> opened(std::unique_ptr<Entries> entries, const SessionOptions& session) {
  if (auto done = entries->open(session); !done) {
    return tl::unexpected(done.error());
  }
  return entries;
}

}  // namespace

Result<std::unique_ptr<EntryStream>> open_session_entries(const SessionOptions& session, EntryKey key) {
  return opened(std::make_unique<SessionEntries>(key), session);
}

Result<std::unique_ptr<EntryStream>> open_metrics_entries(const SessionOptions& session,
                                                          const stage::AggregateOptions& aggregate) {
  return opened(std::make_unique<MetricsEntries>(aggregate), session);
}

}  // namespace mdpipe::replay
