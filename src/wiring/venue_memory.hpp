#pragma once
// Until when a venue has told us to leave it alone (429, Retry-After), kept beside the journal: whoever starts us again
// shall not make us ask sooner.

#include <cstdint>
#include <filesystem>
#include <string>

#include "mdpipe/base/state_file.hpp"

namespace mdpipe::wiring {

/// Thread safety: none.
class VenueMemory {
 public:
  explicit VenueMemory(std::filesystem::path directory);

  /// Wall clock; 0 where this venue has said nothing, or what was kept cannot be read: then we ask.
  [[nodiscard]] std::int64_t not_before_ns(const std::string& url);

  /// Writes where it is news; 0 is none. A full disk costs the memory, not the run: the log says so.
  void keep(const std::string& url, std::int64_t not_before_ns);

 private:
  std::filesystem::path directory_;
  StateFile file_;
  std::int64_t kept_ns_ = 0;
};

}  // namespace mdpipe::wiring
