#pragma once
/// \file
/// What was sent on each connection, one JSON object a line:
///   {"time_ns":N,"connection":1,"event":"connected","peer":"127.0.0.1:40000"}
///   {"time_ns":N,"connection":1,"event":"subscribe","symbol":"AAPL"}      likewise "unsubscribe"
///   {"time_ns":N,"connection":1,"event":"frame","frame":{…}}              or "raw":"BASE64" where it is no one-line
///   JSON
///   {"time_ns":N,"connection":1,"event":"closed","code":1000,"by":"server","partial_bytes":0}
/// A frame is there if and only if the kernel took it wholly (under TLS: the record that ends it); `partial_bytes`
/// tells what it took of one that was cut. time_ns is the wall clock's. Connections count from 1.

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "replay/serve/line_file.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class SendLog {
 public:
  SendLog() = default;  ///< keeps nothing
  [[nodiscard]] static Result<SendLog> create(const std::filesystem::path& path);

  [[nodiscard]] bool enabled() const noexcept { return lines_.enabled(); }

  void connected(std::uint64_t connection, std::string_view peer);
  void subscription(std::uint64_t connection, bool subscribe, std::string_view symbol);
  void frame(std::uint64_t connection, std::string_view text, bool is_json);
  void closed(std::uint64_t connection, std::uint16_t code, std::string_view by, std::size_t partial_bytes);

  /// To the file with what is kept back.
  [[nodiscard]] Result<void> flush() { return lines_.flush(); }
  [[nodiscard]] bool wants_flush() const noexcept { return lines_.wants_flush(); }

 private:
  void begin(std::uint64_t connection, std::string_view event);

  LineFile lines_;
};

}  // namespace mdpipe::replay
