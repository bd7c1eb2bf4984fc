#include "replay/serve/faults/plan.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <span>
#include <utility>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::array<std::string_view, 11> kKindNames = {
    "close", "silence", "stall", "fragment", "duplicate", "reorder", "corrupt", "malformed", "drip", "refuse", "slow"};
constexpr std::array<std::string_view, 14> kMalformedNames = {
    "truncated", "garbage",  "empty",         "nan",    "huge_number", "twice_a_key",   "nested",
    "no_object", "mistyped", "missing_field", "binary", "not_utf8",    "reserved_bits", "opcode"};
constexpr std::uint64_t kOrdinalMax = 1'000'000'000'000;
constexpr double kSecondsMax = 86'400;
constexpr std::uint64_t kPartsMax = 1'000;
constexpr std::uint64_t kWindowMax = 1'000;
constexpr std::uint64_t kBytesMax = 1'000'000;

/// The keys of each kind, besides those that say when.
std::span<const std::string_view> keys_of(FaultKind kind) {
  static constexpr std::array<std::string_view, 2> kClose = {"code", "reset"};
  static constexpr std::array<std::string_view, 2> kSilence = {"seconds", "pings"};
  static constexpr std::array<std::string_view, 1> kSeconds = {"seconds"};
  static constexpr std::array<std::string_view, 1> kParts = {"parts"};
  static constexpr std::array<std::string_view, 1> kTimes = {"times"};
  static constexpr std::array<std::string_view, 1> kWindow = {"window"};
  static constexpr std::array<std::string_view, 2> kBytes = {"bytes", "ascii"};
  static constexpr std::array<std::string_view, 1> kPayloads = {"payloads"};
  static constexpr std::array<std::string_view, 2> kDrip = {"bytes", "every_ms"};
  static constexpr std::array<std::string_view, 2> kRefuse = {"status", "retry_after_s"};
  switch (kind) {
    case FaultKind::close:
      return kClose;
    case FaultKind::silence:
      return kSilence;
    case FaultKind::stall:
    case FaultKind::slow:
      return kSeconds;
    case FaultKind::fragment:
      return kParts;
    case FaultKind::duplicate:
      return kTimes;
    case FaultKind::reorder:
      return kWindow;
    case FaultKind::corrupt:
      return kBytes;
    case FaultKind::malformed:
      return kPayloads;
    case FaultKind::drip:
      return kDrip;
    case FaultKind::refuse:
      return kRefuse;
  }
  return {};
}

bool is_of_handshakes(FaultKind kind) {
  return kind == FaultKind::refuse || kind == FaultKind::slow;
}

/// One [[fault]] being read; the first thing that is wrong with it.
class Reader {
 public:
  Reader(std::string file, const toml::table& table) : file_(std::move(file)), table_(table) {}

  Result<Fault> read() {
    fault_.line = static_cast<int>(table_.source().begin.line);
    read_kind();
    if (!error_) {
      check_keys();
      read_when();
      read_how();
    }
    return error_ ? Result<Fault>(tl::unexpected(*error_)) : Result<Fault>(fault_);
  }

 private:
  void complain(const toml::node* at, const std::string& what) {
    if (!error_) {
      const auto line = at != nullptr ? static_cast<int>(at->source().begin.line) : fault_.line;
      error_ = Error{ErrorCode::usage, fmt::format("{}:{}: {}", file_, line, what)};
    }
  }

  void read_kind() {
    const toml::node* const node = table_.get("kind");
    const auto text = node != nullptr ? node->value_exact<std::string>() : std::nullopt;
    const auto found = std::find(kKindNames.begin(), kKindNames.end(), text.value_or(""));
    if (found == kKindNames.end()) {
      complain(node, fmt::format("kind{}: want one of {}", text ? fmt::format(" = \"{}\"", *text) : "",
                                 fmt::join(kKindNames, ", ")));
      return;
    }
    fault_.kind = static_cast<FaultKind>(found - kKindNames.begin());
  }

  void check_keys() {
    const auto keys = keys_of(fault_.kind);
    const bool handshake = is_of_handshakes(fault_.kind);
    for (const auto& [key, node] : table_) {
      const std::string_view name = key.str();
      const bool known = name == "kind" || name == "rate" || name == "connection" ||
                         (!handshake && (name == "trade" || name == "time")) ||
                         std::find(keys.begin(), keys.end(), name) != keys.end();
      if (!known) {
        complain(&node, fmt::format("{}: there is no such key at \"{}\"; it has {}, and {}", name, name_of(fault_.kind),
                                    fmt::join(keys, ", "),
                                    handshake ? "rate, connection" : "trade, time or rate, connection"));
      }
    }
  }

  template <class Number>
  void number(std::string_view key, std::uint64_t low, std::uint64_t high, Number& out) {
    const toml::node* const node = table_.get(key);
    if (node == nullptr) {
      return;
    }
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < low || static_cast<std::uint64_t>(*value) > high) {
      complain(node, fmt::format("{}: want a whole number, {} to {}", key, low, high));
      return;
    }
    out = static_cast<Number>(*value);
  }

  void boolean(std::string_view key, bool& out) {
    if (const toml::node* const node = table_.get(key); node != nullptr) {
      const auto value = node->value_exact<bool>();
      if (!value) {
        complain(node, fmt::format("{}: want true or false", key));
        return;
      }
      out = *value;
    }
  }

  std::optional<double> real(std::string_view key, double low, double high) {
    const toml::node* const node = table_.get(key);
    if (node == nullptr) {
      return std::nullopt;
    }
    const auto value = node->is_number() ? node->value<double>() : std::nullopt;
    if (!value || !(*value >= low) || *value > high) {
      complain(node, fmt::format("{}: want a number, {} to {}", key, low, high));
      return std::nullopt;
    }
    return value;
  }

  void read_time() {
    const toml::node* const node = table_.get("time");
    if (node == nullptr) {
      return;
    }
    if (const auto text = node->value_exact<std::string>()) {
      const auto time = parse_time_ns(*text);
      if (!time) {
        complain(node, "time: " + time.error().message);
        return;
      }
      fault_.time_ns = *time;
    } else if (const auto seconds = node->is_number() ? real("time", 0, 1e9) : std::nullopt) {
      fault_.time_ns = std::llround(*seconds * double{kNanosecondsPerSecond});
      fault_.time_counts_from_start = true;
    } else {
      complain(node, R"(time: want seconds from the session's start, or a time as "2013-10-07T14:30:00Z")");
    }
  }

  void read_when() {
    number("connection", 1, kOrdinalMax, fault_.connection);
    fault_.rate = real("rate", 0, 1);
    if (is_of_handshakes(fault_.kind)) {
      if (!fault_.rate && fault_.connection == 0) {
        complain(nullptr, fmt::format("\"{}\": say when: connection = N or rate = P", name_of(fault_.kind)));
      }
      return;
    }
    number("trade", 1, kOrdinalMax, fault_.trade);
    read_time();
    const int said = (fault_.trade != 0 ? 1 : 0) + (fault_.time_ns ? 1 : 0) + (fault_.rate ? 1 : 0);
    if (said != 1) {
      complain(nullptr, fmt::format("\"{}\": say when, once: trade = N, time = T or rate = P", name_of(fault_.kind)));
    }
  }

  void read_how() {
    number("code", 1000, 4999, fault_.code);
    boolean("reset", fault_.reset);
    if (fault_.reset && fault_.code != 0) {
      complain(table_.get("reset"), "reset: a connection that is reset has no close code");
    }
    if (const auto seconds = real("seconds", 0.001, kSecondsMax)) {
      fault_.pause_ms = static_cast<std::uint32_t>(std::lround(*seconds * 1000));
    } else if (fault_.kind == FaultKind::slow) {
      complain(nullptr, "\"slow\": say how slow: seconds = N");
    }
    boolean("pings", fault_.pings);
    boolean("ascii", fault_.ascii);
    number("parts", 2, kPartsMax, fault_.parts);
    number("times", 2, kPartsMax, fault_.times);
    number("window", 2, kWindowMax, fault_.window);
    fault_.bytes = fault_.kind == FaultKind::drip ? 16 : 1;
    number("bytes", 1, kBytesMax, fault_.bytes);
    number("every_ms", 1, 60'000, fault_.every_ms);
    number("status", 300, 599, fault_.status);
    number("retry_after_s", 1, 86'400, fault_.retry_after_s);
    read_payloads();
  }

  void read_payloads() {
    const toml::node* const node = table_.get("payloads");
    if (node == nullptr) {
      for (std::size_t i = 0; i < kMalformedNames.size(); ++i) {
        fault_.payloads.push_back(static_cast<Malformed>(i));
      }
      return;
    }
    const toml::array* const list = node->as_array();
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const auto text = list->get(i)->value_exact<std::string>();
      const auto found = std::find(kMalformedNames.begin(), kMalformedNames.end(), text.value_or(""));
      if (found == kMalformedNames.end()) {
        fault_.payloads.clear();
        break;
      }
      fault_.payloads.push_back(static_cast<Malformed>(found - kMalformedNames.begin()));
    }
    if (fault_.payloads.empty()) {
      complain(node, fmt::format("payloads: want a list of {}", fmt::join(kMalformedNames, ", ")));
    }
  }

  std::string file_;
  const toml::table& table_;
  Fault fault_;
  std::optional<Error> error_;
};

}  // namespace

std::string_view name_of(FaultKind kind) noexcept {
  return kKindNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Malformed payload) noexcept {
  return kMalformedNames[static_cast<std::size_t>(payload)];
}

Result<FaultPlan> FaultPlan::read(const std::filesystem::path& path, std::uint64_t seed) {
  if (::access(path.c_str(), R_OK) != 0) {
    return tl::unexpected(system_error(fmt::format("--faults {}", path.string()), errno));
  }
  toml::table table;
  try {
    table = toml::parse_file(path.string());
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::usage,
                fmt::format("{}:{}: {}", path.string(), error.source().begin.line, error.description()));
  }
  FaultPlan plan;
  plan.seed = seed;
  for (const auto& [key, node] : table) {
    const toml::array* const list = node.as_array();
    if (key.str() != "fault" || list == nullptr || !list->is_homogeneous(toml::node_type::table)) {
      return fail(ErrorCode::usage, fmt::format("{}:{}: {}: want [[fault]] tables and nothing else", path.string(),
                                                node.source().begin.line, key.str()));
    }
    for (const toml::node& element : *list) {
      auto fault = Reader(path.string(), *element.as_table()).read();
      if (!fault) {
        return tl::unexpected(fault.error());
      }
      plan.faults.push_back(std::move(*fault));
    }
  }
  if (plan.faults.empty()) {
    return fail(ErrorCode::usage, fmt::format("{}: there is no [[fault]] in it", path.string()));
  }
  return plan;
}

}  // namespace mdpipe::replay
