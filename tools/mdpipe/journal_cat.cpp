// mdpipe journal cat: the records of a journal, for people or as JSON lines.

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "commands.hpp"
#include "journal_range.hpp"
#include "line_writer.hpp"
#include "mdpipe/base/base64.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/json_text.hpp"
#include "table.hpp"

namespace mdpipe::tools {
namespace {

constexpr std::size_t kExcerptBytes = 100;

struct NamedFlag {
  TradeFlag flag;
  std::string_view name;
};
constexpr NamedFlag kFlags[] = {
    {kTradeLastOfFrame, "last_of_frame"}, {kTradeAfterGap, "after_gap"},
    {kTradeOutOfOrder, "out_of_order"},   {kTradePriceUpdate, "price_update"},
    {kTradeInexact, "inexact"},           {kTradeReceivedBeforeExchange, "received_before_exchange"}};

std::vector<std::string_view> flag_names(const Trade& trade) {
  std::vector<std::string_view> names;
  for (const NamedFlag& one : kFlags) {
    if ((trade.flags & one.flag) != 0) {
      names.push_back(one.name);
    }
  }
  return names;
}

bool is_bad(const RecordView& record) {
  return record.frame_kind() == FrameKind::bad || record.frame_kind() == FrameKind::bad_truncated;
}

/// What a terminal can be shown of bytes that anybody may have sent.
std::string printable(std::string_view bytes, std::size_t bytes_max = kExcerptBytes) {
  std::string text;
  for (const char c : bytes.substr(0, bytes_max)) {
    text += c >= ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return bytes.size() > bytes_max ? text + fmt::format(" … ({} bytes)", bytes.size()) : text;
}

std::string kind_text(const RecordView& record) {
  switch (record.kind()) {
    case RecordKind::frame:
      return std::string(to_string(record.frame_kind()));
    case RecordKind::symbol:
      return "symbol";
    default:
      return std::string(to_string(record.session_kind()));
  }
}

/// Which trades of a record are wanted.
class Choice {
 public:
  explicit Choice(const std::vector<std::string>& symbols) : symbols_(symbols) {}

  [[nodiscard]] bool all() const noexcept { return symbols_.empty(); }
  [[nodiscard]] bool has(std::string_view symbol) const {
    return symbols_.empty() || std::find(symbols_.begin(), symbols_.end(), symbol) != symbols_.end();
  }
  [[nodiscard]] bool has_one_of(const RecordView& record, const SymbolTable& table) const {
    return std::any_of(record.trades().begin(), record.trades().end(),
                       [&](const Trade& trade) { return has(symbol_of(trade, table)); });
  }
  /// A symbol that nothing defined has no text: a reader takes only records whose checksum fits, and yet.
  [[nodiscard]] static std::string_view symbol_of(const Trade& trade, const SymbolTable& table) {
    return trade.symbol_id < table.size() ? table.text(trade.symbol_id) : "?";
  }

 private:
  const std::vector<std::string>& symbols_;
};

std::string details(const RecordView& record) {
  if (record.kind() == RecordKind::symbol) {
    return fmt::format("{} = {}", record.symbol_id(), printable(record.symbol_text()));
  }
  if (record.kind() == RecordKind::session) {
    const SessionPayload session = record.session();
    std::string text = fmt::format("connection {}", session.connection);
    if (record.session_kind() == SessionKind::gap) {
      text += fmt::format(", from {} to {}", time_text(session.from_ns), time_text(session.to_ns));
    }
    if (session.code != 0) {
      text += fmt::format(", code {}", session.code);
    }
    return record.session_text().empty() ? text
                                         : text + ", " + printable(record.session_text(), record.session_text().size());
  }
  const std::size_t trades = record.trades().size();
  std::string text = trades == 0 ? std::string() : fmt::format("{} trade{}", trades, trades == 1 ? "" : "s");
  if (record.frame_reason() != FrameReason::none) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(record.frame_reason()));
  }
  if (record.frame_kind() != FrameKind::trades) {
    text += fmt::format("{}{}", text.empty() ? "" : ": ", printable(record.payload()));
  }
  return text;
}

Result<void> put_text(const RecordView& record, const SymbolTable& table, const Choice& choice, LineWriter& lines) {
  lines.put(fmt::format("{:<14}{}  {:<13} {}", position_text(record.position()),
                        iso_time_ms(floor_to_ms(record.receive_time_ns())), kind_text(record), details(record)));
  if (auto ended = lines.end_line(); !ended) {
    return ended;
  }
  for (const Trade& trade : record.trades()) {
    const std::string_view symbol = Choice::symbol_of(trade, table);
    if (!choice.has(symbol)) {
      continue;
    }
    lines.put(fmt::format("  {:<12}{}  {:<10} {} x {}", position_text(trade.position),
                          iso_time_ms(trade.exchange_time_ms()), printable(symbol), to_string(trade.price()),
                          to_string(trade.size())));
    for (const std::string_view flag : flag_names(trade)) {
      if (flag != "last_of_frame") {
        lines.put(fmt::format("  {}", flag));
      }
    }
    if (auto ended = lines.end_line(); !ended) {
      return ended;
    }
  }
  return {};
}

void put_json_trades(const RecordView& record, const SymbolTable& table, const Choice& choice, LineWriter& lines) {
  lines.put(R"(,"trades":[)");
  std::string_view separator;
  for (const Trade& trade : record.trades()) {
    const std::string_view symbol = Choice::symbol_of(trade, table);
    if (!choice.has(symbol)) {
      continue;
    }
    lines.put(separator);
    separator = ",";
    lines.put(fmt::format(R"({{"position":"{}","symbol":{},"price":{},"size":{},"time_ns":{},"flags":[)",
                          position_text(trade.position), json_string(symbol), to_string(trade.price()),
                          to_string(trade.size()), trade.exchange_time_ns));
    std::string_view comma;
    for (const std::string_view flag : flag_names(trade)) {
      lines.put(fmt::format(R"({}"{}")", comma, flag));
      comma = ",";
    }
    lines.put(R"(],"text":)");
    lines.put_json(record.text(trade));
    lines.put("}");
  }
  lines.put("]");
}

Result<void> put_json(const RecordView& record, const SymbolTable& table, const Choice& choice, LineWriter& lines) {
  lines.put(fmt::format(R"({{"position":"{}","recv_ns":{},"kind":"{}")", position_text(record.position()),
                        record.receive_time_ns(), kind_text(record)));
  if (record.kind() == RecordKind::symbol) {
    lines.put(fmt::format(R"(,"id":{},"symbol":{})", record.symbol_id(), json_string(record.symbol_text())));
  } else if (record.kind() == RecordKind::session) {
    const SessionPayload session = record.session();
    lines.put(fmt::format(R"(,"connection":{},"from_ns":{},"to_ns":{},"code":{},"text":{})", session.connection,
                          session.from_ns, session.to_ns, session.code, json_string(record.session_text())));
  } else {
    if (record.frame_reason() != FrameReason::none) {
      lines.put(fmt::format(R"(,"reason":"{}")", to_string(record.frame_reason())));
    }
    if (is_bad(record)) {
      lines.put(fmt::format(R"(,"raw":"{}")", base64_encode(record.payload())));
    } else if (record.frame_kind() != FrameKind::trades) {
      lines.put(R"(,"frame":)");
      lines.put_json(record.payload());
    }
    put_json_trades(record, table, choice, lines);
  }
  lines.put("}");
  return lines.end_line();
}

Result<void> cat(const JournalCatOptions& options) {
  auto range = JournalRange::open(options.directory, options.from, options.to);
  if (!range) {
    return tl::unexpected(range.error());
  }
  LineWriter lines("-");
  if (auto opened = lines.open(); !opened) {
    return opened;
  }
  const Choice choice(options.symbols);
  std::uint64_t count = 0;
  while (options.limit == 0 || count < options.limit) {
    const auto record = range->next();
    if (!record) {
      break;
    }
    if (choice.all() || choice.has_one_of(*record, range->symbols())) {
      auto put = options.json ? put_json(*record, range->symbols(), choice, lines)
                              : put_text(*record, range->symbols(), choice, lines);
      if (!put) {
        return put;
      }
      ++count;
    }
  }
  // What was good is written all the same.
  if (auto flushed = lines.flush(); !flushed) {
    return flushed;
  }
  return range->end();
}

}  // namespace

int journal_cat(const JournalCatOptions& options) {
  const auto done = cat(options);
  return done ? 0 : report(done.error());
}

}  // namespace mdpipe::tools
