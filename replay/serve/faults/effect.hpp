#pragma once
/// \file
/// What a fault makes of a frame: bytes in, bytes out, by the chance that is handed in.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replay/generate/random.hpp"
#include "replay/serve/faults/plan.hpp"

namespace mdpipe::replay {

/// A text message in so many frames (RFC 6455, section 5.4), cut by chance; fragments may be empty.
[[nodiscard]] std::string fragmented(std::string_view text, std::uint32_t parts, Random& random);

/// So many bytes (all, where it has fewer) changed to others; `ascii`: of the printable ASCII ones, to such.
[[nodiscard]] std::string corrupted(std::string_view text, std::uint32_t bytes, bool ascii, Random& random);

struct BadMessage {
  std::string wire;              ///< the frame
  std::string text;              ///< its payload
  bool is_message = true;        ///< false: RFC 6455 knows no such frame
  bool ends_connection = false;  ///< a client that keeps to RFC 6455 closes on it
};
/// `frame`: what some payloads are made of.
[[nodiscard]] BadMessage bad_message(Malformed payload, std::string_view frame, Random& random);

/// 0 … count - 1 in an order that is not this one. Precondition: count > 1.
[[nodiscard]] std::vector<std::size_t> shuffled(std::size_t count, Random& random);

/// The answer to a handshake that is refused.
[[nodiscard]] std::string refusal(const Fault& fault);

}  // namespace mdpipe::replay
