#pragma once
/// \file
/// What passes, line by line: the messages of a topic or the trades of a journal, for people or as JSON.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/base/error.hpp"

namespace mdpipe::wiring {

/// Every option of `mdpipe tail`; the texts are as the user gave them.
struct TailOptions {
  std::string kafka;
  std::vector<std::string> kafka_properties;
  std::string kafka_config;
  std::string group = "simple-consumer-group";
  std::string topic = "raw-market-data";
  std::string partitions;  ///< these, and no group
  std::string from;        ///< empty: where the group left off, else the latest; of a journal the latest
  bool until_end = false;
  std::string journal;  ///< a folder: its trades in place of a topic's messages
  bool follow = false;  ///< of a journal: wait for more
  bool json = false;
  bool colour = false;
  std::string listen = "127.0.0.1:8001";
};

/// One line's content.
struct TailLine {
  std::string_view topic;  ///< empty: a journal's trade
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::uint16_t epoch = 0;  ///< of a journal's position …
  std::uint64_t sequence = 0;
  std::string_view key;
  std::int64_t time_ms = -1;               ///< of the message, or the exchange's; -1: none
  std::optional<std::int64_t> latency_ms;  ///< from that time to now, or to when the trade was received
  std::string_view value;
};

/// Appends the line with its end. For people columns are aligned and a value's line breaks are blanks; as JSON the
/// value is a string, so that whatever it holds can be read.
void append_tail_line(const TailLine& line, bool json, bool colour, std::string& out);

/// Thread safety: open() and run() by one thread; stop() by any, and from a signal handler.
class Tail {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Tail>> open(const TailOptions& options);
  virtual ~Tail() = default;

  /// `put` gets whole lines, many at once; an error of it ends the run.
  using Put = std::function<Result<void>(std::string_view lines)>;
  [[nodiscard]] virtual Result<void> run(const Put& put) = 0;
  virtual void stop() noexcept = 0;
};

}  // namespace mdpipe::wiring
