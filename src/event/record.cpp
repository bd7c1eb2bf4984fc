#include "mdpipe/event/record.hpp"

namespace mdpipe {

std::string_view to_string(FrameReason reason) noexcept {
  switch (reason) {
    case FrameReason::none:
      return "none";
    case FrameReason::not_json:
      return "not JSON";
    case FrameReason::not_an_object:
      return "JSON, but not an object";
    case FrameReason::duplicate_key:
      return "a trade has a key twice";
    case FrameReason::element_not_a_trade:
      return "an element of data is not a trade";
    case FrameReason::data_not_a_list:
      return "data is not a list";
    case FrameReason::type_missing:
      return "no type";
    case FrameReason::number_out_of_range:
      return "a number is out of range";
    case FrameReason::too_large:
      return "larger than --max-frame";
    case FrameReason::not_utf8:
      return "not UTF-8";
    case FrameReason::too_many_symbols:
      return "more symbols than the journal may name";
    case FrameReason::binary:
      return "a binary message";
    case FrameReason::cut_off:
      return "the connection ended within the message";
  }
  return "an unknown reason";
}

std::string_view to_string(FrameKind kind) noexcept {
  switch (kind) {
    case FrameKind::trades:
      return "trades";
    case FrameKind::partly_bad:
      return "partly bad";
    case FrameKind::ping:
      return "ping";
    case FrameKind::error:
      return "error";
    case FrameKind::other:
      return "other";
    case FrameKind::bad:
      return "bad";
    case FrameKind::bad_truncated:
      return "bad, truncated";
  }
  return "unknown";
}

std::string_view to_string(SessionKind kind) noexcept {
  switch (kind) {
    case SessionKind::connected:
      return "connected";
    case SessionKind::subscribed:
      return "subscribed";
    case SessionKind::gap:
      return "gap";
    case SessionKind::stale:
      return "stale";
    case SessionKind::disconnected:
      return "disconnected";
  }
  return "unknown";
}

}  // namespace mdpipe
