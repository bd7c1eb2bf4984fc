#pragma once
// Getting to know a cluster: are the topics there and fit, and how far had we got?

#include <cstddef>
#include <optional>
#include <string>

#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/producer.hpp"
#include "mdpipe/stage/publish.hpp"
#include "publish_cursor.hpp"

namespace mdpipe::stage {

struct Connection {
  std::string cluster_id;
  PublishCursor cursor;
  std::size_t batch_bytes = kafka::kUsualBatchBytes;  ///< each of the topics takes batches of this size
  std::string alarm;  ///< something is not as it was, and we go on all the same; empty where all is well
};

/// `for_good`: trying again will not help; somebody must act.
struct ConnectFailure {
  Error error;
  bool for_good = false;
};

/// Asks, checks, scans. `known`: what this process knows already (a rebuild); else the cluster's state file is read,
/// and where there is none one is written before anything is sent. Takes seconds where brokers are away.
[[nodiscard]] tl::expected<Connection, ConnectFailure> connect_cluster(const PublishOptions& options,
                                                                       const std::optional<PublishCursor>& known,
                                                                       kafka::Admin& admin);

/// The alarm where somebody has added partitions while we run.
[[nodiscard]] std::string more_partitions(const std::string& topic, std::size_t now, std::size_t pinned);

}  // namespace mdpipe::stage
