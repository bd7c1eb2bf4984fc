/// \file
/// libFuzzer against the state files: the file itself, a journal's checkpoint and cursors, an aggregate's snapshot.
/// What is taken for one is saved again as the same bytes.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "aggregate_snapshot.hpp"
#include "mdpipe/base/crc32c.hpp"
#include "mdpipe/base/state_file.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "recovery.hpp"
#include "support/memory_folder.hpp"

namespace mdpipe {
namespace {

[[noreturn]] void complain(const char* what) {
  std::fprintf(stderr, "The state: %s\n", what);
  std::abort();
}

class Folder {
 public:
  Folder() {
    std::string name = (mdpipe::testing::memory_folder() / "mdpipe-fuzz-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    std::filesystem::create_directories(path_ / "cursors");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void try_file(const Folder& folder, std::string bytes, bool with_checksum) {
  if (with_checksum) {
    const std::uint32_t checksum = crc32c(std::as_bytes(std::span(bytes)));
    bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  }
  for (const auto& path : {folder.path() / "checkpoint", folder.path() / "cursors" / "store"}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  static_cast<void>(journal::load_checkpoint(folder.path()));
  const auto cursors = journal::list_cursors(folder.path());
  if (!cursors || cursors->size() != 1) {
    complain("a cursor that cannot be read is a cursor too");
  }
  const auto path = folder.path() / "cursors" / "store";
  if (const auto state = load_any_state(path)) {
    if (!StateFile(path, state->kind).save(state->state.position, state->state.payload) || content_of(path) != bytes) {
      complain("it is not saved as it was loaded");
    }
  } else if (!cursors->at(0).trouble.empty() != true) {
    complain("a cursor that cannot be read has no trouble");
  }
}

/// Window and cadence are in the bytes: they are taken from there.
void try_snapshot(std::string_view bytes) {
  stage::WindowOptions options;
  if (bytes.size() >= 8) {
    std::memcpy(&options.window, bytes.data(), 4);
    std::memcpy(&options.every, bytes.data() + 4, 4);
  }
  const auto snapshot = stage::read_snapshot(options, bytes, "the input");
  if (!snapshot) {
    return;
  }
  std::string again;
  stage::begin_snapshot(options, static_cast<std::uint32_t>(snapshot->symbols.size()), again);
  for (const stage::SavedSymbol& symbol : snapshot->symbols) {
    stage::append_symbol(symbol, again);
  }
  if (again.size() != bytes.size()) {
    stage::end_snapshot(snapshot->source_state, again);
  }
  if (again != bytes) {
    complain("a snapshot is not what it was made of");
  }
}

}  // namespace
}  // namespace mdpipe

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mdpipe::Folder folder;
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      mdpipe::try_file(folder, std::string(bytes), false);
      break;
    case 1:
      mdpipe::try_file(folder, std::string(bytes), true);
      break;
    default:
      mdpipe::try_snapshot(bytes);
  }
  return 0;
}
