#include "store_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"

namespace mdpipe::stage {
namespace {

constexpr const char* kKind = "store";
constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kDaysMax = 106'752;  // what nanoseconds in 64 bits can say

/// The next word of `line`, up to a blank or its end.
std::string_view take_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), word.size() + 1));
  return word;
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

StoreFiles::StoreFiles(const StoreOptions& options)
    : directory_(options.directory),
      source_(options.source),
      part_(options.part.empty() ? std::string() : "." + options.part),
      source_words_(options.source_words),
      source_state_(options.source_state),
      flush_bytes_(options.flush_bytes),
      open_files_max_(options.open_files_max),
      state_(directory_ / ".state" / ("store" + part_ + ".state"), kKind) {}

std::string StoreFiles::file_name(std::int64_t day) const {
  return "trades_" + utc_date(day * kDayMs) + part_ + ".jsonl";
}

Result<void> StoreFiles::begin(Position position) {
  if (source_state_.append) {
    source_state_.append(settled_source_state_);
  }
  if (save(position, &Known::length, settled_source_state_) != WriteOutcome::done) {
    return fail(ErrorCode::environment, trouble_);
  }
  settled_ = position;
  return {};
}

/// Payload: "source N", where the source keeps a state "kept " and that, then a line a file: "day length name".
Result<void> StoreFiles::recover() {
  auto state = state_.load();
  if (!state) {
    return tl::unexpected(state.error());
  }
  if (!*state) {
    return {};
  }
  const auto nonsense = [&](std::string_view line) {
    return fail(ErrorCode::data, fmt::format("{}: \"{}\" is no line of a store's state", state_.path().string(), line));
  };
  std::string_view rest = (*state)->payload;
  for (bool first = true; !rest.empty(); first = false) {
    const std::string_view whole = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), whole.size() + 1));
    std::string_view line = whole;
    if (first) {
      std::uint64_t source = 0;
      if (take_word(line) != "source" || !parse_number(line, source)) {
        return nonsense(whole);
      }
      if (source != source_) {
        return fail(ErrorCode::data,
                    fmt::format("{} holds the trades of another {} ({:016x}, this one is {:016x}): choose another "
                                "folder (--store), or move its content away",
                                directory_.string(), source_words_, source, source_));
      }
      continue;
    }
    if (constexpr std::string_view kKept = "kept "; line.starts_with(kKept)) {
      settled_source_state_ = line.substr(kKept.size());
      continue;
    }
    std::int64_t day = 0;
    Known known;
    if (!parse_number(take_word(line), day) || !parse_number(take_word(line), known.length)) {
      return nonsense(whole);
    }
    // A name that is not the day's could be any file of anybody: it would be cut.
    if (day < -kDaysMax || day > kDaysMax || line != file_name(day) || known_.count(day) != 0) {
      return nonsense(whole);
    }
    known.name = line;
    known.written = known.length;
    if (auto cut = cut_back(known); !cut) {
      return cut;
    }
    known_.emplace(day, std::move(known));
  }
  settled_ = (*state)->position;
  loaded_source_state_ = settled_source_state_;
  return {};
}

Result<void> StoreFiles::cut_back(Known& known) {
  const auto path = directory_ / known.name;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) {
      return tl::unexpected(system_error(path.string(), errno));
    }
    known.length = known.written =
        0;  // moved away, compressed elsewhere: its owner may; a later trade of that day begins a new one
    return {};
  }
  const auto length = static_cast<std::uint64_t>(status.st_size);
  if (length == known.length) {
    return {};
  }
  if (length < known.length) {
    return fail(
        ErrorCode::data,
        fmt::format("{} has {} bytes, and had {} for certain: somebody shortened it. Restore it, or move it away",
                    path.string(), length, known.length));
  }
  auto descriptor = open_file(path, O_WRONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  if (::ftruncate(descriptor->get(), static_cast<off_t>(known.length)) != 0) {
    return tl::unexpected(system_error(fmt::format("cutting {} back", path.string()), errno));
  }
  return {};
}

WriteOutcome StoreFiles::fail_for_good(Error error) {
  failure_ = std::move(error);
  return WriteOutcome::failed;
}

/// After a failed sync nobody knows which pages the disk has: only a new life, from the last state, may claim more.
WriteOutcome StoreFiles::lost(int error_number, const char* action, const std::filesystem::path& path) {
  Error error = system_error(fmt::format("{} {}", action, path.string()), error_number);
  error.message += fmt::format(
      "; nothing behind position {} is claimed: mend it and start again, the journal holds the rest", settled_);
  return fail_for_good(std::move(error));
}

WriteOutcome StoreFiles::judge(int error_number, const char* action, const std::filesystem::path& path) {
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) {
    trouble_ = system_error(fmt::format("{} {}", action, path.string()), error_number).message;
    return WriteOutcome::no_room;
  }
  return lost(error_number, action, path);
}

WriteOutcome StoreFiles::choose(std::int64_t day) {
  ++uses_;
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const auto& file) { return file->day == day; });
  if (found != open_.end()) {
    current_ = found->get();
    current_->used = uses_;
    return WriteOutcome::done;
  }
  if (open_.size() < open_files_max_) {
    auto file = std::make_unique<Open>();
    file->buffer.reserve(flush_bytes_);
    if (const auto opened = open(day, *file); opened != WriteOutcome::done) {
      return opened;
    }
    open_.push_back(std::move(file));
    current_ = open_.back().get();
    return WriteOutcome::done;
  }
  Open& oldest =
      **std::min_element(open_.begin(), open_.end(), [](const auto& a, const auto& b) { return a->used < b->used; });
  if (const auto written = write(oldest); written != WriteOutcome::done) {
    return written;
  }
  if (const auto synced = sync(oldest); synced != WriteOutcome::done) {
    return synced;
  }
  known_.at(oldest.day).written = oldest.length;
  current_ = nullptr;  // may be the one that goes
  if (const auto opened = open(day, oldest); opened != WriteOutcome::done) {
    return opened;
  }
  current_ = &oldest;
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::open(std::int64_t day, Open& file) {
  const bool is_new = known_.find(day) == known_.end();
  if (is_new) {
    // Entered before its first byte, so that a start may cut it.
    const auto path = directory_ / file_name(day);
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
      return fail_for_good(Error{ErrorCode::data, fmt::format("{} is there already, and this store did not write it: "
                                                              "move it away, or choose another folder (--store)",
                                                              path.string())});
    }
    known_.emplace(day, Known{file_name(day)});
    if (const auto saved = save(settled_, &Known::length, settled_source_state_); saved != WriteOutcome::done) {
      known_.erase(day);
      return saved;
    }
  }
  const Known& known = known_.at(day);
  auto path = directory_ / known.name;
  auto descriptor = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
  if (!descriptor) {
    const int error_number = errno;
    return error_number == ENOSPC || error_number == EDQUOT ? judge(error_number, "creating", path)
                                                            : fail_for_good(descriptor.error());
  }
  struct stat status {};
  if (::fstat(descriptor->get(), &status) != 0) {
    return judge(errno, "reading", path);
  }
  const auto length = static_cast<std::uint64_t>(status.st_size);
  if (length != 0 && length != known.written) {
    return fail_for_good(Error{ErrorCode::data, fmt::format("{} has {} bytes, and {} were written: somebody else wrote "
                                                            "there. Move it away and start again",
                                                            path.string(), length, known.written)});
  }
  created_ = created_ || length == 0;
  file.day = day;
  file.path = std::move(path);
  file.descriptor = std::move(*descriptor);
  file.buffer.clear();
  file.buffer_written = 0;
  file.length = length;
  file.unsynced = false;
  file.used = uses_;
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::append(std::string_view line) {
  Open& file = *current_;
  if (file.buffer.size() + line.size() + 1 > flush_bytes_ && !file.buffer.empty()) {
    if (const auto written = write(file); written != WriteOutcome::done) {
      return written;
    }
  }
  const std::size_t begin = file.buffer.size();
  file.buffer.append(line);
  for (const char line_break : {'\n', '\r'}) {
    char* at = file.buffer.data() + begin;
    char* const end = file.buffer.data() + file.buffer.size();
    while ((at = static_cast<char*>(std::memchr(at, line_break, static_cast<std::size_t>(end - at)))) != nullptr) {
      *at = ' ';
    }
  }
  file.buffer.push_back('\n');
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::write(Open& file) {
  while (file.buffer_written < file.buffer.size()) {
    const ssize_t count = ::write(file.descriptor.get(), file.buffer.data() + file.buffer_written,
                                  file.buffer.size() - file.buffer_written);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return judge(errno, "writing", file.path);
    }
    file.buffer_written += static_cast<std::size_t>(count);
    file.length += static_cast<std::uint64_t>(count);
    bytes_written_ += static_cast<std::uint64_t>(count);
    file.unsynced = true;
  }
  file.buffer.clear();
  file.buffer_written = 0;
  trouble_.clear();
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::sync(Open& file) {
  if (!file.unsynced) {
    return WriteOutcome::done;
  }
  if (::fdatasync(file.descriptor.get()) != 0) {
    return lost(errno, "syncing", file.path);
  }
  ++syncs_;
  file.unsynced = false;
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::write() {
  for (const auto& file : open_) {
    if (const auto written = write(*file); written != WriteOutcome::done) {
      return written;
    }
  }
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::settle(Position position) {
  if (const auto written = write(); written != WriteOutcome::done) {
    return written;
  }
  for (const auto& file : open_) {
    if (const auto synced = sync(*file); synced != WriteOutcome::done) {
      return synced;
    }
  }
  if (created_) {
    if (const auto synced = sync_directory(directory_); !synced) {
      return fail_for_good(synced.error());
    }
    created_ = false;
  }
  for (const auto& file : open_) {
    known_.at(file->day).written = file->length;
  }
  next_source_state_.clear();
  if (source_state_.append) {
    source_state_.append(next_source_state_);
  }
  if (const auto saved = save(position, &Known::written, next_source_state_); saved != WriteOutcome::done) {
    return saved;
  }
  settled_source_state_.swap(next_source_state_);
  settled_ = position;
  for (auto& [day, known] : known_) {
    known.length = known.written;
  }
  return WriteOutcome::done;
}

WriteOutcome StoreFiles::save(Position position, std::uint64_t Known::*length, const std::string& source_state) {
  payload_.assign("source ");
  append_number(source_, payload_);
  payload_.push_back('\n');
  if (!source_state.empty()) {
    payload_.append("kept ").append(source_state).push_back('\n');
  }
  for (const auto& [day, known] : known_) {
    if (day < 0) {
      payload_.push_back('-');
    }
    append_number(static_cast<std::uint64_t>(day < 0 ? -day : day), payload_);
    payload_.push_back(' ');
    append_number(known.*length, payload_);
    payload_.push_back(' ');
    payload_.append(known.name);
    payload_.push_back('\n');
  }
  if (auto saved = state_.save(position, payload_); !saved) {
    trouble_ = saved.error().message;
    return WriteOutcome::no_room;
  }
  trouble_.clear();
  return WriteOutcome::done;
}

}  // namespace mdpipe::stage
