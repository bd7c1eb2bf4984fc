// mdpipe, but for one thing: a consumer's state does not keep the filter's last positions. Never installed; a test
// shows that what it promises of raw duplicates does not hold then. Linked with --wrap, so that no source has a switch
// for it.

#include <cstdint>
#include <regex>
#include <string>

namespace mdpipe::wiring {

class SourceFilter;

void append_all(const SourceFilter* filter, std::uint64_t more,
                std::string& out) asm("__real_" MDPIPE_SOURCE_FILTER_APPEND);
void append_without_positions(const SourceFilter* filter, std::uint64_t more,
                              std::string& out) asm("__wrap_" MDPIPE_SOURCE_FILTER_APPEND);

void append_without_positions(const SourceFilter* filter, std::uint64_t more, std::string& out) {
  std::string all;
  append_all(filter, more, all);
  static const std::regex positions(" f[0-9]+:[0-9]+");
  out += std::regex_replace(all, positions, "");
}

}  // namespace mdpipe::wiring
