#pragma once
// Bytes to and from the venue, each call with a deadline: TCP, and TLS over it. Beast's own time-outs work for
// asynchronous calls only, so the deadlines live here.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"
#include "url.hpp"

namespace mdpipe::feed {

enum class IoStatus : std::uint8_t {
  ok,
  closed,     ///< the peer closed its side
  timed_out,  ///< the deadline passed
  stopped,    ///< somebody asked us to stop
  failed,     ///< see Transport::error()
};

struct IoResult {
  IoStatus status = IoStatus::failed;
  std::size_t bytes = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  /// At least one byte, or why not. `deadline_ns`: monotonic clock.
  [[nodiscard]] virtual IoResult read_some(void* data, std::size_t size, std::int64_t deadline_ns) = 0;
  [[nodiscard]] virtual IoResult write_some(const void* data, std::size_t size, std::int64_t deadline_ns) = 0;

  /// What the last failure was, in words.
  [[nodiscard]] virtual std::string error() const = 0;
};

struct ConnectOptions {
  std::string ca_file;           ///< empty: the system's certificates
  std::int64_t deadline_ns = 0;  ///< monotonic; for name, TCP and TLS together
  int stop_descriptor = -1;      ///< readable = stop
};

/// TCP, and for wss:// TLS of at least 1.2 with the peer's certificate and host name verified; there is no way around
/// it.
[[nodiscard]] Result<std::unique_ptr<Transport>> connect(const Url& url, const ConnectOptions& options);

}  // namespace mdpipe::feed
