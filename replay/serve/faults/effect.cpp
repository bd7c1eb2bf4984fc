#include "replay/serve/faults/effect.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/core.h>

#include "replay/serve/websocket.hpp"

namespace mdpipe::replay {
namespace {

constexpr unsigned char kNotFinal = 0x7F;
constexpr unsigned char kReserved = 0x40;
constexpr char kPrintableFirst = ' ';
constexpr char kPrintableLast = '~';
constexpr auto kNoSuchOpcode = static_cast<Opcode>(3);

/// A beginning of `text` that is not all of it and cuts no character in two.
std::string_view truncated(std::string_view text, Random& random) {
  if (text.size() < 2) {
    return "{";
  }
  std::size_t end = 1 + random.below(text.size() - 1);
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return end == 0 ? "{" : text.substr(0, end);
}

std::string garbage(Random& random) {
  std::string text = "~";  // nothing that is JSON begins so
  const std::int64_t count = random.between(1, 78);
  for (std::int64_t i = 0; i < count; ++i) {
    text.push_back(static_cast<char>(random.between(kPrintableFirst, kPrintableLast)));
  }
  return text;
}

std::string payload_of(Malformed payload, std::string_view frame, Random& random) {
  switch (payload) {
    case Malformed::truncated:
      return std::string(truncated(frame, random));
    case Malformed::garbage:
      return garbage(random);
    case Malformed::empty:
      return {};
    case Malformed::nan:
      return R"({"data":[{"p":NaN,"s":"FAULT","t":1,"v":1}],"type":"trade"})";
    case Malformed::huge_number:
      return R"({"data":[{"p":1e999,"s":"FAULT","t":1,"v":1}],"type":"trade"})";
    case Malformed::twice_a_key:
      return R"({"data":[{"p":1,"p":2,"s":"FAULT","t":1,"v":1}],"type":"trade"})";
    case Malformed::nested:
      return std::string("[").append(static_cast<std::size_t>(random.between(1'500, 4'000)), '[');
    case Malformed::no_object:
      return fmt::format("[{}]", frame);
    case Malformed::mistyped:
      return R"({"data":[{"p":"1","s":"FAULT","t":1,"v":1}],"type":"trade"})";
    case Malformed::missing_field:
      return R"({"data":[{"s":"FAULT","t":1}],"type":"trade"})";
    case Malformed::binary:
      return std::string(frame);
    case Malformed::not_utf8:
      return "{\"data\":[{\"s\":\"\xFF\xFE\"}],\"type\":\"trade\"}";
    case Malformed::reserved_bits:
    case Malformed::opcode:
      return "{}";
  }
  return {};
}

}  // namespace

std::string fragmented(std::string_view text, std::uint32_t parts, Random& random) {
  std::vector<std::size_t> cuts = {0};
  for (std::uint32_t i = 1; i < parts; ++i) {
    cuts.push_back(random.below(text.size() + 1));
  }
  cuts.push_back(text.size());
  std::sort(cuts.begin(), cuts.end());
  std::string wire;
  for (std::uint32_t i = 0; i < parts; ++i) {
    const std::size_t head = wire.size();
    append_frame(i == 0 ? Opcode::text : Opcode::continuation, text.substr(cuts[i], cuts[i + 1] - cuts[i]), wire);
    if (i + 1 < parts) {
      wire[head] = static_cast<char>(static_cast<unsigned char>(wire[head]) & kNotFinal);
    }
  }
  return wire;
}

std::string corrupted(std::string_view text, std::uint32_t bytes, bool ascii, Random& random) {
  std::string out(text);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!ascii || (text[i] >= kPrintableFirst && text[i] <= kPrintableLast)) {
      places.push_back(i);
    }
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes, places.size()); ++i) {
    std::swap(places[i], places[i + random.below(places.size() - i)]);
    char& changed = out[places[i]];
    if (ascii) {
      constexpr int kPrintables = kPrintableLast - kPrintableFirst + 1;
      const auto step = static_cast<int>(random.between(1, kPrintables - 1));
      changed = static_cast<char>(kPrintableFirst + (changed - kPrintableFirst + step) % kPrintables);
    } else {
      changed = static_cast<char>(static_cast<unsigned char>(changed) ^ random.between(1, 255));
    }
  }
  return out;
}

BadMessage bad_message(Malformed payload, std::string_view frame, Random& random) {
  BadMessage message;
  message.text = payload_of(payload, frame, random);
  append_frame(payload == Malformed::binary   ? Opcode::binary
               : payload == Malformed::opcode ? kNoSuchOpcode
                                              : Opcode::text,
               message.text, message.wire);
  if (payload == Malformed::reserved_bits) {
    message.wire[0] = static_cast<char>(static_cast<unsigned char>(message.wire[0]) | kReserved);
  }
  message.is_message = payload != Malformed::reserved_bits && payload != Malformed::opcode;
  message.ends_connection = !message.is_message || payload == Malformed::not_utf8;
  return message;
}

std::vector<std::size_t> shuffled(std::size_t count, Random& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = 0; i + 1 < count; ++i) {
    std::swap(order[i], order[i + random.below(count - i)]);
  }
  if (std::is_sorted(order.begin(), order.end())) {
    std::swap(order[0], order[1]);
  }
  return order;
}

std::string refusal(const Fault& fault) {
  constexpr std::string_view kText = "refused on purpose\n";
  const std::string retry_after =
      fault.retry_after_s == 0 ? std::string() : fmt::format("Retry-After: {}\r\n", fault.retry_after_s);
  return fmt::format(
      "HTTP/1.1 {} Refused\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}",
      fault.status, kText.size(), retry_after, kText);
}

}  // namespace mdpipe::replay
