// mdpipe, but for one thing: the publisher does not look at the topics when it begins. Never installed; a test shows
// that what it promises of kills does not hold then. Linked with --wrap, so that no source has a switch for it.

#include "mdpipe/kafka/tail_scan.hpp"

namespace mdpipe::kafka {

// In place of TailScanner::scan(), of all parts of the program: found nothing, as if the partition had been read.
Result<TailScan> scan_nothing(TailScanner* scanner, const std::string& topic, std::int32_t partition, std::int64_t from,
                              std::int64_t end, std::uint64_t source,
                              std::chrono::milliseconds patience) asm("__wrap_" MDPIPE_TAIL_SCANNER_SCAN);

Result<TailScan> scan_nothing(TailScanner* /*scanner*/, const std::string& /*topic*/, std::int32_t /*partition*/,
                              std::int64_t /*from*/, std::int64_t end, std::uint64_t /*source*/,
                              std::chrono::milliseconds /*patience*/) {
  TailScan result;
  result.end = end;
  return result;
}

}  // namespace mdpipe::kafka
