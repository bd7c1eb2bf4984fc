#pragma once
/// \file
/// Options → a running pipeline, and back down again in order.
///
///     open:  journal · stages · health listener · their threads · feed
///     down:  feed stops · journal is complete · aggregate and store drain · publish drains · cursors, journal close

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mdpipe/base/error.hpp"
#include "mdpipe/wiring/run_options.hpp"

namespace mdpipe::wiring {

/// How a run ended, in numbers that must add up; text() says each difference by name.
struct RunSummary {
  struct Frames {
    std::uint64_t received = 0;
    std::uint64_t trades = 0;  ///< frames all or some of whose elements were trades
    std::uint64_t pings = 0;
    std::uint64_t errors = 0;
    std::uint64_t other = 0;
    std::uint64_t bad = 0;  ///< whole frames dead-lettered
    std::uint64_t partly_bad =
        0;  ///< counted among `trades` too: their good trades went on, the frame was dead-lettered
  } frames;
  std::uint64_t trades = 0;
  bool publishes = false;
  bool aggregates = false;
  bool stores = false;
  std::uint64_t published = 0;
  std::uint64_t already_published = 0;  ///< found in the topic when we started: not sent again
  std::uint64_t stored = 0;
  std::uint64_t metrics = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t refused = 0;             ///< trades that Kafka will never take: dead-lettered
  std::uint64_t earlier_to_publish = 0;  ///< trades of earlier runs that this one still had to publish …
  std::uint64_t earlier_to_store = 0;    ///< … or to store
  std::uint64_t connections = 0;
  std::uint64_t gaps = 0;            ///< times that the venue may have sent trades which nobody heard
  std::vector<std::string> left;     ///< what is still to do when the patience ended; it stays in the journal
  std::vector<std::string> lost;     ///< by damage in the journal, which the stages went on behind
  std::vector<std::string> outputs;  ///< where everything is

  /// Nothing is left to do, and yet a count is not what the others say: a defect.
  [[nodiscard]] bool contradicts_itself() const noexcept { return left.empty() && !adds_up(); }
  [[nodiscard]] bool adds_up() const noexcept;
  [[nodiscard]] std::string text() const;
};

/// Thread safety: open(), run() and summary() by one thread; stop() by any, and from a signal handler.
class Pipeline {
 public:
  /// Everything that can be refused is refused here, before a byte is read from the feed.
  [[nodiscard]] static Result<std::unique_ptr<Pipeline>> open(const RunOptions& options);

  virtual ~Pipeline() = default;

  /// Runs until the feed closes in good order (with once), is refused (with fail_fast), a stage fails for good, or
  /// stop(). Then drains. `progress` gets one line about once a second.
  [[nodiscard]] virtual Result<void> run(const std::function<void(const std::string&)>& progress) = 0;

  virtual void stop() noexcept = 0;

  [[nodiscard]] virtual RunSummary summary() const = 0;

  /// After run(): a stage did not let go within a second of the end of its patience, and its thread still runs. The
  /// destructor would wait for it: leave by std::_Exit(). The journal is closed; nothing of it is lost.
  [[nodiscard]] virtual bool hangs() const noexcept = 0;
};

}  // namespace mdpipe::wiring
