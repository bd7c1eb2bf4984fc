#pragma once
/// \file
/// The frames of one connection on their way into its queue, and what goes wrong with them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mdpipe/event/symbol_table.hpp"
#include "replay/serve/faults/plan.hpp"
#include "replay/serve/faults/trigger.hpp"
#include "replay/serve/out_queue.hpp"
#include "replay/session/frame_parser.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class FaultLine {
 public:
  /// All that is referred to must outlive it.
  FaultLine(const FaultPlan& plan, std::uint64_t connection, OutQueue& out, const SessionClock& clock)
      : plan_(plan), out_(out), connection_(connection), trigger_(plan, connection, clock) {}

  /// Queues a frame, or what its fault makes of it.
  void offer(std::string_view text, bool is_json, std::uint32_t trade_count, std::int64_t schedule_ns);
  /// The session is at its end: what waits to be put in another order waits no longer.
  void flush();
  /// A fault has ended the connection, or will once it is reached: nothing that is offered goes out any more.
  [[nodiscard]] bool over() const noexcept { return over_; }

 private:
  struct Frame {
    std::string_view text;
    bool is_json;
    std::uint32_t trade_count;
  };
  struct HeldFrame {
    std::string text;
    bool is_json;
    std::uint32_t trade_count;
  };

  void strike(const Fault& fault, const Frame& frame);
  void send(const Frame& frame) { out_.append_text(frame.text, frame.is_json, frame.trade_count); }
  void end_behind(const Fault& fault, const Frame& frame);
  void stall(const Fault& fault, const Frame& frame, Random& random);
  void corrupt(const Fault& fault, const Frame& frame, Random& random);
  void send_malformed(const Fault& fault, const Frame& frame, Random& random);
  void drip(const Fault& fault, const Frame& frame);
  void pause(const Fault& fault, std::size_t bytes_before_end);
  /// At what is queued; `more`: members of the log's line, each with its comma before it.
  void note(const Fault& fault, std::string_view more, std::size_t bytes_before_end = 0);

  const FaultPlan& plan_;
  OutQueue& out_;
  const std::uint64_t connection_;
  FrameTrigger trigger_;
  const Fault* reordering_ = nullptr;
  std::uint64_t reordering_since_ = 0;  // the frame that was struck
  std::vector<HeldFrame> window_;
  SymbolTable symbols_;  // of corrupted frames, whose trades are counted anew
  bool over_ = false;
};

}  // namespace mdpipe::replay
