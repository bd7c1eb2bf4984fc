#pragma once
/// \file
/// What a session says must be there: its trades, or the metrics that follow from them.

#include "mdpipe/stage/aggregate.hpp"
#include "replay/session/session.hpp"
#include "replay/verify/entry_stream.hpp"

namespace mdpipe::replay {

/// Its trades in order.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_session_entries(const SessionOptions& session, EntryKey key);

/// The metrics of its trades, formed by the stage that forms them in a run.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_metrics_entries(const SessionOptions& session,
                                                                        const stage::AggregateOptions& aggregate);

}  // namespace mdpipe::replay
