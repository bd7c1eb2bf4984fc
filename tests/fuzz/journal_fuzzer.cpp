/// \file
/// libFuzzer against the journal: an input is a list of damages to a journal that is good. Readers before and after
/// recovery, verification and recovery itself see it; none may give a record that was not written, in whatever order
/// the damage came. See README.md beside this file.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "format.hpp"
#include "mdpipe/journal/reader.hpp"
#include "mdpipe/journal/verify.hpp"
#include "mdpipe/journal/writer.hpp"
#include "recovery.hpp"
#include "support/memory_folder.hpp"

namespace mdpipe::journal {
namespace {

constexpr std::size_t kSegmentBytes = 12U << 10U;
constexpr std::size_t kPageBytes = 4096;
constexpr int kFrames = 100;
constexpr std::uint64_t kSegments = 4;
constexpr int kNewFrom = 1000;  // frames from this number on are written behind recovery
constexpr std::uint32_t kSymbolsMax = 32;
constexpr int kWaitsMax = 600'000;  // of 100 us

[[noreturn]] void complain(const std::string& what) {
  std::fprintf(stderr, "The journal: %s\n", what.c_str());
  std::abort();
}

/// What was written, and the folder that inputs damage.
class Base {
 public:
  Base() {
    std::string name = (mdpipe::testing::memory_folder() / "mdpipe-fuzz-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::filesystem::create_directories(folder_ / "base");
    WriterOptions options = options_for(folder_ / "base", "boot-1");
    {
      const auto writer = std::move(*Writer::open(options));
      const auto cursor = writer->register_cursor("store");
      for (int number = 0; number < kFrames; ++number) {
        write(*writer, number);
      }
      (*cursor)->advance(make_position(1, 5));
      if (!writer->close()) {
        complain("the base cannot be closed");
      }
      const auto segments = list_segments(folder_ / "base");
      if (!segments || segments->size() != kSegments) {
        complain("the base has " + std::to_string(segments ? segments->size() : 0) + " segments");
      }
    }
    const auto reader = std::move(*Reader::open(folder_ / "base"));
    while (const auto record = reader->next()) {
      copy(*record, reader->symbols(), written_[record->position()]);
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "base")) {
      if (entry.is_regular_file() && entry.path().filename() != "lock") {
        std::ifstream file(entry.path(), std::ios::binary);
        files_[entry.path().filename().string()] = {std::istreambuf_iterator<char>(file),
                                                    std::istreambuf_iterator<char>()};
      }
    }
  }
  ~Base() { std::filesystem::remove_all(folder_); }

  static WriterOptions options_for(const std::filesystem::path& journal, const char* boot) {
    WriterOptions options;
    options.directory = journal;
    options.payload_max_bytes = 256;
    options.symbols_max = kSymbolsMax;
    options.segment_bytes = kSegmentBytes;
    options.populate_ahead_bytes = 4096;
    options.boot_id = boot;
    return options;
  }

  static void write(Writer& writer, int number) {
    FrameClaim claim;
    for (int waits = 0; !(claim = writer.claim()); ++waits) {
      if (waits == kWaitsMax) {
        complain("a writer that has no room, and gets none");
      }
      ::usleep(100);
    }
    const std::string text = "S" + std::to_string(number % (1 + number / 12));
    const std::string payload = text + std::string(static_cast<std::size_t>(number) % 90, '.');
    std::memcpy(claim.payload(), payload.data(), payload.size());
    Trade* const trade = claim.trades(payload.size());
    *trade = Trade{};
    trade->symbol_id = symbol_of(text, writer.symbols());
    trade->text_offset = sizeof(RecordHeader);
    trade->text_length = static_cast<std::uint16_t>(text.size());
    trade->receive_time_ns = number;
    writer.commit(claim, {static_cast<std::uint32_t>(payload.size()), 1, FrameKind::trades, FrameReason::none, number});
  }

  /// No more symbols than a journal may name, which is for who writes to heed. A forged header may tell of more.
  static SymbolId symbol_of(const std::string& text, SymbolTable& symbols) {
    if (symbols.has_room_for(text, kSymbolsMax)) {
      return symbols.add(text);
    }
    const SymbolId known = symbols.find(text);
    return known == SymbolTable::kNone ? 0 : known;
  }

  /// What is behind its length; symbols by name.
  static void copy(const RecordView& record, const SymbolTable& symbols, std::string& bytes) {
    bytes.assign(reinterpret_cast<const char*>(record.data()) + sizeof(RecordHeader::length),
                 record.header().length - sizeof(RecordHeader::length));
    for (const Trade& trade : record.trades()) {
      bytes.append(symbols.text(trade.symbol_id)).append(record.text(trade));
    }
  }

  [[nodiscard]] const std::map<Position, std::string>& written() const { return written_; }
  [[nodiscard]] const std::map<std::string, std::string>& files() const { return files_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::map<Position, std::string> written_;
  std::map<std::string, std::string> files_;
};

/// One input: what it does to the files, and whether it forges checksums.
class Damaged {
 public:
  Damaged(const Base& base, const std::uint8_t* data, std::size_t size) : files_(base.files()) {
    for (; size >= 6; data += 6, size -= 6) {
      const auto segment = static_cast<std::uint64_t>(data[1]) % kSegments + 1;
      damage(data[0] % 13, segment, static_cast<std::size_t>(data[2]) | static_cast<std::size_t>(data[3]) << 8U,
             static_cast<std::uint16_t>(data[4] | data[5] << 8));
    }
  }

  [[nodiscard]] bool forged() const { return forged_; }

  void write_to(const std::filesystem::path& journal) const {
    std::filesystem::remove_all(journal);
    std::filesystem::create_directories(journal / "cursors");
    for (const auto& [name, content] : files_) {
      std::ofstream(journal / name, std::ios::binary) << content;
    }
  }

 private:
  static void flip(char& byte, std::uint16_t bits) {
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (bits | 1U));
  }

  std::uint64_t id_of(const std::string& content) {
    std::uint64_t id = 0;
    std::memcpy(&id, content.data() + offsetof(SegmentHeader, journal_id), sizeof id);
    return id;
  }

  void damage(int how, std::uint64_t index, std::size_t at, std::uint16_t argument) {
    const auto found = files_.find(segment_name(index));
    if (how == 11 || how == 12) {
      auto& checkpoint = files_["checkpoint"];
      how == 11 && !checkpoint.empty() ? static_cast<void>(flip(checkpoint[at % checkpoint.size()], argument))
                                       : static_cast<void>(files_.erase("checkpoint"));
      return;
    }
    if (found == files_.end()) {
      return;
    }
    std::string& content = found->second;
    if (how == 5) {
      files_.erase(found);
      return;
    }
    if (content.size() < kPageBytes) {
      return;
    }
    at %= content.size();
    const std::size_t aligned = at / kRecordAlignment * kRecordAlignment;
    const std::size_t page = at / kPageBytes * kPageBytes;
    const std::size_t pages = content.size() / kPageBytes;
    switch (how) {
      case 0:
        flip(content[at], argument);
        break;
      case 1:
        std::fill(content.begin() + static_cast<std::ptrdiff_t>(page),
                  content.begin() + static_cast<std::ptrdiff_t>(std::min(page + kPageBytes, content.size())), '\0');
        break;
      case 2:
        if (page + kPageBytes <= content.size()) {
          content.replace(page, kPageBytes, content.substr(argument % pages * kPageBytes, kPageBytes));
        }
        break;
      case 3: {
        const std::uint32_t length = argument;
        std::memcpy(content.data() + aligned, &length, sizeof length);
        break;
      }
      case 4:
        content.resize(at);
        break;
      case 6:
        if (const auto other = files_.find(segment_name(argument % kSegments + 1)); other != files_.end()) {
          content.swap(other->second);
        }
        break;
      case 7:  // what is there passes as a record
        forge_record(content, aligned, index);
        break;
      case 8:  // what is there passes as a header
        forge_header(content);
        break;
      case 9:  // a field of a record's header, and its checksum
        std::memcpy(content.data() + aligned + argument % (sizeof(RecordHeader) - 2), &argument, sizeof argument);
        forge_record(content, aligned, index);
        break;
      case 10:
        std::memcpy(content.data() + at % sizeof(SegmentHeader), &argument, sizeof argument);
        if (argument % 3 == 0) {
          forge_header(content);
        }
        break;
      default:
        break;
    }
  }

  void forge_record(std::string& content, std::size_t at, std::uint64_t index) {
    std::uint32_t length = 0;
    std::memcpy(&length, content.data() + at, sizeof length);
    if (length < kRecordAlignment || length > content.size() - at) {
      return;
    }
    // In place and aligned, as record_checksum() wants it.
    const std::uint32_t crc32c = record_checksum(reinterpret_cast<const std::byte*>(content.data()) + at, length,
                                                 segment_seed(id_of(content), index));
    std::memcpy(content.data() + at + offsetof(RecordHeader, crc32c), &crc32c, sizeof crc32c);
    forged_ = true;
  }

  void forge_header(std::string& content) {
    SegmentHeader header{};
    std::memcpy(&header, content.data(), sizeof header);
    header.crc32c = header_checksum(header);
    std::memcpy(content.data(), &header, sizeof header);
    forged_ = true;
  }

  std::map<std::string, std::string> files_;
  bool forged_ = false;
};

/// Not written behind recovery. Symbols bear the time of what was before them.
bool is_of_the_base(const RecordView& record) {
  return record.kind() == RecordKind::frame && record.receive_time_ns() < kNewFrom;
}

/// Positions rise; where nothing was forged every record is one that was written.
Position read(Reader& reader, const Base& base, bool forged, std::size_t* count = nullptr) {
  Position last = 0;
  std::string copy;
  while (const auto record = reader.next()) {
    if (record->last_position() <= last) {
      complain("position " + position_text(record->position()) + " comes behind " + position_text(last));
    }
    last = record->last_position();
    if (!forged && is_of_the_base(*record)) {
      Base::copy(*record, reader.symbols(), copy);
      const auto wanted = base.written().find(record->position());
      if (wanted == base.written().end() || wanted->second != copy) {
        complain("a wrong record: " + position_text(record->position()));
      }
    }
    if (count != nullptr) {
      ++*count;
    }
    reader.release(last);
  }
  static_cast<void>(reader.take_skips());
  return last;
}

void verify_and_list(const std::filesystem::path& journal, const Base& base, bool forged) {
  static_cast<void>(verify(journal, {.damages_max = 10, .on_record = [&](const RecordView& record, const SymbolTable&) {
                                       if (!forged && is_of_the_base(record) &&
                                           base.written().count(record.position()) == 0) {
                                         complain("verify gives a wrong record");
                                       }
                                     }}));
  static_cast<void>(list_journal(journal));
}

/// In one of three ways: an execution is worth more than the same journal seen again.
void look(const std::filesystem::path& journal, const Base& base, bool forged, unsigned way) {
  if (way % 3 == 2) {
    verify_and_list(journal, base, forged);
  } else if (auto reader = Reader::open(journal, way % 3 == 0 ? kBeforeEverything : make_position(1, 30))) {
    static_cast<void>(read(**reader, base, forged));
  }
}

void try_input(const Base& base, const std::uint8_t* data, std::size_t size) {
  const std::uint8_t choices = size == 0 ? 0 : data[0];
  const Damaged damaged(base, size == 0 ? data : data + 1, size == 0 ? 0 : size - 1);
  const auto journal = base.folder() / "journal";
  damaged.write_to(journal);
  const unsigned before = choices >> 3U & 3U;
  if (before != 3) {
    look(journal, base, damaged.forged(), before);
  }
  const unsigned behind = choices >> 5U;
  const char* const boot = (choices & 1U) != 0 ? "boot-2" : "boot-1";
  if ((choices & 6U) != 0) {
    // Quick: without the helper's thread, and as if killed right behind it.
    static_cast<void>(recover(journal, boot));
    look(journal, base, damaged.forged(), behind);
    return;
  }
  auto writer = Writer::open(Base::options_for(journal, boot));
  if (!writer) {
    return;
  }
  auto reader = (*writer)->reader(kBeforeEverything);
  Position last = 0;
  if (reader) {
    last = read(**reader, base, damaged.forged());
  }
  for (int number = kNewFrom; number < kNewFrom + 3; ++number) {
    Base::write(**writer, number);
  }
  // A forged header may lie of the symbols before it: readers that know better then refuse what is written behind it.
  if (reader && !(*reader)->failure() && !damaged.forged()) {
    std::size_t count = 0;
    if (read(**reader, base, damaged.forged(), &count) <= last || count < 3) {
      complain("what was written behind recovery is not read");
    }
  }
  look(journal, base, damaged.forged(), behind);
}

}  // namespace
}  // namespace mdpipe::journal

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mdpipe::journal::Base base;
  mdpipe::journal::try_input(base, data, size);
  return 0;
}
