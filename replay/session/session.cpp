#include "replay/session/session.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "replay/session/journal_source.hpp"
#include "replay/session/session_file.hpp"

namespace mdpipe::replay {
namespace {

/// Several sources as one: always the frame with the lowest schedule; of equals the one whose source was named first.
class MergedSource final : public FrameSource {
 public:
  explicit MergedSource(std::vector<std::unique_ptr<FrameSource>> sources) {
    for (auto& source : sources) {
      heads_.push_back({std::move(source), {}, false});
    }
  }

  Result<bool> next(SessionFrame& out) override {
    if (last_ != nullptr) {  // its text was in use until now
      if (auto moved = move_on(*last_); !moved) {
        return tl::unexpected(moved.error());
      }
    } else if (auto begun = begin(); !begun) {
      return tl::unexpected(begun.error());
    }
    last_ = nullptr;
    for (Head& head : heads_) {
      if (head.there && (last_ == nullptr || head.frame.schedule_ns < last_->frame.schedule_ns)) {
        last_ = &head;
      }
    }
    if (last_ == nullptr) {
      return false;
    }
    out = last_->frame;
    return true;
  }

 private:
  struct Head {
    std::unique_ptr<FrameSource> source;
    SessionFrame frame;
    bool there;
  };

  static Result<void> move_on(Head& head) {
    auto more = head.source->next(head.frame);
    if (!more) {
      return tl::unexpected(more.error());
    }
    head.there = *more;
    return {};
  }

  Result<void> begin() {
    for (Head& head : heads_) {
      if (auto moved = move_on(head); !moved) {
        return moved;
      }
    }
    return {};
  }

  std::vector<Head> heads_;
  Head* last_ = nullptr;
};

/// Leaves out frames by time, and trades by symbol.
class FilteredSource final : public FrameSource {
 public:
  FilteredSource(std::unique_ptr<FrameSource> source, const SessionOptions& options, SymbolTable& symbols)
      : source_(std::move(source)),
        symbols_(symbols),
        from_ns_(options.from_ns),
        to_ns_(options.to_ns),
        wanted_(options.symbols.begin(), options.symbols.end()) {}

  Result<bool> next(SessionFrame& out) override {
    while (true) {
      auto more = source_->next(out);
      if (!more || !*more) {
        return more;
      }
      const bool too_early = from_ns_ && out.time_ns < *from_ns_;
      const bool too_late = to_ns_ && out.time_ns >= *to_ns_;
      if (!too_early && !too_late && (wanted_.empty() || trim(out))) {
        return true;
      }
    }
  }

 private:
  bool wants(SymbolId symbol) {
    while (by_id_.size() <= symbol) {
      const std::string_view text = symbols_.text(static_cast<SymbolId>(by_id_.size()));
      by_id_.push_back(wanted_.contains(std::string(text)));
    }
    return by_id_[symbol];
  }

  /// False where nothing of a frame with trades is left.
  bool trim(SessionFrame& out) {
    FrameShape& shape = out.shape;
    const auto unwanted = [this](const FrameElement& element) {
      return element.symbol != SymbolTable::kNone && !wants(element.symbol);
    };
    if (std::none_of(shape.elements.begin(), shape.elements.end(), unwanted)) {
      return true;
    }
    std::vector<FrameElement> kept;
    if (!trim_frame(
            out.text, shape.list_begin, shape.list_end, shape.elements.data(), shape.elements.size(),
            [this](SymbolId symbol) { return wants(symbol); }, text_, &kept)) {
      return false;
    }
    shape.list_end = static_cast<std::uint32_t>(text_.size() - (out.text.size() - shape.list_end));
    out.text = text_;
    shape.elements = std::move(kept);
    shape.settle_kind();
    return true;
  }

  std::unique_ptr<FrameSource> source_;
  SymbolTable& symbols_;
  std::optional<std::int64_t> from_ns_;
  std::optional<std::int64_t> to_ns_;
  std::unordered_set<std::string> wanted_;
  std::vector<bool> by_id_;
  std::string text_;
};

Result<std::unique_ptr<FrameSource>> open_one(const std::filesystem::path& path, const SessionOptions& options,
                                              SymbolTable& symbols) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return JournalSource::open(path, symbols, options.skipped, options.from_ns);
  }
  return SessionFile::open(path, symbols, options.skipped, options.from_ns);
}

}  // namespace

Result<std::unique_ptr<FrameSource>> open_sessions(const SessionOptions& options, SymbolTable& symbols) {
  if (options.paths.empty()) {
    return fail(ErrorCode::usage, "no session is named");
  }
  std::vector<std::unique_ptr<FrameSource>> files;
  for (const auto& path : options.paths) {
    auto file = open_one(path, options, symbols);
    if (!file) {
      return tl::unexpected(file.error());
    }
    files.push_back(std::move(*file));
  }
  std::unique_ptr<FrameSource> source =
      files.size() == 1 ? std::move(files.front()) : std::make_unique<MergedSource>(std::move(files));
  if (options.from_ns || options.to_ns || !options.symbols.empty()) {
    source = std::make_unique<FilteredSource>(std::move(source), options, symbols);
  }
  return source;
}

}  // namespace mdpipe::replay
