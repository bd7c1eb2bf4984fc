#pragma once
// What the texts of RunOptions mean: everything that can be judged before anything is opened.

#include <optional>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/feed/session.hpp"
#include "mdpipe/journal/options.hpp"
#include "mdpipe/kafka/config.hpp"
#include "mdpipe/stage/aggregate.hpp"
#include "mdpipe/stage/store.hpp"
#include "mdpipe/wiring/placement.hpp"
#include "mdpipe/wiring/run_options.hpp"
#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {

enum class Broker : std::uint8_t { none, embedded, real };

struct RunPlan {
  feed::SessionOptions session;
  journal::WriterOptions journal;
  Broker broker = Broker::real;
  kafka::Config kafka;  ///< of a real broker; the embedded one says where it is when it runs
  TopicNames topics;
  bool publishes = false;
  bool aggregates = false;
  bool stores = false;
  stage::AggregateOptions aggregate;
  stage::StoreOptions store;
  std::optional<Endpoint> listen;
  ThreadPlans threads;
  std::int64_t drain_ns = 0;
};

inline constexpr const char* kFeedThread = "feed";
inline constexpr const char* kPublishThread = "publish";
inline constexpr const char* kAggregateThread = "aggregate";
inline constexpr const char* kStoreThread = "store";

/// ErrorCode::usage where an option makes no sense; ErrorCode::environment where a file it names cannot be read. Reads
/// FINNHUB_API_KEY where no token file is named.
[[nodiscard]] Result<RunPlan> make_run_plan(const RunOptions& options);

}  // namespace mdpipe::wiring
