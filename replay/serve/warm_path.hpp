#pragma once
/// \file
/// Keeps the kernel's way from a send to a receive in the processor's caches: a connection on the loopback from us to
/// ourselves, over which a few bytes go just before something is due. Seen: a send after 80 ms of rest reaches the
/// receiving socket after 23 µs, and after 4 µs where this went before it.

#include <cstdint>
#include <optional>
#include <utility>

#include "mdpipe/base/file.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class WarmPath {
 public:
  /// Nothing where the loopback does not let us: sends are then a little later.
  [[nodiscard]] static std::optional<WarmPath> make();

  /// Sends and receives some messages, unless too little time is left until then.
  void use_until(std::int64_t monotonic_ns) noexcept;

 private:
  WarmPath(FileDescriptor from, FileDescriptor to) noexcept : from_(std::move(from)), to_(std::move(to)) {}

  FileDescriptor from_;
  FileDescriptor to_;
};

}  // namespace mdpipe::replay
