#pragma once
// What the journal's tests share: a temporary folder, options in which everything is tiny, frames made of a number.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "mdpipe/journal/reader.hpp"
#include "mdpipe/journal/writer.hpp"
#include "support/temporary_directory.hpp"

namespace mdpipe::journal {

using mdpipe::testing::TemporaryDirectory;

inline WriterOptions tiny_options(const std::filesystem::path& directory) {
  WriterOptions options;
  options.directory = directory / "journal";
  options.payload_max_bytes = 1024;
  options.symbols_max = 64;
  options.segment_bytes = 64U << 10U;
  options.populate_ahead_bytes = 16U << 10U;
  options.sync_interval_ms = 10;
  options.holder = "the test";
  options.boot_id = "boot-1";
  return options;
}

/// RLIMIT_FSIZE stands for a full disk: allocation fails with it as it does with ENOSPC.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

/// What a record said, copied out.
struct Seen {
  RecordKind kind;
  std::uint16_t sub;
  Position position;
  std::int64_t receive_time_ns;
  std::string payload;
  std::vector<std::string> trade_texts;
  std::vector<std::string> trade_symbols;
  std::vector<Position> trade_positions;

  bool operator==(const Seen&) const = default;
};

inline Seen copy_of(const RecordView& record, const SymbolTable& symbols) {
  Seen seen{record.kind(),
            record.header().sub,
            record.position(),
            record.receive_time_ns(),
            std::string(record.payload()),
            {},
            {},
            {}};
  for (const Trade& trade : record.trades()) {
    seen.trade_texts.emplace_back(record.text(trade));
    seen.trade_symbols.emplace_back(symbols.text(trade.symbol_id));
    seen.trade_positions.push_back(trade.position);
  }
  return seen;
}

/// A frame whose trades are the given symbols: its payload is their names, separated by commas and padded, and each
/// trade's text is its symbol's name.
inline bool write_frame(Writer& writer, const std::vector<std::string>& trades, std::int64_t time_ns,
                        std::size_t padding = 0) {
  const FrameClaim claim = writer.claim();
  if (!claim) {
    return false;
  }
  std::string payload;
  std::vector<std::size_t> offsets;
  for (const std::string& trade : trades) {
    offsets.push_back(payload.size());
    payload += trade;
    payload.append(kTradeTextMinBytes, ',');
  }
  payload.append(padding, '.');
  std::memcpy(claim.payload(), payload.data(), payload.size());
  std::memset(claim.payload() + payload.size(), '#', kClaimPaddingBytes);
  Trade* const out = claim.trades(payload.size());
  for (std::size_t i = 0; i < trades.size(); ++i) {
    out[i] = Trade{};
    out[i].symbol_id = writer.symbols().add(trades[i]);
    out[i].text_offset = static_cast<std::uint32_t>(sizeof(RecordHeader) + offsets[i]);
    out[i].text_length = static_cast<std::uint32_t>(trades[i].size());
    out[i].receive_time_ns = time_ns;
  }
  writer.commit(claim, {static_cast<std::uint32_t>(payload.size()), static_cast<std::uint32_t>(trades.size()),
                        FrameKind::trades, FrameReason::none, time_ns});
  return true;
}

/// The same, waiting for the helper where the next segment is not prepared yet.
inline void must_write_frame(Writer& writer, const std::vector<std::string>& trades, std::int64_t time_ns,
                             std::size_t padding = 0) {
  while (!write_frame(writer, trades, time_ns, padding)) {
    std::this_thread::yield();
  }
}

/// Waits for what another thread does; gives up only where it never comes.
inline bool comes(const std::function<bool()>& condition) {
  for (int i = 0; i < 60'000; ++i) {
    if (condition()) {
      return true;
    }
    ::usleep(1000);
  }
  return false;
}

/// A copy of a journal whose writer lives, as kill -9 would leave it. Its helper replaces state files meanwhile: a name
/// that is listed may be gone when it is copied.
inline void copy_live(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (std::error_code error = std::make_error_code(std::errc::io_error); error;) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
    if (error && error != std::errc::no_such_file_or_directory) {
      throw std::filesystem::filesystem_error("copying a journal", from, to, error);
    }
  }
}

inline std::unique_ptr<Writer> open_writer(const WriterOptions& options) {
  auto writer = Writer::open(options);
  if (!writer) {
    throw std::runtime_error(writer.error().message);
  }
  return std::move(*writer);
}

/// Everything that can be read without waiting, but for symbol records; of a damaged journal what is good of it.
inline std::vector<Seen> read_all(Reader& reader) {
  std::vector<Seen> all;
  while (const auto record = reader.next()) {
    if (record->kind() != RecordKind::symbol) {
      all.push_back(copy_of(*record, reader.symbols()));
    }
  }
  return all;
}

/// The same from `after` on, of a journal without damage.
inline std::vector<Seen> read_all(const std::filesystem::path& directory, Position after = kBeforeEverything) {
  auto reader = Reader::open(directory, after);
  if (!reader) {
    throw std::runtime_error(reader.error().message);
  }
  auto all = read_all(**reader);
  if ((*reader)->failure()) {
    throw std::runtime_error((*reader)->failure()->message);
  }
  for (const Skip& skip : (*reader)->take_skips()) {
    throw std::runtime_error(to_string(skip));
  }
  return all;
}

}  // namespace mdpipe::journal
