#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"
#include "mdpipe/kafka/admin.hpp"
#include "mdpipe/kafka/consumer.hpp"
#include "mdpipe/kafka/message_header.hpp"
#include "mdpipe/kafka/partitioner.hpp"
#include "replay/session/frame_parser.hpp"
#include "replay/verify/target_entries.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::chrono::milliseconds kAskTimeout{10'000};
constexpr int kWaitMs = 500;
constexpr std::int64_t kPatienceNs = 60 * kNanosecondsPerSecond;  // without a message or an end
constexpr std::string_view kBlanks = " \t\r\n";

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

class TopicEntries final : public EntryStream {
 public:
  TopicEntries(const TopicOptions& options, const WantedSymbols& wanted)
      : options_(options), wanted_(wanted), parser_(symbols_) {}

  Result<void> open();
  Result<bool> next(Entry& out) override;
  [[nodiscard]] std::vector<Finding> findings() const override;

 private:
  struct Counted {
    std::uint64_t count = 0;
    std::string first;
  };
  void note(Counted& what, const kafka::IncomingMessage& message) const {
    if (what.count++ == 0) {
      what.first = fmt::format("{}[{}] offset {}", options_.topic, message.partition, message.offset);
    }
  }
  [[nodiscard]] bool take(const kafka::IncomingMessage& message, Entry& out);
  [[nodiscard]] bool passes_the_filter(const kafka::IncomingMessage& message);
  void reached(std::int32_t partition, std::int64_t next_offset);

  const TopicOptions& options_;
  const WantedSymbols& wanted_;
  SymbolTable symbols_;
  FrameParser parser_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::int32_t partitions_ = 0;
  std::map<std::int32_t, kafka::OffsetRange> left_;                       // partitions that are not at their end
  std::map<std::pair<std::int32_t, std::uint64_t>, std::uint64_t> last_;  // position by partition and source
  std::map<std::int32_t, bool> cut_;                                      // retention has taken its beginning
  std::uint64_t messages_ = 0;
  std::uint64_t foreign_ = 0;
  std::uint64_t duplicates_ = 0;
  Counted gaps_;
  Counted not_trades_;
  Counted other_keys_;
  Counted misplaced_;
  Counted bad_headers_;
  std::string text_;
};

Result<void> TopicEntries::open() {
  auto admin = kafka::Admin::connect(options_.kafka);
  if (!admin) {
    return tl::unexpected(admin.error());
  }
  const auto topic = (*admin)->describe(options_.topic, kAskTimeout);
  if (!topic) {
    return tl::unexpected(topic.error());
  }
  if (topic->partitions == 0) {
    return fail(ErrorCode::environment,
                fmt::format("there is no topic {} at {}", options_.topic, options_.kafka.bootstrap));
  }
  partitions_ = topic->partitions;
  std::vector<kafka::PartitionOffset> from;
  for (std::int32_t partition = 0; partition < partitions_; ++partition) {
    const auto range = (*admin)->offsets(options_.topic, partition, kAskTimeout);
    if (!range) {
      return tl::unexpected(range.error());
    }
    cut_[partition] = range->begin != 0;
    if (range->end > range->begin) {
      left_[partition] = *range;
      from.push_back({partition, range->begin, {}});
    }
  }
  kafka::ConsumerOptions options;
  options.topic = options_.topic;
  options.group = "mdreplay-verify";  // commits nothing
  auto consumer = kafka::Consumer::make(options_.kafka, options);
  if (!consumer) {
    return tl::unexpected(consumer.error());
  }
  consumer_ = std::move(*consumer);
  return consumer_->read(from);
}

void TopicEntries::reached(std::int32_t partition, std::int64_t next_offset) {
  if (const auto one = left_.find(partition); one != left_.end() && next_offset >= one->second.end) {
    left_.erase(one);
  }
}

Result<bool> TopicEntries::next(Entry& out) {
  std::int64_t heard_ns = 0;
  while (!left_.empty()) {
    const kafka::Incoming incoming = consumer_->next(kWaitMs);
    if (consumer_->failure()) {
      return tl::unexpected(*consumer_->failure());
    }
    const kafka::IncomingMessage& message = incoming.message;
    if (incoming.kind == kafka::Incoming::Kind::nothing) {
      const std::int64_t now_ns = monotonic_clock_ns();
      heard_ns = heard_ns == 0 ? now_ns : heard_ns;
      if (now_ns - heard_ns > kPatienceNs) {
        return fail(ErrorCode::environment,
                    fmt::format("{} gives no message: {}", options_.topic, consumer_->trouble()));
      }
      continue;
    }
    heard_ns = 0;
    if (incoming.kind == kafka::Incoming::Kind::end) {
      reached(message.partition, message.offset);
      continue;
    }
    const auto range = left_.find(message.partition);
    if (range == left_.end()) {
      continue;  // came after we began
    }
    const bool before_the_end = message.offset < range->second.end;
    reached(message.partition, message.offset + 1);
    if (before_the_end && take(message, out)) {
      return true;
    }
  }
  return false;
}

bool TopicEntries::passes_the_filter(const kafka::IncomingMessage& message) {
  if (!message.header) {
    ++foreign_;
    return true;
  }
  const auto header = kafka::decode(*message.header);
  if (!header) {
    note(bad_headers_, message);
    return true;
  }
  const auto [place, is_new] = last_.try_emplace({message.partition, header->source}, 0);
  if (!is_new && header->position <= place->second) {
    ++duplicates_;
    return false;
  }
  if (header->previous != place->second && !(is_new && cut_[message.partition])) {
    note(gaps_, message);
  }
  place->second = header->position;
  return true;
}

bool TopicEntries::take(const kafka::IncomingMessage& message, Entry& out) {
  ++messages_;
  if (!passes_the_filter(message)) {
    return false;
  }
  out.key = message.key;
  out.text = message.value;
  if (options_.trades) {
    const std::string_view value = without_blanks(message.value);
    FrameElement trade{};
    if (!is_utf8(value) || !parser_.parse_trade(value, trade)) {
      note(not_trades_, message);
      return false;
    }
    if (symbols_.text(trade.symbol) != message.key) {
      note(other_keys_, message);
    }
    out.text = without_line_breaks(value, text_);
  }
  if (kafka::partition_of(message.key, partitions_) != message.partition) {
    note(misplaced_, message);
  }
  return wanted_.empty() || wanted_.contains(std::string(message.key));
}

std::vector<Finding> TopicEntries::findings() const {
  std::vector<Finding> all = {{messages_, fmt::format("messages in {} partitions", partitions_), false},
                              {duplicates_, "raw duplicates, dropped by the filter as every reader does", false}};
  if (foreign_ != 0) {
    all.push_back({foreign_, "without our header", false});
  }
  for (const auto& [counted, what] : {std::pair(&gaps_, "gaps: what came before a message is missing"),
                                      std::pair(&not_trades_, "values are no trade"),
                                      std::pair(&other_keys_, "keys are not the symbol of their trade"),
                                      std::pair(&misplaced_, "not in the partition of their key"),
                                      std::pair(&bad_headers_, "headers of another form")}) {
    if (counted->count != 0) {
      all.push_back({counted->count, fmt::format("{}, first at {}", what, counted->first), true});
    }
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<EntryStream>> open_topic_entries(const TopicOptions& options, const WantedSymbols& wanted) {
  auto entries = std::make_unique<TopicEntries>(options, wanted);
  if (auto opened = entries->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  return entries;
}

}  // namespace mdpipe::replay
