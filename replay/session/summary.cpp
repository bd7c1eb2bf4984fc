#include "replay/session/summary.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::replay {
namespace {

constexpr std::size_t kChunkBytes = 16U << 10U;
constexpr std::size_t kSymbolChunkBytes = 512;  // there may be many

/// SHA-256 over parts, each behind its length; fed in chunks of so many bytes.
class OrderedDigest {
 public:
  explicit OrderedDigest(std::size_t chunk_bytes)
      : context_(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free), chunk_bytes_(chunk_bytes) {
    ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr);
  }

  void add(std::string_view part) {
    const auto length = static_cast<std::uint32_t>(part.size());
    pending_.append(reinterpret_cast<const char*>(&length), sizeof length);
    pending_.append(part);
    if (pending_.size() >= chunk_bytes_) {
      flush();
    }
  }

  std::string finish() {
    flush();
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned length = 0;
    ::EVP_DigestFinal_ex(context_.get(), bytes.data(), &length);
    std::string hex;
    for (unsigned i = 0; i < length; ++i) {
      hex += fmt::format("{:02x}", bytes[i]);
    }
    return hex;
  }

 private:
  void flush() {
    ::EVP_DigestUpdate(context_.get(), pending_.data(), pending_.size());
    pending_.clear();
  }

  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  std::size_t chunk_bytes_;
  std::string pending_;
};

void count_kind(const SessionFrame& frame, SessionSummary& summary) {
  ++summary.frames;
  switch (frame.shape.kind) {
    case FrameKind::trades:
    case FrameKind::partly_bad:
      ++summary.trade_frames;
      break;
    case FrameKind::ping:
      ++summary.pings;
      break;
    case FrameKind::error:
      ++summary.errors;
      break;
    case FrameKind::other:
      ++summary.other;
      break;
    case FrameKind::bad:
    case FrameKind::bad_truncated:
      ++summary.bad;
      break;
  }
}

}  // namespace

Result<SessionSummary> summarize(const SessionOptions& options, bool digests, const std::atomic<bool>* stop) {
  SymbolTable symbols;
  auto source = open_sessions(options, symbols);
  if (!source) {
    return tl::unexpected(source.error());
  }
  SessionSummary summary;
  OrderedDigest digest(kChunkBytes);
  std::vector<OrderedDigest> digests_by_id;
  std::vector<std::uint64_t> by_id;
  SessionFrame frame;
  while (true) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      return fail(ErrorCode::environment, "stopped");
    }
    auto more = (*source)->next(frame);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more) {
      break;
    }
    count_kind(frame, summary);
    summary.bytes += frame.text.size();
    summary.trades += frame.shape.trade_count;
    summary.bad_elements += frame.shape.elements.size() - frame.shape.trade_count;
    if (frame.schedule_ns != kNoTime) {
      summary.first_ns = summary.first_ns.value_or(frame.schedule_ns);
      summary.last_ns = frame.schedule_ns;
      summary.activity.add(frame.schedule_ns, frame.shape.trade_count);
    }
    by_id.resize(symbols.size());
    for (const FrameElement& element : frame.shape.elements) {
      if (element.is_trade) {
        ++by_id[element.symbol];
        const std::string_view text = frame.text.substr(element.offset, element.length);
        digest.add(symbols.text(element.symbol));
        digest.add(text);
        if (digests) {
          while (digests_by_id.size() <= element.symbol) {
            digests_by_id.emplace_back(kSymbolChunkBytes);
          }
          digests_by_id[element.symbol].add(text);
        }
      }
    }
  }
  for (SymbolId id = 0; id < by_id.size(); ++id) {
    if (by_id[id] != 0) {
      summary.trades_by_symbol.emplace(symbols.text(id), by_id[id]);
      if (digests) {
        summary.digests_by_symbol.emplace(symbols.text(id), digests_by_id[id].finish());
      }
    }
  }
  summary.activity.finish();
  summary.digest = digest.finish();
  return summary;
}

}  // namespace mdpipe::replay
