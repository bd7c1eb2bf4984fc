#pragma once
// The folder that the members of a group share: who they are, and which partition belongs to whom.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"

namespace mdpipe::wiring {

/// Thread safety: one thread.
class ConsumerFolder {
 public:
  /// Makes the folder, and its id, where they are not there.
  [[nodiscard]] static Result<ConsumerFolder> open(std::filesystem::path path, std::string holder);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Rides in the metadata of the group's commits: members that keep their states elsewhere notice.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }

  /// Takes the first free place among the members; the same name after a restart, so that a member that comes back soon
  /// is the same one to the group.
  [[nodiscard]] Result<std::string> take_place(const std::string& group);

  /// Refused with the holder's name while another process has it.
  [[nodiscard]] Result<LockFile> lock_partition(std::int32_t partition) const;

 private:
  ConsumerFolder(std::filesystem::path path, std::string holder, std::string id)
      : path_(std::move(path)), holder_(std::move(holder)), id_(std::move(id)) {}

  std::filesystem::path path_;
  std::string holder_;
  std::string id_;
  std::optional<LockFile> place_;
};

}  // namespace mdpipe::wiring
