#pragma once
// A --faults file with each kind in it, as --help shows it and a test reads it.

#include <string_view>

namespace mdpipe::replay {

inline constexpr std::string_view kFaultsExample =
    R"(# When: trade = N (at the frame with the connection's N-th trade), time = SECONDS into the session or "2013-10-07T14:30:00Z",
# or rate = P (at each frame with this probability). connection = N: only on the N-th, refused ones counted.
# A frame meets one fault, the first in the file; what waits for a trade or a time then strikes the next frame.
[[fault]]
kind = "close"            # behind the frame; no code: no close frame; reset = true: a TCP reset
trade = 500
code = 1012
connection = 1

[[fault]]
kind = "silence"          # nothing behind the frame; no seconds: for good. pings = true: pings and pongs go on
time = 30.0
seconds = 5.0
pings = true

[[fault]]
kind = "stall"            # the same in the middle of the frame
trade = 900
connection = 2

[[fault]]
kind = "fragment"         # the message in several frames
rate = 0.01
parts = 3

[[fault]]
kind = "duplicate"        # the message several times
rate = 0.001
times = 3

[[fault]]
kind = "reorder"          # so many messages in another order
rate = 0.001
window = 4

[[fault]]
kind = "corrupt"          # so many bytes of the payload changed; ascii = true: it stays UTF-8
rate = 0.0005
bytes = 1
ascii = true

[[fault]]
kind = "malformed"        # one of these behind the frame; no list: any of them
rate = 0.001
payloads = ["truncated", "garbage", "empty", "nan", "huge_number", "twice_a_key", "nested", "no_object", "mistyped",
            "missing_field", "binary", "not_utf8", "reserved_bits", "opcode"]   # the last three end the connection

[[fault]]
kind = "drip"             # the frame a few bytes at a time
rate = 0.0001
bytes = 16
every_ms = 5

[[fault]]
kind = "refuse"           # the handshake, with a status
connection = 3
status = 503
retry_after_s = 2

[[fault]]
kind = "slow"             # the handshake's answer comes late
rate = 0.1
seconds = 0.5
)";

}  // namespace mdpipe::replay
