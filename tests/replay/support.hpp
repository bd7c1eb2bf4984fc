#pragma once
/// \file
/// What the tests of replay/ share.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "replay/session/byte_source.hpp"
#include "replay/session/session.hpp"

namespace mdpipe::replay {

/// A folder that is gone when its test is.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mdreplay-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  /// As it stands, whatever the name says.
  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  /// Packed as the name's ending says.
  std::filesystem::path pack(std::string_view name, std::string_view bytes) const {
    auto sink = ByteSink::create(path_ / name);
    EXPECT_TRUE(sink && (*sink)->write(bytes) && (*sink)->finish());
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A session read to its end, or to where it is damaged.
struct ReadSession {
  std::vector<std::string> frames;
  std::vector<std::int64_t> times_ns;
  std::vector<std::int64_t> schedule_ns;
  std::vector<FrameKind> kinds;
  std::uint64_t trades = 0;
  std::optional<Error> error;
};

inline ReadSession read_session(const SessionOptions& options) {
  ReadSession out;
  SymbolTable symbols;
  auto source = open_sessions(options, symbols);
  if (!source) {
    out.error = source.error();
    return out;
  }
  SessionFrame frame;
  while (true) {
    const auto more = (*source)->next(frame);
    if (!more) {
      out.error = more.error();
      return out;
    }
    if (!*more) {
      return out;
    }
    out.frames.emplace_back(frame.text);
    out.times_ns.push_back(frame.time_ns);
    out.schedule_ns.push_back(frame.schedule_ns);
    out.kinds.push_back(frame.shape.kind);
    out.trades += frame.shape.trade_count;
    for (const FrameElement& element : frame.shape.elements) {
      EXPECT_EQ(frame.text.substr(element.offset, 1).find_first_of(" ,\t"), std::string_view::npos);
    }
  }
}

inline ReadSession read_session(const std::filesystem::path& path) {
  SessionOptions options;
  options.paths = {path};
  return read_session(options);
}

inline std::string trade_text(std::string_view symbol, std::int64_t time_ms, std::string_view price = "1.5") {
  return R"({"p":)" + std::string(price) + R"(,"s":")" + std::string(symbol) + R"(","t":)" + std::to_string(time_ms) +
         R"(,"v":10})";
}

inline std::string frame_text(const std::vector<std::string>& trades) {
  std::string text = R"({"data":[)";
  for (std::size_t i = 0; i < trades.size(); ++i) {
    text += (i == 0 ? "" : ",") + trades[i];
  }
  return text + R"(],"type":"trade"})";
}

}  // namespace mdpipe::replay
