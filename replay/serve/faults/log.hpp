#pragma once
/// \file
/// What was done to whom on purpose, one JSON object a line, written when it has reached the wire (a pause: when it
/// begins). No line holds a time: the same seed gives the same lines.
///   {"connection":1,"message":17,"frame":17,"kind":"corrupt","line":4,"wire":"BASE64"}
/// connection  as in the send log: accepted connections, those refused too, counted from 1
/// message     messages sent on it so far, which are the send log's frames; with what the fault has sent or struck
/// frame       which of the frames that the session had for this connection was struck; a handshake: 0
/// line        where in the --faults file the fault stands
/// and what is needed to tell the bytes on the wire from the messages of the send log:
///   close      code (null: none), reset
///   silence    seconds (null: for good), pings
///   stall      seconds, sent_bytes (of the frame, before the stall), frame_bytes; message does not count it yet
///   fragment   wire: the frames (the send log has the message)
///   duplicate  times
///   reorder    order: the frames of the window as they were sent, counted from 0 = the one struck
///   corrupt    wire: the frame (the send log has its payload)
///   malformed  payload, wire: the frame behind the one struck; reserved_bits and opcode are no messages and not in the
///              send log
///   drip       bytes, every_ms; message does not count it yet
///   refuse     status     slow  seconds

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "replay/serve/line_file.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class FaultLog {
 public:
  FaultLog() = default;  ///< keeps nothing
  [[nodiscard]] static Result<FaultLog> create(const std::filesystem::path& path);

  /// `note`: the members from "frame" on.
  void add(std::uint64_t connection, std::uint64_t message, std::string_view note);

  /// To the file with what is kept back.
  [[nodiscard]] Result<void> flush() { return lines_.flush(); }

 private:
  LineFile lines_;
};

}  // namespace mdpipe::replay
