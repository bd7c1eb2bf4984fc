#pragma once
// What a session keeps of each partition that is ours.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "consumer_session.hpp"

namespace mdpipe::wiring {

struct ConsumerSession::Partition {
  std::int32_t number = 0;
  std::optional<LockFile> lock;
  std::string name;      // raw-market-data[0]
  std::string identity;  // with the cluster: what a state must be of
  std::uint64_t foreign_source = 0;
  std::uint64_t dead_letter_source = 0;
  SourceFilter filter;
  SymbolTable symbols;
  std::unique_ptr<stage::Outbox::Port> dead_letters;
  bool dead_letters_full = false;  // until all of them are acknowledged, so that a state can be saved now and then
  std::unique_ptr<Stage> stage;
  stage::Aggregate* aggregate = nullptr;
  stage::Store* store = nullptr;
  Position begin_after = kBeforeEverything;
  std::int64_t next_offset = 0;
  std::int64_t untold = -1;  // the stage is yet to hear that everything before this offset is done with
  std::int64_t committed = -1;
  std::int64_t until = std::numeric_limits<std::int64_t>::max();
};

}  // namespace mdpipe::wiring
