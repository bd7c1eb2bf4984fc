// What mdreplay makes of a frame is what mdpipe will make of it: held against the slow reference of the decoder's
// tests.

#include "replay/session/frame_parser.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/frame_generator.hpp"
#include "support/reference_decoder.hpp"

namespace mdpipe::replay {
namespace {

std::string difference(const std::string& frame) {
  SymbolTable symbols;
  FrameParser parser(symbols);
  FrameShape shape;
  const bool is_json = parser.parse(frame, shape);
  const auto expected = testing::reference_decode(frame);
  const FrameKind kind = is_json ? shape.kind : FrameKind::bad;
  if (kind != expected.kind) {
    return fmt::format("is {}, should be {} ({})", to_string(kind), to_string(expected.kind),
                       to_string(expected.reason));
  }
  std::vector<std::string> trades;
  for (const FrameElement& element : shape.elements) {
    if (is_json && element.is_trade) {
      trades.push_back(fmt::format("{} {} {} {}", symbols.text(element.symbol),
                                   frame.substr(element.offset, element.length), element.exchange_time_ms,
                                   element.trade_flags));
    }
  }
  std::vector<std::string> wanted;
  for (const auto& trade : expected.trades) {
    wanted.push_back(
        fmt::format("{} {} {} {}", trade.symbol, trade.text, trade.exchange_time_ns / 1'000'000, trade.flags));
  }
  return trades == wanted
             ? std::string()
             : fmt::format("has the trades\n{}\nshould have\n{}", fmt::join(trades, "\n"), fmt::join(wanted, "\n"));
}

TEST(FrameParser, SaysOfAnyFrameWhatThePipelineWillSay) {
  constexpr unsigned kSeed = 11;
  testing::FrameGenerator generator(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string frame = generator.message();
    if (i % 3 == 0) {
      frame = generator.damaged(std::move(frame));
    }
    ASSERT_EQ(difference(frame), "") << "seed " << kSeed << ", message " << i << ": " << frame;
  }
}

TEST(FrameParser, SaysSoOfThoseThatChanceDoesNotFind) {
  const auto nested = [](std::size_t depth, const char* inside) {
    return R"({"type":"ping","x":)" + std::string(depth, '[') + inside + std::string(depth, ']') + "}";
  };
  for (const std::string& frame : {
           nested(1022, "1"),
           nested(1023, ""),
           nested(1023, "1"),
           nested(1024, ""),
           std::string(R"({"type":"ping","x":{"s":1,"\u0073":2}})"),
           std::string(R"({"type":"ping","x":[{"y":{"p":1,"z":[{"a":1,"a":2}],"p":2}}]})"),
           std::string(R"({"type":"ping","x":{"a":1,"a":2}})"),
           std::string(R"({"s":1,"a":1,"type":"ping","a":2})"),
           std::string(R"({"type":"ping","x":"\ud83d"})"),
           std::string(R"({"type":"ping","\ude00":1})"),
           std::string(R"({"type":"\ud83d"})"),
           std::string(R"({"type":"trade","data":[],"data":{}})"),
           std::string(R"({"type":"trade","data":5,"data":[]})"),
           std::string(R"({"type":5,"type":"trade","data":[]})"),
       }) {
    EXPECT_EQ(difference(frame), "") << frame.substr(0, 100);
  }
}

}  // namespace
}  // namespace mdpipe::replay
