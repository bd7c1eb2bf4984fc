#include "mdpipe/ops/metrics_page.hpp"

#include <limits>
#include <utility>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace mdpipe::ops {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric::Histogram read_histogram(const LatencyHistogram& histogram) {
  constexpr double kMicrosecond = 1e-6;
  constexpr double kNanosecond = 1e-9;
  ClientMetric::Histogram read;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    cumulative += histogram.bucket(i);
    const bool last = i + 1 == LatencyHistogram::kBuckets;
    read.bucket.push_back({cumulative, last ? std::numeric_limits<double>::infinity()
                                            : static_cast<double>(LatencyHistogram::bound_us(i)) * kMicrosecond});
  }
  read.sample_count = cumulative;
  read.sample_sum = static_cast<double>(histogram.sum_ns()) * kNanosecond;
  return read;
}

}  // namespace

struct MetricsPage::State {
  struct Sample {
    std::vector<ClientMetric::Label> labels;
    std::function<void(ClientMetric&)> read;
  };
  struct Family {
    std::string name;
    std::string help;
    MetricType type;
    std::vector<Sample> samples;
  };
  std::vector<Family> families;

  void add(const std::string& name, const std::string& help, MetricType type, const Labels& labels,
           std::function<void(ClientMetric&)> read) {
    Sample sample{{}, std::move(read)};
    for (const auto& [key, value] : labels) {
      sample.labels.push_back({key, value});
    }
    for (Family& family : families) {
      if (family.name == name) {
        family.samples.push_back(std::move(sample));
        return;
      }
    }
    families.push_back({name, help, type, {}});
    families.back().samples.push_back(std::move(sample));
  }
};

MetricsPage::MetricsPage() : state_(std::make_unique<State>()) {}
MetricsPage::~MetricsPage() = default;

void MetricsPage::add_counter(const std::string& name, const std::string& help, const Labels& labels,
                              std::function<double()> value) {
  state_->add(name, help, MetricType::Counter, labels,
              [value = std::move(value)](ClientMetric& metric) { metric.counter.value = value(); });
}

void MetricsPage::add_gauge(const std::string& name, const std::string& help, const Labels& labels,
                            std::function<double()> value) {
  state_->add(name, help, MetricType::Gauge, labels,
              [value = std::move(value)](ClientMetric& metric) { metric.gauge.value = value(); });
}

void MetricsPage::add_histogram(const std::string& name, const std::string& help, const Labels& labels,
                                const LatencyHistogram& histogram) {
  state_->add(name, help, MetricType::Histogram, labels,
              [&histogram](ClientMetric& metric) { metric.histogram = read_histogram(histogram); });
}

std::string MetricsPage::render() const {
  std::vector<MetricFamily> families;
  families.reserve(state_->families.size());
  for (const State::Family& family : state_->families) {
    MetricFamily& read = families.emplace_back();
    read.name = family.name;
    read.help = family.help;
    read.type = family.type;
    for (const State::Sample& sample : family.samples) {
      ClientMetric& metric = read.metric.emplace_back();
      metric.label = sample.labels;
      sample.read(metric);
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace mdpipe::ops
