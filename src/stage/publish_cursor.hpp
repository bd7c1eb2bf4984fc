#pragma once
// How far a publisher has got in each partition of one cluster, and its file.

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/stage/publish.hpp"

namespace mdpipe::stage {

/// The file of a cluster in `directory`. Payload: one line a partition, "topic partition offset position".
[[nodiscard]] std::filesystem::path cursor_path(const std::filesystem::path& directory, const std::string& cluster_id);
[[nodiscard]] Result<std::optional<PublishCursor>> load_cursor(const std::filesystem::path& path,
                                                               const std::array<std::string, kDestinations>& topics);
[[nodiscard]] Result<void> save_cursor(const std::filesystem::path& path, const PublishCursor& cursor,
                                       const std::array<std::string, kDestinations>& topics);

}  // namespace mdpipe::stage
