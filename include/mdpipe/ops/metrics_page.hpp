#pragma once
/// \file
/// What /metrics says, in Prometheus' text format (version 0.0.4): figures are read when somebody asks, so they cost
/// the threads that keep them nothing.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mdpipe/base/counter.hpp"

namespace mdpipe::ops {

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Thread safety: add everything first; then render() by any thread, one at a time. The functions given are called by
/// that thread.
class MetricsPage {
 public:
  MetricsPage();
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  /// The same name again, with other labels, is another sample of the same family.
  void add_counter(const std::string& name, const std::string& help, const Labels& labels,
                   std::function<double()> value);
  void add_gauge(const std::string& name, const std::string& help, const Labels& labels, std::function<double()> value);
  /// In seconds. The histogram must outlive the page.
  void add_histogram(const std::string& name, const std::string& help, const Labels& labels,
                     const LatencyHistogram& histogram);

  [[nodiscard]] std::string render() const;

  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mdpipe::ops
