#include "publish_cursor.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include <fmt/format.h>

#include "mdpipe/base/state_file.hpp"

namespace mdpipe::stage {
namespace {

constexpr const char* kKind = "publish";

}  // namespace

std::filesystem::path cursor_path(const std::filesystem::path& directory, const std::string& cluster_id) {
  std::string name = "publish-" + cluster_id + ".state";
  std::replace(name.begin(), name.end(), '/', '_');
  return directory / name;
}

Result<std::optional<PublishCursor>> load_cursor(const std::filesystem::path& path,
                                                 const std::array<std::string, kDestinations>& topics) {
  auto state = StateFile(path, kKind).load();
  if (!state) {
    return tl::unexpected(state.error());
  }
  if (!*state) {
    return std::nullopt;
  }
  PublishCursor cursor;
  cursor.settled = (*state)->position;
  std::string_view rest = (*state)->payload;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    char topic[256];
    std::size_t partition = 0;
    PartitionCursor one;
    if (std::sscanf(line.c_str(), "%255s %zu %" SCNd64 " %" SCNu64, topic, &partition, &one.offset, &one.last) !=
        4) {  // NOLINT(cert-err34-c): written by us, under a checksum
      return fail(ErrorCode::data, fmt::format("{}: \"{}\" is no line of a publisher's state", path.string(), line));
    }
    const auto* const found = std::find(topics.begin(), topics.end(), topic);
    if (found == topics.end()) {
      continue;  // of a topic that has another name now: begins anew
    }
    auto& partitions = cursor.partitions[static_cast<std::size_t>(found - topics.begin())];
    if (partition != partitions.size()) {
      return fail(ErrorCode::data, fmt::format("{}: partitions of {} are not in order", path.string(), topic));
    }
    partitions.push_back(one);
  }
  return cursor;
}

Result<void> save_cursor(const std::filesystem::path& path, const PublishCursor& cursor,
                         const std::array<std::string, kDestinations>& topics) {
  std::string payload;
  for (std::size_t topic = 0; topic < kDestinations; ++topic) {
    for (std::size_t i = 0; i < cursor.partitions[topic].size(); ++i) {
      const PartitionCursor& one = cursor.partitions[topic][i];
      payload += fmt::format("{} {} {} {}\n", topics[topic], i, one.offset, one.last);
    }
  }
  return StateFile(path, kKind).save(cursor.settled, payload);
}

}  // namespace mdpipe::stage
