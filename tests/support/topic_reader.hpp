#pragma once
// What a topic holds, read by librdkafka alone: none of the code under test takes part.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mdpipe::testing {

struct ReadMessage {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  std::string key;
  std::string value;
  std::vector<std::pair<std::string, std::string>> headers;

  /// The value of a header; empty where there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// Everything from the beginning to the end of each partition; within a partition in order. Throws where no broker
/// answers.
[[nodiscard]] std::vector<ReadMessage> read_topic(const std::string& bootstrap, const std::string& topic,
                                                  std::int32_t partitions);

}  // namespace mdpipe::testing
