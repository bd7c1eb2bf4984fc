#pragma once
/// \file
/// What a source has put into a partition lately: read forward from an offset to the end.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"

namespace mdpipe::kafka {

struct TailScan {
  std::int64_t end = 0;                              ///< offset behind the last message
  std::uint64_t last_position = 0;                   ///< greatest position of the source; 0 = none found
  std::uint64_t messages = 0;                        ///< read
  std::map<std::uint64_t, std::uint64_t> positions;  ///< greatest position of each source found
};

/// Thread safety: one thread at a time.
class TailScanner {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TailScanner>> connect(const Config& config);
  ~TailScanner();
  TailScanner(const TailScanner&) = delete;
  TailScanner& operator=(const TailScanner&) = delete;

  /// Reads [from, end) of one partition; `end` as Admin::offsets() told. Gives up with ErrorCode::environment after
  /// `patience` without a message.
  [[nodiscard]] Result<TailScan> scan(const std::string& topic, std::int32_t partition, std::int64_t from,
                                      std::int64_t end, std::uint64_t source, std::chrono::milliseconds patience);

 private:
  struct State;
  explicit TailScanner(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::kafka
