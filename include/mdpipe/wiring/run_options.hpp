#pragma once
/// \file
/// Every option of `mdpipe run`: default, unit, consequence. The texts are as the user gave them; Pipeline::open()
/// judges them.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mdpipe::wiring {

/// Names of the four topics.
struct TopicNames {
  std::string raw = "raw-market-data";
  std::string metrics = "aggregated-metrics";
  std::string alerts = "price-alerts";
  std::string dead_letters = "dead-letter-queue";
};

struct RunOptions {
  // What is heard
  std::string feed = "wss://ws.finnhub.io";      ///< ws:// or wss://; never with the token in it
  std::string symbols = "AAPL,GOOGL,MSFT,TSLA";  ///< A,B or @FILE
  std::string token_file;                        ///< first line of a file of mode 0600; else FINNHUB_API_KEY
  std::string ca_file;                           ///< trust these certificates in place of the system's
  std::uint32_t frame_max_bytes =
      512U << 10U;                ///< a larger message is cut there, dead-lettered, the connection closed (1009)
  std::uint32_t silence_s = 150;  ///< a feed that says nothing for so long is dead
  bool once = false;              ///< when the feed closes in good order: drain, exit 0
  bool fail_fast = false;         ///< exit 4 where the feed refuses us, in place of trying again

  // Where it goes
  std::string journal = "data/journal";
  std::string journal_keep = "10GiB,7d";      ///< segments beyond both stay only as long as a cursor needs them
  std::string kafka;                          ///< HOST:PORT,…, "embedded" or "none"; empty = localhost:9092
  std::vector<std::string> kafka_properties;  ///< key=value for librdkafka, less those that we own
  std::string kafka_config;                   ///< file of such lines
  std::string store = "data/trades";
  std::string stages = "publish,aggregate,store";
  TopicNames topics;

  // How it is shaped
  std::uint32_t window = 20;               ///< trades of a symbol that a metric looks back on
  std::uint32_t every = 10;                ///< trades of a symbol between two metrics
  std::optional<std::uint32_t> precision;  ///< decimals of ratios; nothing = the nearest double, shortest
  std::uint64_t flush_bytes = 1U << 20U;   ///< the store writes at this size …
  std::uint32_t flush_ms = 1000;           ///< … or at this age

  // How it runs
  std::string listen = "127.0.0.1:8000";        ///< health and metrics; "none" for neither
  std::string place;                            ///< feed=2,publish=3
  std::string idle;                             ///< spin, backoff, park; or publish=park,…
  std::uint64_t segment_bytes = 128ULL << 20U;  ///< of the journal
  std::uint32_t drain_s = 8;                    ///< patience after SIGTERM
};

}  // namespace mdpipe::wiring
