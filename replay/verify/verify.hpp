#pragma once
/// \file
/// Is what a session says everywhere where it should be? A session against whatever took it in: a venue's log, a
/// journal, a topic, the store's files, metrics.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/kafka/config.hpp"
#include "replay/session/session.hpp"
#include "replay/verify/comparison.hpp"

namespace mdpipe::replay {

struct VerifyOptions {
  SessionOptions session;  ///< what must be there
  std::string sent;        ///< a log of `mdreplay serve --log`; empty: not looked at, and so on
  std::string journal;     ///< a journal's folder
  std::optional<kafka::Config> kafka;
  std::string topic;         ///< of trades
  std::string store;         ///< a folder of the store, or a file of trade lines
  std::string metrics_file;  ///< a JSON object a line
  std::string metrics_topic;
  std::uint32_t window = 20;  ///< of the metrics, as the run had them
  std::uint32_t every = 10;
  std::optional<std::uint32_t> precision;
};

/// One target and how it compares.
struct TargetReport {
  std::string role;   ///< sent, received, published, stored, metrics
  std::string where;  ///< in words
  bool trades = true;
  Comparison comparison;

  [[nodiscard]] bool is_right() const noexcept;
};

struct VerifyReport {
  std::uint64_t trades = 0;  ///< of the session
  std::uint64_t symbols = 0;
  std::vector<TargetReport> targets;  ///< in the order in which a trade comes to them

  [[nodiscard]] bool is_right() const noexcept;
};

/// Compares with each target that is named, one after the other. ErrorCode::environment where one cannot be read.
[[nodiscard]] Result<VerifyReport> verify_session(const VerifyOptions& options);

/// For people: the ledger, where the trades are, and what differs first at each target; ends with a line end.
[[nodiscard]] std::string to_text(const VerifyReport& report);

/// One line: what is wrong; empty where nothing is.
[[nodiscard]] std::string first_fault(const VerifyReport& report);

}  // namespace mdpipe::replay
