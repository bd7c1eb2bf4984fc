#pragma once
/// \file
/// What is there: the trades of a journal, of the store's files, of a venue's log; the messages of a topic.

#include <filesystem>
#include <string>
#include <unordered_set>

#include "mdpipe/kafka/config.hpp"
#include "replay/verify/entry_stream.hpp"

namespace mdpipe::replay {

/// Trades of these symbols alone; empty: of all.
using WantedSymbols = std::unordered_set<std::string>;

/// By mdpipe's own reader: what a stage would get. Damage is a fault, and what is behind it is read.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_journal_entries(const std::filesystem::path& directory,
                                                                        const WantedSymbols& wanted);

/// Every trades_YYYY-MM-DD*.jsonl (also .gz, .zst) below a folder in order of name, or one file of trade lines. A line
/// that is no trade, or lies in the file of another date, is a fault.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_store_entries(const std::filesystem::path& path,
                                                                      const WantedSymbols& wanted);

/// What `mdreplay serve --log FILE` says that it sent, on all connections.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_sent_entries(const std::filesystem::path& path,
                                                                     const WantedSymbols& wanted);

/// One JSON object a line, with "symbol": what `aggregated-metrics` holds, in a file.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_metrics_file_entries(const std::filesystem::path& path,
                                                                             const WantedSymbols& wanted);

struct TopicOptions {
  kafka::Config kafka;
  std::string topic;
  bool trades = true;  ///< each value is to be a trade of the symbol that is its key
};

/// From the beginning to what is the end when it is opened. As every reader does, it drops what has a position that is
/// not above the last one of its source in its partition, and counts that.
[[nodiscard]] Result<std::unique_ptr<EntryStream>> open_topic_entries(const TopicOptions& options,
                                                                      const WantedSymbols& wanted);

}  // namespace mdpipe::replay
