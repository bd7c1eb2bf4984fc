#include "venue_memory.hpp"

#include <utility>

#include "mdpipe/base/file.hpp"
#include "mdpipe/ops/log.hpp"

namespace mdpipe::wiring {

VenueMemory::VenueMemory(std::filesystem::path directory)
    : directory_(std::move(directory)), file_(directory_ / "venue", "venue not before") {}

std::int64_t VenueMemory::not_before_ns(const std::string& url) {
  const auto state = file_.load();
  if (!state || !*state || (*state)->payload != url) {
    return 0;
  }
  kept_ns_ = static_cast<std::int64_t>((*state)->position);
  return kept_ns_;
}

void VenueMemory::keep(const std::string& url, std::int64_t not_before_ns) {
  if (not_before_ns == 0 || not_before_ns == kept_ns_) {
    return;
  }
  kept_ns_ = not_before_ns;
  auto saved = make_directories(directory_);
  if (saved) {
    saved = file_.save(static_cast<std::uint64_t>(not_before_ns), url);
  }
  if (!saved) {
    ops::log(ops::LogLevel::warning, "feed", "a restart will not know how long to wait",
             {{"why", saved.error().message}});
  }
}

}  // namespace mdpipe::wiring
