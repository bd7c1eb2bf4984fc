#include "source_filter.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "mdpipe/wiring/text.hpp"

namespace mdpipe::wiring {
namespace {

constexpr std::size_t kNumbersMax = 4;
constexpr std::size_t kPartitionsMax = 100'000;

/// "t1:0:25" → t, {1, 0, 25}; false where it is no such word.
bool parse_word(std::string_view word, char& letter, std::vector<std::uint64_t>& numbers) {
  numbers.clear();
  if (word.size() < 2) {
    return false;
  }
  letter = word.front();
  word.remove_prefix(1);
  for (;;) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{} || numbers.size() == kNumbersMax) {
      return false;
    }
    numbers.push_back(number);
    word.remove_prefix(static_cast<std::size_t>(end - word.data()));
    if (word.empty()) {
      return true;
    }
    if (word.front() != ':') {
      return false;
    }
    word.remove_prefix(1);
  }
}

/// The place of a tail; null where the numbers make no sense.
stage::PartitionCursor* tail_of(stage::PublishCursor& tails, std::uint64_t destination, std::uint64_t partition) {
  if (destination >= stage::kDestinations || partition >= kPartitionsMax) {
    return nullptr;
  }
  auto& partitions = tails.partitions[destination];
  partitions.resize(std::max<std::size_t>(partitions.size(), partition + 1));
  return &partitions[partition];
}

}  // namespace

std::uint64_t hash_of_words(std::string_view words) noexcept {
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325U;
  for (const char c : words) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01B3U;
  }
  return hash;
}

SourceFilter::Verdict SourceFilter::judge(std::uint64_t source, Position position, Position previous) const noexcept {
  const auto found = last_.find(source);
  if (found == last_.end()) {
    return from_beginning && previous != 0 ? Verdict::after_gap : Verdict::next;
  }
  if (position <= found->second) {
    return Verdict::duplicate;
  }
  return previous == found->second ? Verdict::next : Verdict::after_gap;
}

void SourceFilter::append(std::uint64_t more, std::string& out) const {
  auto at = std::back_inserter(out);
  fmt::format_to(at, "b{} n{}", from_beginning ? 1 : 0, partitions);
  for (const auto& [source, position] : last_) {
    fmt::format_to(at, " f{}:{}", source, position);
  }
  for (const std::uint64_t rival : rivals) {
    fmt::format_to(at, " r{}", rival);
  }
  for (std::size_t destination = 0; destination < tails.partitions.size(); ++destination) {
    const auto& of_topic = tails.partitions[destination];
    for (std::size_t partition = 0; partition < of_topic.size(); ++partition) {
      fmt::format_to(at, " t{}:{}:{}", destination, partition, of_topic[partition].offset);
      for (const auto& [source, position] : of_topic[partition].others) {
        if (source == more || knows(source)) {
          fmt::format_to(at, " s{}:{}:{}:{}", destination, partition, source, position);
        }
      }
    }
  }
}

Result<SourceFilter> SourceFilter::parse(std::string_view text, const std::string& where) {
  SourceFilter filter;
  std::vector<std::uint64_t> numbers;
  for (const std::string_view word : split(text, ' ')) {
    char letter = 0;
    stage::PartitionCursor* tail = nullptr;
    bool good = parse_word(word, letter, numbers);
    if (good && letter == 'b' && numbers.size() == 1) {
      filter.from_beginning = numbers[0] != 0;
    } else if (good && letter == 'n' && numbers.size() == 1) {
      filter.partitions = static_cast<std::int32_t>(numbers[0]);
    } else if (good && letter == 'f' && numbers.size() == 2) {
      filter.last_[numbers[0]] = numbers[1];
    } else if (good && letter == 'r' && numbers.size() == 1) {
      filter.rivals.insert(numbers[0]);
    } else if (good && letter == 't' && numbers.size() == 3) {
      tail = tail_of(filter.tails, numbers[0], numbers[1]);
      good = tail != nullptr;
      if (good) {
        tail->offset = static_cast<std::int64_t>(numbers[2]);
      }
    } else if (good && letter == 's' && numbers.size() == 4) {
      tail = tail_of(filter.tails, numbers[0], numbers[1]);
      good = tail != nullptr;
      if (good) {
        tail->others[numbers[2]] = numbers[3];
      }
    } else {
      good = false;
    }
    if (!good) {
      return fail(ErrorCode::data,
                  fmt::format("{}: \"{}\" makes no sense in the state of a topic's reader", where, word));
    }
  }
  return filter;
}

void merge(const stage::PublishCursor& one, stage::PublishCursor& into) {
  for (std::size_t destination = 0; destination < one.partitions.size(); ++destination) {
    auto& target = into.partitions[destination];
    for (std::size_t partition = 0; partition < one.partitions[destination].size(); ++partition) {
      const stage::PartitionCursor& tail = one.partitions[destination][partition];
      if (partition == target.size()) {
        target.push_back(tail);
        continue;
      }
      target[partition].offset = std::min(target[partition].offset, tail.offset);
      for (const auto& [source, position] : tail.others) {
        Position& last = target[partition].others[source];
        last = std::max(last, position);
      }
    }
  }
}

}  // namespace mdpipe::wiring
