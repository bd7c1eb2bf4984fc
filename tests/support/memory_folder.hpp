#pragma once
// Where tests put files by the thousand, none of which needs a disk.

#include <unistd.h>

#include <filesystem>

namespace mdpipe::testing {

/// A tmpfs where there is one, else the folder for temporary files.
inline std::filesystem::path memory_folder() {
  std::error_code ignored;
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory, ignored) && ::access(memory.c_str(), W_OK) == 0
             ? memory
             : std::filesystem::temp_directory_path();
}

}  // namespace mdpipe::testing
