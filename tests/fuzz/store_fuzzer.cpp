/// \file
/// libFuzzer against the store's start: a state and files as a kill, a power loss or a stranger left them. A file is
/// cut to what the state says or refused; nothing else is touched; what is written then is there after the next start.
///
/// An input: how long two files are (a byte each, in 16 bytes), then the payload of the state.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "mdpipe/base/state_file.hpp"
#include "store_files.hpp"
#include "support/memory_folder.hpp"

namespace mdpipe::stage {
namespace {

constexpr std::uint64_t kSource = 7;

[[noreturn]] void complain(const std::string& what) {
  std::fprintf(stderr, "The store: %s\n", what.c_str());
  std::abort();
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Folder {
 public:
  Folder() {
    std::string name = (mdpipe::testing::memory_folder() / "mdpipe-fuzz-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  /// The store's folder beside a file that is not its business.
  [[nodiscard]] std::filesystem::path fresh(const std::map<std::string, std::string>& files) const {
    std::filesystem::remove_all(path_ / "store");
    std::filesystem::create_directories(path_ / "store" / ".state");
    std::ofstream(path_ / "other", std::ios::binary) << kOther;
    for (const auto& [name, content] : files) {
      std::ofstream(path_ / "store" / name, std::ios::binary) << content;
    }
    return path_ / "store";
  }
  void look_at_the_other() const {
    if (content_of(path_ / "other") != kOther) {
      complain("it has changed a file outside of its folder");
    }
  }

 private:
  static constexpr const char* kOther = "not the store's business, and long enough to be cut";
  std::filesystem::path path_;
};

StoreOptions options_for(const std::filesystem::path& directory) {
  StoreOptions options;
  options.directory = directory;
  options.source = kSource;
  options.flush_bytes = 64;
  return options;
}

void try_input(const Folder& folder, std::uint8_t first, std::uint8_t second, std::string_view payload) {
  std::map<std::string, std::string> files;
  const auto make = [&](const char* name, std::uint8_t length) {
    if (length != 0) {
      std::string& content = files[name];
      while (content.size() < length * 16U) {
        content += "{\"s\":\"A\",\"p\":1}\n";
      }
      content.resize(length * 16U);
    }
  };
  make("trades_1970-01-01.jsonl", first);
  make("trades_1970-01-02.jsonl", second);
  const auto directory = folder.fresh(files);
  if (!StateFile(directory / ".state" / "store.state", "store").save(9, payload)) {
    complain("the state cannot be saved");
  }
  {
    StoreFiles store(options_for(directory));
    const auto recovered = store.recover();
    folder.look_at_the_other();
    for (const auto& [name, content] : files) {
      const std::string now = content_of(directory / name);
      if (content.compare(0, now.size(), now) != 0) {
        complain(name + " is no beginning of what it was");
      }
    }
    if (!recovered) {
      return;
    }
    // A day that nothing is known of, and one that may be.
    for (const std::int64_t day : {20'000, 0}) {
      if (store.choose(day) != WriteOutcome::done || store.append("a line\nof two") != WriteOutcome::done ||
          store.settle(10) != WriteOutcome::done) {
        return;  // a file that the state does not know of is a stranger's
      }
    }
  }
  std::map<std::string, std::string> settled;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      settled[entry.path().filename().string()] = content_of(entry.path());
      // Written behind the last state, torn: the next start cuts it.
      std::ofstream(entry.path(), std::ios::binary | std::ios::app) << "{\"s\":";
    }
  }
  StoreFiles again(options_for(directory));
  if (const auto recovered = again.recover(); !recovered) {
    complain("its own state is refused: " + recovered.error().message);
  }
  for (const std::string name : {"trades_2024-10-04.jsonl", "trades_1970-01-01.jsonl"}) {
    if (content_of(directory / name) != settled[name] || !settled[name].ends_with("a line of two\n")) {
      complain(name + " is not as it was settled");
    }
  }
  folder.look_at_the_other();
}

}  // namespace
}  // namespace mdpipe::stage

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mdpipe::stage::Folder folder;
  if (size >= 2) {
    mdpipe::stage::try_input(folder, data[0], data[1], {reinterpret_cast<const char*>(data) + 2, size - 2});
  }
  return 0;
}
