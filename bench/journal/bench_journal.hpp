#pragma once
// What the journal's benches share: a journal on a tmpfs where there is one, its pages populated before they are used.

#include <stdlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "mdpipe/journal/writer.hpp"

namespace mdpipe::bench {

/// A benchmark that finds a wrong answer has nothing to say about speed.
[[noreturn]] inline void wrong(const char* what) {
  std::fprintf(stderr, "the answer is wrong: %s\n", what);
  std::abort();
}

class BenchJournal {
 public:
  explicit BenchJournal(std::uint64_t segment_bytes) {
    std::error_code ignored;
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        std::filesystem::is_directory(memory, ignored) ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "mdpipe-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      wrong("no temporary folder");
    }
    directory_ = name;
    journal::WriterOptions options;
    options.directory = directory_ / "journal";
    options.payload_max_bytes = 4096;
    options.symbols_max = 16;
    options.segment_bytes = segment_bytes;
    options.populate_ahead_bytes = static_cast<std::uint32_t>(segment_bytes);
    options.keep_bytes = segment_bytes;
    auto writer = journal::Writer::open(options);
    if (!writer) {
      wrong(writer.error().message.c_str());
    }
    writer_ = std::move(*writer);
    static_cast<void>(writer_->symbols().add("A"));
  }
  ~BenchJournal() {
    writer_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  BenchJournal(const BenchJournal&) = delete;
  BenchJournal& operator=(const BenchJournal&) = delete;

  [[nodiscard]] journal::Writer& writer() noexcept { return *writer_; }

  [[nodiscard]] std::unique_ptr<journal::Reader> reader() {
    auto reader = writer_->reader(writer_->figures().position.get());
    if (!reader) {
      wrong(reader.error().message.c_str());
    }
    return std::move(*reader);
  }

  [[nodiscard]] FrameClaim claim() noexcept {
    FrameClaim claim = writer_->claim();
    while (!claim) {
      std::this_thread::yield();
      claim = writer_->claim();
    }
    return claim;
  }

  /// A frame without trades whose payload begins with `sequence`.
  void send(std::uint64_t sequence, std::uint32_t payload_bytes) noexcept {
    const FrameClaim room = claim();
    std::memcpy(room.payload(), &sequence, sizeof sequence);
    writer_->commit(room, {payload_bytes, 0, FrameKind::other, FrameReason::none, 0});
  }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<journal::Writer> writer_;
};

}  // namespace mdpipe::bench
