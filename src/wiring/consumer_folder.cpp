#include "consumer_folder.hpp"

#include <chrono>
#include <random>
#include <span>
#include <thread>

#include <fmt/format.h>

namespace mdpipe::wiring {
namespace {

constexpr int kPlacesMax = 1000;

/// Under the lock of `lock_path`, so that of two members who come first one makes the id and both have it.
Result<std::string> folder_id(const std::filesystem::path& path, const std::string& holder) {
  const auto id_path = path / "folder-id";
  for (int attempt = 0;; ++attempt) {
    if (auto id = read_file(id_path, 64); id && !id->empty()) {
      return *id;
    }
    if (auto lock = LockFile::acquire(path / "folder-id.lock", holder)) {
      if (auto id = read_file(id_path, 64); id && !id->empty()) {
        return *id;
      }
      std::random_device random;
      const std::string id = fmt::format("{:08x}{:08x}", random(), random());
      if (auto written = replace_file(id_path, std::as_bytes(std::span(id))); !written) {
        return tl::unexpected(written.error());
      }
      return id;
    } else if (attempt == kPlacesMax) {
      return tl::unexpected(lock.error());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

Result<ConsumerFolder> ConsumerFolder::open(std::filesystem::path path, std::string holder) {
  if (auto made = make_directories(path); !made) {
    return tl::unexpected(made.error());
  }
  auto id = folder_id(path, holder);
  if (!id) {
    return tl::unexpected(id.error());
  }
  return ConsumerFolder(std::move(path), std::move(holder), std::move(*id));
}

Result<std::string> ConsumerFolder::take_place(const std::string& group) {
  for (int place = 0;; ++place) {
    auto lock = LockFile::acquire(path_ / fmt::format("member-{}.lock", place), holder_);
    if (lock) {
      place_.emplace(std::move(*lock));
      return fmt::format("{}-{}-{}", group, id_, place);
    }
    if (place == kPlacesMax) {
      return tl::unexpected(lock.error());
    }
  }
}

Result<LockFile> ConsumerFolder::lock_partition(std::int32_t partition) const {
  return LockFile::acquire(path_ / fmt::format("partition-{}.lock", partition), holder_);
}

}  // namespace mdpipe::wiring
