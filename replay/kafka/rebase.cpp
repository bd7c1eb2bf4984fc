#include "replay/kafka/rebase.hpp"

#include <algorithm>

#include "mdpipe/base/json_text.hpp"

namespace mdpipe::replay {

std::uint64_t shift_times(std::string_view frame, std::span<const FrameElement> elements, std::int64_t shift_ms,
                          std::string& out, std::vector<FrameElement>& moved) {
  std::uint64_t cut = 0;
  std::size_t copied = 0;
  out.clear();
  moved.assign(elements.begin(), elements.end());
  for (FrameElement& element : moved) {
    const std::size_t begin = std::size_t{element.offset} + element.time_offset;
    element.offset = static_cast<std::uint32_t>(out.size() + (element.offset - copied));
    if (!element.is_trade) {
      continue;
    }
    out.append(frame.substr(copied, begin - copied));
    copied = begin + element.time_length;
    std::int64_t time_ms = 0;
    const bool beyond = __builtin_add_overflow(element.exchange_time_ms, shift_ms, &time_ms);
    const std::int64_t kept_ms = beyond ? (shift_ms > 0 ? kExchangeTimeMaxMs : -kExchangeTimeMaxMs)
                                        : std::clamp(time_ms, -kExchangeTimeMaxMs, kExchangeTimeMaxMs);
    cut += beyond || kept_ms != time_ms ? 1 : 0;
    const std::size_t digits = out.size();
    append_number(kept_ms, out);
    element.exchange_time_ms = kept_ms;
    element.length -= element.time_length;
    element.time_length = static_cast<std::uint32_t>(out.size() - digits);
    element.length += element.time_length;
  }
  out.append(frame.substr(copied));
  return cut;
}

}  // namespace mdpipe::replay
