#include "replay/convert/converter.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/base64.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/wiring/text.hpp"
#include "replay/session/byte_source.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kChunkBytes = 256U << 10U;
constexpr std::size_t kUntimedMaxBytes = 16U << 20U;  // of frames before anything tells a time

class Converter {
 public:
  Converter(SessionFormat format, ByteSink& sink) : format_(format), sink_(sink) {}

  Result<void> take(const SessionFrame& frame) {
    switch (format_) {
      case SessionFormat::trade:
        append_trades(frame);
        break;
      case SessionFormat::frame:
        append_frame(frame);
        break;
      case SessionFormat::capture:
        append_capture(frame);
        break;
    }
    return chunk_.size() >= kChunkBytes ? flush() : Result<void>();
  }

  Result<ConvertReport> finish() {
    append_untimed(0);  // nothing has told a time
    if (auto flushed = flush(); !flushed) {
      return tl::unexpected(flushed.error());
    }
    if (auto finished = sink_.finish(); !finished) {
      return tl::unexpected(finished.error());
    }
    return report_;
  }

 private:
  Result<void> flush() {
    auto written = sink_.write(chunk_);
    chunk_.clear();
    return written ? sink_.mark(schedule_ns_) : written;
  }

  void append_line(std::string_view text) {
    const std::size_t begin = chunk_.size();
    chunk_.append(text);
    std::replace_if(
        chunk_.begin() + static_cast<std::ptrdiff_t>(begin), chunk_.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
    chunk_ += '\n';
    ++report_.lines;
  }

  void note_exchange_time(const FrameElement& element) {
    if (element.is_trade) {
      schedule_ns_ = std::max(schedule_ns_, element.exchange_time_ms * kNanosecondsPerMillisecond);
    }
  }

  void append_trades(const SessionFrame& frame) {
    report_.frames_left_out += frame.shape.trade_count == 0 ? 1U : 0U;
    for (const FrameElement& element : frame.shape.elements) {
      if (element.is_trade) {
        append_line(frame.text.substr(element.offset, element.length));
        note_exchange_time(element);
        ++report_.trades;
      } else {
        ++report_.elements_left_out;
      }
    }
  }

  void append_frame(const SessionFrame& frame) {
    if (!frame.is_json) {
      ++report_.frames_left_out;
      return;
    }
    report_.trades += frame.shape.trade_count;
    append_line(frame.text);
    for (const FrameElement& element :
         frame.shape.elements) {  // those that are left: a filter may have taken the latest
      note_exchange_time(element);
    }
  }

  /// The part of a capture line that follows its time.
  static std::string capture_rest(const SessionFrame& frame) {
    return frame.is_json ? fmt::format(R"(,"frame":{}}})", frame.text)
                         : fmt::format(R"(,"raw":"{}"}})", base64_encode(frame.text));
  }

  void append_capture(const SessionFrame& frame) {
    report_.trades += frame.shape.trade_count;
    report_.times_made_up += frame.receive_time_ns ? 0U : 1U;
    const std::int64_t time_ns = frame.receive_time_ns.value_or(frame.schedule_ns);
    if (time_ns == kNoTime && untimed_bytes_ < kUntimedMaxBytes) {
      untimed_.push_back(capture_rest(frame));
      untimed_bytes_ += untimed_.back().size();
      return;
    }
    append_untimed(time_ns == kNoTime ? 0 : time_ns);
    schedule_ns_ = std::max(schedule_ns_, time_ns);
    append_line(fmt::format(R"({{"recv_ns":{}{})", time_ns == kNoTime ? 0 : time_ns, capture_rest(frame)));
  }

  /// What came before anything told a time: at once, when the first does.
  void append_untimed(std::int64_t time_ns) {
    for (const std::string& rest : std::exchange(untimed_, {})) {
      append_line(fmt::format(R"({{"recv_ns":{}{})", time_ns, rest));
    }
  }

  const SessionFormat format_;
  ByteSink& sink_;
  std::string chunk_;
  std::vector<std::string> untimed_;
  std::size_t untimed_bytes_ = 0;
  std::int64_t schedule_ns_ = kNoTime;  // of what is written, as a reader of it has it
  ConvertReport report_;
};

}  // namespace

Result<ConvertReport> convert_session(const SessionOptions& session, SessionFormat format,
                                      const std::filesystem::path& path) {
  SymbolTable symbols;
  auto source = open_sessions(session, symbols);
  if (!source) {
    return tl::unexpected(source.error());
  }
  auto sink = ByteSink::create(path);
  if (!sink) {
    return tl::unexpected(sink.error());
  }
  Converter converter(format, **sink);
  SessionFrame frame;
  while (true) {
    const auto more = (*source)->next(frame);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more) {
      return converter.finish();
    }
    if (auto taken = converter.take(frame); !taken) {
      return tl::unexpected(taken.error());
    }
  }
}

std::string to_text(const ConvertReport& report) {
  using wiring::grouped_text;
  std::string text = fmt::format("{} lines, {} trades", grouped_text(report.lines), grouped_text(report.trades));
  for (const auto& [count, what] :
       {std::pair(report.frames_left_out, "frames without a place in this format left out"),
        std::pair(report.elements_left_out, "elements that are no trades left out"),
        std::pair(report.times_made_up, "frames without a receive time given the exchange's")}) {
    if (count != 0) {
      text += fmt::format("; {} {}", grouped_text(count), what);
    }
  }
  return text;
}

}  // namespace mdpipe::replay
