#pragma once
/// \file
/// A thread that reads, unpacks and parses the session ahead of whoever plays it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

/// Many frames in one piece of memory. Read-only once it is handed over.
struct Batch {
  struct Entry {
    std::uint32_t offset;  ///< of the text in `text`
    std::uint32_t length;
    std::uint32_t first_element;
    std::uint32_t element_count;
    std::uint32_t list_begin;
    std::uint32_t list_end;
    std::uint32_t trade_count;
    bool is_json;
    std::int64_t schedule_ns;
    std::int64_t time_ns;  ///< of its first round: see SessionFrame
  };

  std::string text;
  std::vector<Entry> entries;
  std::vector<FrameElement> elements;
  std::vector<std::string> new_symbols;  ///< those whose ids come next
  bool last = false;                     ///< nothing comes after it
  std::optional<Error> failure;          ///< the session is damaged behind these frames

  [[nodiscard]] std::string_view text_of(const Entry& entry) const noexcept {
    return std::string_view(text).substr(entry.offset, entry.length);
  }
};

/// Where whoever plays a session gets it from. Thread safety: one thread calls it.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// Null where none is ready yet.
  [[nodiscard]] virtual std::unique_ptr<Batch> pop() = 0;
  /// Gives a batch back, so that its memory is used again.
  virtual void recycle(std::unique_ptr<Batch> batch) = 0;
};

/// Thread safety: one thread calls it; `notify` is called by the reading thread.
class ReadAhead final : public BatchSource {
 public:
  /// `rounds`: how often the session is played, its times going on from round to round; 0 = without end.
  /// `notify` says that pop() may have something; it must be quick and must not call back.
  ReadAhead(SessionOptions options, std::uint64_t rounds, std::function<void()> notify);
  ~ReadAhead() override;
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  [[nodiscard]] Result<void> start();
  [[nodiscard]] std::unique_ptr<Batch> pop() override;
  void recycle(std::unique_ptr<Batch> batch) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::replay
