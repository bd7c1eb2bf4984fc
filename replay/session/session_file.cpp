#include "replay/session/session_file.hpp"

#include <charconv>
#include <utility>

#include "mdpipe/base/base64.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::string_view kWrapBegin = R"({"data":[)";
constexpr std::string_view kWrapEnd = R"(],"type":"trade"})";
constexpr std::string_view kBlanks = " \t\r\n";

std::string_view stripped(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view()
                                         : line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

/// The first key of an object, where it can be had for nothing.
bool begins_like_capture(std::string_view line) {
  if (line.starts_with(R"({"data")")) {
    return false;
  }
  JsonScanner scanner(line);
  JsonScanner::String key;
  return scanner.take('{') && scanner.string(key) && (key.raw == "recv_ns" || key.raw == "frame" || key.raw == "raw");
}

/// Where the parts of a capture line lie.
struct Capture {
  std::optional<std::int64_t> receive_time_ns;
  std::string_view frame;
  std::optional<JsonScanner::String> raw;
  bool malformed = false;
  std::string_view wrong;  // well-formed, but not what a capture line holds
};

bool read_time(JsonScanner& scanner, Capture& out) {
  JsonScanner::Number number;
  const char next = scanner.peek();
  if (next != '-' && (next < '0' || next > '9')) {
    out.wrong = "recv_ns is no integer of nanoseconds";
    return scanner.skip_value();
  }
  if (!scanner.number(number)) {
    return false;
  }
  std::int64_t value = 0;
  const char* const end = number.text.data() + number.text.size();
  if (!number.integer || std::from_chars(number.text.data(), end, value).ec != std::errc()) {
    out.wrong = "recv_ns is no integer of nanoseconds";
  }
  out.receive_time_ns = value;
  return true;
}

/// `parse_frame` is called with the scanner at the frame.
template <class ParseFrame>
Capture split_capture(std::string_view line, ParseFrame&& parse_frame) {
  Capture out;
  JsonScanner scanner(line);
  const auto walk = [&] {
    if (!scanner.take('{')) {
      return false;
    }
    do {
      JsonScanner::String key;
      if (!scanner.string(key) || !scanner.take(':')) {
        return false;
      }
      if (key.raw == "recv_ns" && !out.receive_time_ns) {
        if (!read_time(scanner, out)) {
          return false;
        }
      } else if (key.raw == "frame" && out.frame.empty()) {
        scanner.skip_blanks();
        const std::size_t begin = scanner.offset();
        if (!parse_frame(scanner, begin)) {
          return false;
        }
        out.frame = scanner.since(begin);
      } else if (key.raw == "raw" && !out.raw && scanner.peek() == '"') {
        if (!scanner.string(out.raw.emplace())) {
          return false;
        }
      } else if (key.raw == "recv_ns" || key.raw == "frame" || key.raw == "raw") {
        out.wrong = "a key comes twice, or raw is no text";
        return true;
      } else if (!scanner.skip_value()) {
        return false;
      }
    } while (scanner.take(','));
    return scanner.take('}') && scanner.at_end();
  };
  out.malformed = !walk();
  if (out.wrong.empty() && !out.receive_time_ns) {
    out.wrong = "a capture line without recv_ns";
  }
  if (out.wrong.empty() && out.frame.empty() != out.raw.has_value()) {
    out.wrong = "a capture line must hold one of frame and raw";
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<SessionFile>> SessionFile::open(const std::filesystem::path& path, SymbolTable& symbols,
                                                       std::shared_ptr<SkippedLines> skipped,
                                                       std::optional<std::int64_t> from_ns) {
  const auto start = from_ns ? find_seek_start(path, *from_ns) : std::nullopt;
  auto lines = LineReader::open(path, start);
  if (!lines) {
    return tl::unexpected(lines.error());
  }
  std::unique_ptr<SessionFile> file(new SessionFile(std::move(*lines), symbols, path, std::move(skipped)));
  if (start) {
    file->timeline_.begin_at(start->schedule_ns);
  }
  return file;
}

Result<bool> SessionFile::next(SessionFrame& out) {
  std::string_view line;
  while (true) {
    auto more = lines_.next(line);
    if (!more || !*more) {
      return more;
    }
    if (line.find_first_not_of(kBlanks) == std::string_view::npos) {
      continue;
    }
    if (auto read = read_line(line, out); !read) {
      if (skipped_ == nullptr) {
        return tl::unexpected(read.error());
      }
      skipped_->add(path_.string(), lines_.line_number(), read.error().message);
      continue;
    }
    timeline_.stamp(out);
    return true;
  }
}

Result<void> SessionFile::read_line(std::string_view line, SessionFrame& out) {
  if (!is_utf8(line)) {
    return tl::unexpected(lines_.damaged("not UTF-8: damaged, or not a session"));
  }
  out.receive_time_ns.reset();
  out.is_json = true;
  if (begins_like_capture(line)) {
    return read_capture(line, out);
  }
  out.text = line;
  if (!parser_.parse(line, out.shape)) {
    return tl::unexpected(lines_.damaged("not JSON: damaged, or not a session"));
  }
  if (parser_.met_capture_key()) {
    return read_capture(line, out);
  }
  return parser_.met_type() ? Result<void>() : read_trade(line, out);
}

Result<void> SessionFile::read_trade(std::string_view line, SessionFrame& out) {
  const std::string_view trade = stripped(line);
  FrameElement element{};
  if (!parser_.parse_trade(trade, element)) {
    return tl::unexpected(lines_.damaged(
        "neither a trade, nor a frame of the venue (no \"type\"), nor a capture line: damaged, or not a session"));
  }
  text_.assign(kWrapBegin).append(trade).append(kWrapEnd);
  element.offset = static_cast<std::uint32_t>(kWrapBegin.size());
  element.length = static_cast<std::uint32_t>(trade.size());
  out.text = text_;
  out.shape.clear();
  out.shape.kind = FrameKind::trades;
  out.shape.trade_count = 1;
  out.shape.list_begin = element.offset;
  out.shape.list_end = element.offset + element.length;
  out.shape.latest_exchange_ms = element.exchange_time_ms;
  out.shape.elements.push_back(element);
  return {};
}

Result<void> SessionFile::read_capture(std::string_view line, SessionFrame& out) {
  const Capture capture = split_capture(
      line, [&](JsonScanner& scanner, std::size_t begin) { return parser_.parse(scanner, begin, out.shape); });
  if (capture.malformed) {
    return tl::unexpected(lines_.damaged("not JSON: damaged, or not a session"));
  }
  if (!capture.wrong.empty()) {
    return tl::unexpected(lines_.damaged(capture.wrong));
  }
  out.receive_time_ns = capture.receive_time_ns;
  out.text = capture.frame;
  if (capture.raw) {
    out.is_json = false;
    out.shape.clear();
    auto raw = capture.raw->escaped ? std::nullopt : base64_decode(capture.raw->raw);
    if (!raw) {
      return tl::unexpected(lines_.damaged("raw is not base64"));
    }
    text_ = std::move(*raw);
    out.text = text_;
  }
  return {};
}

}  // namespace mdpipe::replay
