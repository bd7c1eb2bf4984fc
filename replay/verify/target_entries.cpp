#include "replay/verify/target_entries.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/journal/reader.hpp"
#include "replay/session/frame_parser.hpp"
#include "replay/session/line_reader.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kFilePrefix = "trades_";

bool wants(const WantedSymbols& wanted, std::string_view symbol) {
  return wanted.empty() || wanted.contains(std::string(symbol));
}

std::string_view stripped(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view()
                                         : line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

class JournalEntries final : public EntryStream {
 public:
  JournalEntries(std::unique_ptr<journal::Reader> reader, const WantedSymbols& wanted)
      : reader_(std::move(reader)), wanted_(wanted) {}

  Result<bool> next(Entry& out) override {
    while (true) {
      while (record_ && at_ < record_->trades().size()) {
        const Trade& trade = record_->trades()[at_++];
        const std::string_view symbol = reader_->symbols().text(trade.symbol_id);
        if (wants(wanted_, symbol)) {
          out.key = symbol;
          out.text = without_line_breaks(record_->text(trade), scratch_);
          return true;
        }
      }
      reader_->release(reader_->position());
      record_ = reader_->next();
      at_ = 0;
      if (record_) {
        continue;
      }
      if (reader_->failure()) {
        return tl::unexpected(*reader_->failure());
      }
      for (const journal::Skip& skip : reader_->take_skips()) {
        damage_.push_back({1, to_string(skip), true});
      }
      return false;
    }
  }

  [[nodiscard]] std::vector<Finding> findings() const override { return damage_; }

 private:
  std::unique_ptr<journal::Reader> reader_;
  const WantedSymbols& wanted_;
  std::optional<RecordView> record_;
  std::size_t at_ = 0;
  std::vector<Finding> damage_;
  std::string scratch_;
};

/// Lines of one file after the other.
class FileLines {
 public:
  explicit FileLines(std::vector<std::filesystem::path> files) : files_(std::move(files)) {}

  /// The next line that is not blank; false at the end of the last file.
  Result<bool> next(std::string_view& line) {
    while (true) {
      if (!reader_) {
        if (opened_ == files_.size()) {
          return false;
        }
        auto reader = LineReader::open(files_[opened_]);
        if (!reader) {
          return tl::unexpected(reader.error());
        }
        reader_.emplace(std::move(*reader));
        ++opened_;
      }
      auto more = reader_->next(line);
      if (!more) {
        return more;
      }
      if (!*more) {
        reader_.reset();
        continue;
      }
      line = stripped(line);
      if (!line.empty()) {
        return true;
      }
    }
  }

  [[nodiscard]] std::string place() const {
    return fmt::format("{}:{}", files_[opened_ - 1].string(), reader_->line_number());
  }
  [[nodiscard]] const std::filesystem::path& file() const { return files_[opened_ - 1]; }
  [[nodiscard]] std::size_t count() const noexcept { return files_.size(); }

 private:
  std::vector<std::filesystem::path> files_;
  std::size_t opened_ = 0;
  std::optional<LineReader> reader_;
};

/// Counts something, and remembers where it came first.
struct Fault {
  std::uint64_t count = 0;
  std::string first;

  void add(std::string where) {
    if (count++ == 0) {
      first = std::move(where);
    }
  }
  void tell(std::string_view what, std::vector<Finding>& out) const {
    if (count != 0) {
      out.push_back({count, fmt::format("{}, first at {}", what, first), true});
    }
  }
};

class StoreEntries final : public EntryStream {
 public:
  StoreEntries(std::vector<std::filesystem::path> files, bool dated, const WantedSymbols& wanted)
      : lines_(std::move(files)), dated_(dated), wanted_(wanted), parser_(symbols_) {}

  Result<bool> next(Entry& out) override {
    std::string_view line;
    while (true) {
      auto more = lines_.next(line);
      if (!more || !*more) {
        return more;
      }
      FrameElement trade{};
      if (!is_utf8(line) || !parser_.parse_trade(line, trade)) {
        torn_.add(lines_.place());
        continue;
      }
      const std::string_view symbol = symbols_.text(trade.symbol);
      if (!wants(wanted_, symbol)) {
        continue;
      }
      out.key = make_key(EntryKey::symbol_and_date, symbol, trade.exchange_time_ms, key_);
      out.text = without_line_breaks(line, text_);
      if (dated_ && !is_of_the_files_date(out.key)) {
        misfiled_.add(lines_.place());
      }
      return true;
    }
  }

  [[nodiscard]] std::vector<Finding> findings() const override {
    std::vector<Finding> all = {{lines_.count(), lines_.count() == 1 ? "file" : "files", false}};
    torn_.tell("lines that are no trade", all);
    misfiled_.tell("trades in the file of another date", all);
    return all;
  }

 private:
  /// The key ends with the date that the file's name has behind its prefix.
  [[nodiscard]] bool is_of_the_files_date(std::string_view key) {
    if (&lines_.file() != dated_file_) {
      dated_file_ = &lines_.file();
      const std::string name = dated_file_->filename().string().substr(kFilePrefix.size());
      date_ = name.substr(0, name.find('.'));
    }
    return key.ends_with(date_);
  }

  FileLines lines_;
  const bool dated_;
  const WantedSymbols& wanted_;
  SymbolTable symbols_;
  FrameParser parser_;
  Fault torn_;
  Fault misfiled_;
  const std::filesystem::path* dated_file_ = nullptr;
  std::string date_;
  std::string key_;
  std::string text_;
};

/// Lines of a log or of metrics: `text` of each that is an entry.
class LogEntries final : public EntryStream {
 public:
  LogEntries(const std::filesystem::path& path, const WantedSymbols& wanted)
      : lines_({path}), wanted_(wanted), parser_(symbols_) {}

  Result<bool> next(Entry& out) override {
    while (true) {
      for (; at_ < shape_.elements.size();) {
        const FrameElement& element = shape_.elements[at_++];
        if (element.is_trade && wants(wanted_, symbols_.text(element.symbol))) {
          out.key = symbols_.text(element.symbol);
          out.text = without_line_breaks(frame_.substr(element.offset, element.length), scratch_);
          return true;
        }
      }
      at_ = 0;
      shape_.clear();
      std::string_view line;
      auto more = lines_.next(line);
      if (!more || !*more) {
        return more;
      }
      constexpr std::string_view kFrame = R"(,"event":"frame","frame":)";
      if (const std::size_t begin = line.find(kFrame); begin != std::string_view::npos && line.ends_with('}')) {
        frame_ = line.substr(begin + kFrame.size());
        frame_.remove_suffix(1);
        if (!parser_.parse(frame_, shape_)) {
          broken_.add(lines_.place());
          shape_.clear();
        }
      } else if (line.find(R"(,"event":")") == std::string_view::npos) {
        broken_.add(lines_.place());
      }
    }
  }

  [[nodiscard]] std::vector<Finding> findings() const override {
    std::vector<Finding> all;
    broken_.tell("lines that are not of such a log", all);
    return all;
  }

 private:
  FileLines lines_;
  const WantedSymbols& wanted_;
  SymbolTable symbols_;
  FrameParser parser_;
  std::string_view frame_;
  FrameShape shape_;
  std::size_t at_ = 0;
  Fault broken_;
  std::string scratch_;
};

class MetricsFileEntries final : public EntryStream {
 public:
  MetricsFileEntries(const std::filesystem::path& path, const WantedSymbols& wanted)
      : lines_({path}), wanted_(wanted) {}

  Result<bool> next(Entry& out) override {
    std::string_view line;
    while (true) {
      auto more = lines_.next(line);
      if (!more || !*more) {
        return more;
      }
      if (!read_symbol(line)) {
        broken_.add(lines_.place());
      } else if (wants(wanted_, symbol_)) {
        out = {symbol_, line};
        return true;
      }
    }
  }

  [[nodiscard]] std::vector<Finding> findings() const override {
    std::vector<Finding> all;
    broken_.tell("lines that are no metrics", all);
    return all;
  }

 private:
  bool read_symbol(std::string_view line) {
    JsonScanner scanner(line);
    bool there = false;
    if (!scanner.take('{')) {
      return false;
    }
    do {
      JsonScanner::String key;
      if (!scanner.string(key) || !scanner.take(':')) {
        return false;
      }
      if (key.raw == "symbol" && scanner.peek() == '"') {
        JsonScanner::String value;
        there = scanner.string(value) && unescape(value.raw, symbol_);
      } else if (!scanner.skip_value()) {
        return false;
      }
    } while (scanner.take(','));
    return there && scanner.take('}') && scanner.at_end();
  }

  FileLines lines_;
  const WantedSymbols& wanted_;
  std::string symbol_;
  Fault broken_;
};

bool is_store_file(const std::filesystem::path& path) {
  constexpr std::size_t kDateBytes = 10;
  const std::string name = path.filename().string();
  const std::size_t ending = name.find(".jsonl");
  const std::string_view packing = ending == std::string::npos ? "none" : std::string_view(name).substr(ending + 6);
  return name.starts_with(kFilePrefix) && name.size() > kFilePrefix.size() + kDateBytes &&
         (packing.empty() || packing == ".gz" || packing == ".zst");
}

}  // namespace

Result<std::unique_ptr<EntryStream>> open_journal_entries(const std::filesystem::path& directory,
                                                          const WantedSymbols& wanted) {
  auto reader = journal::Reader::open(directory);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  return std::make_unique<JournalEntries>(std::move(*reader), wanted);
}

Result<std::unique_ptr<EntryStream>> open_store_entries(const std::filesystem::path& path,
                                                        const WantedSymbols& wanted) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    return std::make_unique<StoreEntries>(std::vector{path}, false, wanted);
  }
  std::vector<std::filesystem::path> files;
  for (auto at = std::filesystem::recursive_directory_iterator(path, error);
       !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (at->is_regular_file(error) && is_store_file(at->path())) {
      files.push_back(at->path());
    }
  }
  if (error) {
    return tl::unexpected(system_error(path.string(), error.value()));
  }
  if (files.empty()) {
    return fail(ErrorCode::environment, fmt::format("{}: no file trades_YYYY-MM-DD.jsonl in it", path.string()));
  }
  std::sort(files.begin(), files.end());
  return std::make_unique<StoreEntries>(std::move(files), true, wanted);
}

Result<std::unique_ptr<EntryStream>> open_sent_entries(const std::filesystem::path& path, const WantedSymbols& wanted) {
  return std::make_unique<LogEntries>(path, wanted);
}

Result<std::unique_ptr<EntryStream>> open_metrics_file_entries(const std::filesystem::path& path,
                                                               const WantedSymbols& wanted) {
  return std::make_unique<MetricsFileEntries>(path, wanted);
}

}  // namespace mdpipe::replay
