#include "replay/serve/faults/line.hpp"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "mdpipe/base/base64.hpp"
#include "replay/serve/faults/effect.hpp"
#include "replay/session/json_scanner.hpp"

namespace mdpipe::replay {
namespace {

std::string wire_text(std::string_view wire) {
  return fmt::format(R"(,"wire":"{}")", base64_encode(wire));
}

std::string seconds_text(const Fault& fault) {
  return fault.pause_ms ? fmt::format(R"(,"seconds":{})", *fault.pause_ms / 1000.0) : R"(,"seconds":null)";
}

std::string framed(std::string_view text) {
  std::string wire;
  append_frame(Opcode::text, text, wire);
  return wire;
}

}  // namespace

void FaultLine::note(const Fault& fault, std::string_view more, std::size_t bytes_before_end) {
  const std::uint64_t frame = reordering_ != nullptr ? reordering_since_ : trigger_.frame();
  out_.append_note(fmt::format(R"("frame":{},"kind":"{}","line":{}{})", frame, name_of(fault.kind), fault.line, more),
                   bytes_before_end);
}

void FaultLine::offer(std::string_view text, bool is_json, std::uint32_t trade_count, std::int64_t schedule_ns) {
  if (over_) {
    return;
  }
  trigger_.count(trade_count, schedule_ns);
  if (reordering_ != nullptr) {
    window_.push_back({std::string(text), is_json, trade_count});
    if (window_.size() == reordering_->window) {
      flush();
    }
    return;
  }
  const Frame frame{text, is_json, trade_count};
  if (const Fault* const fault = trigger_.strike(); fault != nullptr) {
    strike(*fault, frame);
  } else {
    send(frame);
  }
}

void FaultLine::strike(const Fault& fault, const Frame& frame) {
  Random random = chance_of(plan_, fault, connection_, trigger_.frame());
  random.next();  // whether it strikes was decided by the first
  switch (fault.kind) {
    case FaultKind::close:
      end_behind(fault, frame);
      return;
    case FaultKind::silence:
      send(frame);
      note(fault, fmt::format(R"({},"pings":{})", seconds_text(fault), fault.pings));
      pause(fault, 0);
      return;
    case FaultKind::stall:
      stall(fault, frame, random);
      return;
    case FaultKind::fragment: {
      const std::string wire = fragmented(frame.text, fault.parts, random);
      out_.append_message(wire, frame.text, frame.is_json, frame.trade_count);
      note(fault, wire_text(wire));
      return;
    }
    case FaultKind::duplicate:
      for (std::uint32_t i = 0; i < fault.times; ++i) {
        send(frame);
      }
      note(fault, fmt::format(R"(,"times":{})", fault.times));
      return;
    case FaultKind::reorder:
      reordering_ = &fault;
      reordering_since_ = trigger_.frame();
      window_.push_back({std::string(frame.text), frame.is_json, frame.trade_count});
      return;
    case FaultKind::corrupt:
      corrupt(fault, frame, random);
      return;
    case FaultKind::malformed:
      send_malformed(fault, frame, random);
      return;
    case FaultKind::drip:
      drip(fault, frame);
      return;
    case FaultKind::refuse:
    case FaultKind::slow:
      return;  // no frame's
  }
}

void FaultLine::end_behind(const Fault& fault, const Frame& frame) {
  send(frame);
  const bool with_code = fault.code != 0;
  note(fault,
       with_code ? fmt::format(R"(,"code":{})", fault.code) : fmt::format(R"(,"code":null,"reset":{})", fault.reset));
  out_.append_hold({with_code ? Hold::Kind::close : fault.reset ? Hold::Kind::reset : Hold::Kind::end, 0, fault.code});
  over_ = true;
}

void FaultLine::pause(const Fault& fault, std::size_t bytes_before_end) {
  if (fault.pause_ms) {
    out_.append_hold({Hold::Kind::pause, *fault.pause_ms, 0, fault.pings}, bytes_before_end);
  } else {
    out_.append_hold({Hold::Kind::mute, 0, 0, fault.pings}, bytes_before_end);
    over_ = true;
  }
}

void FaultLine::stall(const Fault& fault, const Frame& frame, Random& random) {
  const std::size_t wire_bytes = framed(frame.text).size();
  const std::size_t sent_bytes = 1 + random.below(wire_bytes - 1);
  send(frame);
  note(fault, fmt::format(R"({},"sent_bytes":{},"frame_bytes":{})", seconds_text(fault), sent_bytes, wire_bytes),
       wire_bytes - sent_bytes);
  pause(fault, wire_bytes - sent_bytes);
}

void FaultLine::corrupt(const Fault& fault, const Frame& frame, Random& random) {
  const std::string text = corrupted(frame.text, fault.bytes, fault.ascii, random);
  FrameShape shape;
  const std::uint32_t trades = FrameParser(symbols_).parse(text, shape) ? shape.trade_count : 0;
  out_.append_text(text, /*is_json=*/false, trades);
  note(fault, wire_text(framed(text)));
  if (!is_utf8(text)) {  // RFC 6455: the client closes, and is to hear nothing more
    out_.append_hold({Hold::Kind::mute});
    over_ = true;
  }
}

void FaultLine::send_malformed(const Fault& fault, const Frame& frame, Random& random) {
  const Malformed payload = fault.payloads[random.below(fault.payloads.size())];
  const BadMessage bad = bad_message(payload, frame.text, random);
  send(frame);
  if (bad.is_message) {
    out_.append_message(bad.wire, bad.text, /*is_json=*/false, 0);
  } else {
    out_.append_raw(bad.wire);
  }
  note(fault, fmt::format(R"(,"payload":"{}"{})", name_of(payload), wire_text(bad.wire)));
  if (bad.ends_connection) {
    out_.append_hold({Hold::Kind::mute});
    over_ = true;
  }
}

void FaultLine::drip(const Fault& fault, const Frame& frame) {
  const std::size_t wire_bytes = framed(frame.text).size();
  send(frame);
  note(fault, fmt::format(R"(,"bytes":{},"every_ms":{})", fault.bytes, fault.every_ms),
       wire_bytes - std::min<std::size_t>(fault.bytes, wire_bytes - 1));
  for (std::size_t sent = fault.bytes; sent < wire_bytes; sent += fault.bytes) {
    out_.append_hold({Hold::Kind::pause, fault.every_ms}, wire_bytes - sent);
  }
}

void FaultLine::flush() {
  if (reordering_ == nullptr) {
    return;
  }
  std::vector<std::size_t> order(window_.size());
  if (window_.size() > 1) {
    Random random = chance_of(plan_, *reordering_, connection_, reordering_since_);
    random.next();
    order = shuffled(window_.size(), random);
  }
  for (const std::size_t i : order) {
    send({window_[i].text, window_[i].is_json, window_[i].trade_count});
  }
  if (window_.size() > 1) {
    note(*reordering_, fmt::format(R"(,"order":[{}])", fmt::join(order, ",")));
  }
  window_.clear();
  reordering_ = nullptr;
}

}  // namespace mdpipe::replay
