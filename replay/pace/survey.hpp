#pragma once
/// \file
/// What a session holds, found out by a thread that has only the time that nobody else wants: how much there is to
/// play, for whoever asks how much is left, and the digest, for the report.

#include <memory>
#include <optional>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/thread.hpp"
#include "replay/session/summary.hpp"

namespace mdpipe::replay {

/// Thread safety: any thread.
class SessionSurvey {
 public:
  /// Nothing is surveyed that can be read but once (a pipe).
  explicit SessionSurvey(SessionOptions options);
  SessionSurvey(const SessionSurvey&) = delete;
  SessionSurvey& operator=(const SessionSurvey&) = delete;
  ~SessionSurvey();

  /// Reads it in the background.
  [[nodiscard]] Result<void> start();
  /// Null until it is known, and for good where the session is damaged. Stays valid.
  [[nodiscard]] const SessionSummary* known() const noexcept;
  /// Waits for it; reads it now where nobody has begun to. Null where the session cannot be read through.
  [[nodiscard]] const SessionSummary* wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::replay
