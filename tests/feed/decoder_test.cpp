#include "mdpipe/feed/decoder.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/decoder_check.hpp"
#include "support/frame_generator.hpp"

namespace mdpipe::feed {
namespace {

using testing::ClaimRoom;
using testing::DecoderCheck;
using testing::FrameGenerator;

constexpr std::string_view kGood = R"({"c":["1","12"],"p":178.52,"s":"AAPL","t":1700000000000,"v":100})";

std::string message_of(std::string_view elements) {
  return R"({"data":[)" + std::string(elements) + R"(],"type":"trade"})";
}

/// A message and what became of it.
struct Decoded {
  explicit Decoded(std::string_view message, std::size_t symbols_max = 100) {
    Decoder decoder(message.size(), symbols_max);
    ClaimRoom room;
    const FrameClaim claim = room.with_payload(message, "\xAA");
    result = decoder.decode(claim, message.size(), symbols);
    trades.assign(claim.trades(message.size()), claim.trades(message.size()) + result.trade_count);
    for (const Trade& trade : trades) {
      texts.emplace_back(reinterpret_cast<const char*>(claim.record()) + trade.text_offset, trade.text_length);
    }
  }

  DecodeResult result;
  SymbolTable symbols;
  std::vector<Trade> trades;
  std::vector<std::string> texts;
};

struct Case {
  std::string_view message;
  FrameKind kind;
  FrameReason reason;
  std::uint32_t trade_count;
};

void expect_cases(const std::vector<Case>& cases) {
  DecoderCheck check;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.message);
    EXPECT_EQ(check.difference(c.message, "\x00"), "") << "from the reference";
    EXPECT_EQ(check.last().kind, c.kind);
    EXPECT_EQ(check.last().reason, c.reason);
    EXPECT_EQ(check.last().trade_count, c.trade_count);
  }
}

/// The same for single elements of a trade message.
void expect_elements(const std::vector<std::string_view>& elements, FrameKind kind, FrameReason reason,
                     std::uint32_t trade_count) {
  DecoderCheck check;
  for (const std::string_view element : elements) {
    SCOPED_TRACE(element);
    EXPECT_EQ(check.difference(message_of(element), "\x00"), "") << "from the reference";
    EXPECT_EQ(check.last().kind, kind);
    EXPECT_EQ(check.last().reason, reason);
    EXPECT_EQ(check.last().trade_count, trade_count);
  }
}

TEST(Decoder, ReadsTheVenuesUsualMessageWithoutFallingBack) {
  const Decoded decoded(message_of(kGood));
  EXPECT_EQ(decoded.result.kind, FrameKind::trades);
  EXPECT_EQ(decoded.result.reason, FrameReason::none);
  EXPECT_FALSE(decoded.result.fell_back);
  ASSERT_EQ(decoded.trades.size(), 1U);
  const Trade& trade = decoded.trades[0];
  EXPECT_EQ(trade.position, 0U);
  EXPECT_EQ(trade.receive_time_ns, 0);
  EXPECT_EQ(trade.exchange_time_ns, 1'700'000'000'000'000'000);
  EXPECT_EQ(to_string(trade.price()), "178.52");
  EXPECT_EQ(to_string(trade.size()), "100");
  EXPECT_EQ(trade.conditions, (1U << 1U) | (1U << 12U));
  EXPECT_EQ(trade.flags, 0U);
  EXPECT_EQ(decoded.symbols.text(trade.symbol_id), "AAPL");
  EXPECT_EQ(decoded.texts[0], kGood);
}

TEST(Decoder, TakesAnyOrderOfKeysAndAnyBlanksWithoutFallingBack) {
  for (
      const std::string_view message :
      {R"({"type":"trade","data":[{"v":1,"t":1700000000000,"s":"A","p":2.5,"c":null}]})",
       R"( { "data" : [ { "s" : "A" , "p" : 2.5 , "v" : 1 , "t" : 1700000000000 , "c" : [ "1" , "2" ] } ] , "type" : "trade" } )",
       "{\"data\":[{\"p\":2.5,\"s\":\"A\",\"t\":1700000000000,\"v\":1}],\r\n\t\"type\":\"trade\"}\n",
       R"({"data":[{"c":[],"p":2.5,"s":"A","t":1700000000000,"v":1}], "type":"trade"})"}) {
    SCOPED_TRACE(message);
    const Decoded decoded(message);
    EXPECT_EQ(decoded.result.kind, FrameKind::trades);
    EXPECT_FALSE(decoded.result.fell_back);
    ASSERT_EQ(decoded.trades.size(), 1U);
    EXPECT_EQ(to_string(decoded.trades[0].price()), "2.5");
    EXPECT_EQ(DecoderCheck().difference(message, "}"), "");
  }
}

TEST(Decoder, TellsMessagesApartByTheirType) {
  expect_cases({
      {R"({"type":"ping"})", FrameKind::ping, FrameReason::none, 0},
      {R"({"msg":"Subscribing to too many symbols","type":"error"})", FrameKind::error, FrameReason::none, 0},
      {R"({"data":[{"headline":"x"}],"type":"news"})", FrameKind::other, FrameReason::none, 0},
      {R"({"data":[{"p":1,"s":"A","t":1700000000000,"v":1}],"type":"quote"})", FrameKind::other, FrameReason::none, 0},
      {R"({"type":""})", FrameKind::other, FrameReason::none, 0},
      {R"({"t\u0079pe":"p\u0069ng"})", FrameKind::ping, FrameReason::none, 0},
      {R"({"data":[],"type":"trade"})", FrameKind::trades, FrameReason::none, 0},
  });
}

TEST(Decoder, CallsAMessageBadThatIsNoUse) {
  expect_cases({
      {R"({})", FrameKind::bad, FrameReason::type_missing, 0},
      {R"({"data":[]})", FrameKind::bad, FrameReason::type_missing, 0},
      {R"({"type":null})", FrameKind::bad, FrameReason::type_missing, 0},
      {R"({"type":["trade"],"data":[]})", FrameKind::bad, FrameReason::type_missing, 0},
      {R"({"p":1,"s":"A","t":1700000000000,"v":1})", FrameKind::bad, FrameReason::type_missing, 0},
      {R"([{"p":1,"s":"A","t":1700000000000,"v":1}])", FrameKind::bad, FrameReason::not_an_object, 0},
      {R"("trade")", FrameKind::bad, FrameReason::not_an_object, 0},
      {R"(null)", FrameKind::bad, FrameReason::not_an_object, 0},
      {R"({"type":"trade"})", FrameKind::bad, FrameReason::data_not_a_list, 0},
      {R"({"type":"trade","data":null})", FrameKind::bad, FrameReason::data_not_a_list, 0},
      {R"({"type":"trade","data":{"p":1,"s":"A","t":1700000000000,"v":1}})", FrameKind::bad,
       FrameReason::data_not_a_list, 0},
  });
}

TEST(Decoder, CallsAMessageBadThatIsNotJson) {
  std::vector<std::string> messages = {"",
                                       " ",
                                       "x",
                                       "{",
                                       R"({"type":"ping")",
                                       R"({"type":"ping"}})",
                                       R"({"type":"ping"} 1)",
                                       R"({"type":"ping",})",
                                       R"({"type" "ping"})",
                                       R"({'type':'ping'})",
                                       R"({type:"ping"})",
                                       "{\"type\":\"pi\nng\"}",
                                       R"({"type":"\x"})",
                                       R"({"type":"ping"}/**/)",
                                       "{\"type\":\"p\xED\xA0\x80\"}",
                                       "{\"type\":\"\xC0\x80\"}",
                                       "{\"type\":\"\xFF\"}",
                                       "\xEF\xBB\xBF{\"type\":\"ping\"}",
                                       std::string("{\"type\":\"ping\"}\0", 16),
                                       R"({"type":"\ud800"})",
                                       R"({"type":"\udc00"})",
                                       R"({"type":"\ud800\u0041"})",
                                       R"({"type":"ping","x":tru})",
                                       R"({"type":"ping","x":[1,,2]})"};
  for (const std::string_view number : {"NaN", "Infinity", "1e999", "-1e999", "18446744073709551616",
                                        "-9223372036854775809", "01", "1.", ".5", "+1", "1e", "- 1", "0x10", "--1"}) {
    messages.push_back(message_of(R"({"p":)" + std::string(number) + R"(,"s":"A","t":1700000000000,"v":1})"));
    messages.push_back(R"({"type":"ping","x":)" + std::string(number) + "}");
  }
  for (const std::string& message : messages) {
    expect_cases({{message, FrameKind::bad, FrameReason::not_json, 0}});
  }
}

TEST(Decoder, RefusesTheDepthThatTheJudgeRefuses) {
  const auto nested = [](std::size_t depth, std::string_view bottom) {
    return R"({"type":"ping","x":)" + std::string(depth, '[') + std::string(bottom) + std::string(depth, ']') + "}";
  };
  expect_cases({{nested(1022, "1"), FrameKind::ping, FrameReason::none, 0},
                {nested(1023, "1"), FrameKind::bad, FrameReason::not_json, 0},
                {nested(1023, ""), FrameKind::ping, FrameReason::none, 0},
                {nested(1024, ""), FrameKind::bad, FrameReason::not_json, 0},
                {nested(100'000, ""), FrameKind::bad, FrameReason::not_json, 0}});
}

TEST(Decoder, RefusesAMessageInWhichATradeHasAKeyTwice) {
  const std::string good(kGood);
  for (const std::string& message :
       {message_of(good + R"(,{"p":1,"p":1,"s":"A","t":1700000000000,"v":1})"),
        message_of(R"({"p":1,"s":"A","t":1700000000000,"v":1,"v":1})"),
        message_of(R"({"c":null,"c":null,"p":1,"s":"A","t":1700000000000,"v":1})"),
        message_of(R"({"p":1,"s":"A","\u0073":"A","t":1700000000000,"v":1})"), message_of(R"({"x":1,"x":1,"s":"A"})"),
        message_of(R"({"c":[{"p":1,"q":1,"q":1}],"p":1,"s":"A","t":1700000000000,"v":1})"),
        std::string(R"({"type":"ping","s":1,"x":1,"x":1})"), std::string(R"({"type":"news","a":[[{"s":0,"s":0}]]})")}) {
    expect_cases({{message, FrameKind::bad, FrameReason::duplicate_key, 0}});
  }
}

TEST(Decoder, AllowsDoubleKeysWhereNoTradeIsMeant) {
  expect_cases({
      {R"({"type":"ping","x":1,"x":2})", FrameKind::ping, FrameReason::none, 0},
      {R"({"type":"news","data":[{"t":1,"t":2}]})", FrameKind::other, FrameReason::none, 0},
      {R"({"type":"trade","data":[{"t":1,"t":2}]})", FrameKind::partly_bad, FrameReason::element_not_a_trade, 0},
      {R"({"type":"trade","data":[{"t":1,"t":2},{"p":1,"s":"A","t":1700000000000,"v":1}]})", FrameKind::partly_bad,
       FrameReason::element_not_a_trade, 1},
  });
}

TEST(Decoder, KeepsTheLastOfDoubleDataAndReportsTheMessage) {
  expect_cases({
      {R"({"data":[],"data":[{"p":1,"s":"A","t":1700000000000,"v":1}],"type":"trade"})", FrameKind::partly_bad,
       FrameReason::duplicate_key, 1},
      {R"({"data":[{"p":1,"s":"A","t":1700000000000,"v":1}],"data":[],"type":"trade"})", FrameKind::partly_bad,
       FrameReason::duplicate_key, 0},
      {R"({"type":"ping","data":[{"p":1,"s":"A","t":1700000000000,"v":1}],"type":"trade"})", FrameKind::partly_bad,
       FrameReason::duplicate_key, 1},
      {R"({"type":"trade","data":[{"p":1,"s":"A","t":1700000000000,"v":1}],"type":"ping"})", FrameKind::bad,
       FrameReason::duplicate_key, 0},
      {R"({"type":"ping","type":"ping"})", FrameKind::bad, FrameReason::duplicate_key, 0},
  });
}

TEST(Decoder, KeepsTheGoodTradesAmongElementsThatAreNone) {
  const std::string good(kGood);
  const Decoded decoded(message_of(R"(5,)" + good + R"(,{"p":"1","s":"A","t":1700000000000,"v":1},)" + good));
  EXPECT_EQ(decoded.result.kind, FrameKind::partly_bad);
  EXPECT_EQ(decoded.result.reason, FrameReason::element_not_a_trade);
  EXPECT_TRUE(decoded.result.fell_back);
  EXPECT_EQ(decoded.texts, (std::vector<std::string>{good, good}));
}

TEST(Decoder, DoesNotTakeAnElementForATradeThatIsNone) {
  expect_elements({"null",
                   "1",
                   "\"trade\"",
                   "[]",
                   "{}",
                   R"({"s":"A","t":1700000000000,"v":1})",
                   R"({"p":1,"t":1700000000000,"v":1})",
                   R"({"p":1,"s":"A","v":1})",
                   R"({"p":1,"s":"A","t":1700000000000})",
                   R"({"p":1,"s":5,"t":1700000000000,"v":1})",
                   R"({"p":1,"s":null,"t":1700000000000,"v":1})",
                   R"({"p":"1","s":"A","t":1700000000000,"v":1})",
                   R"({"p":true,"s":"A","t":1700000000000,"v":1})",
                   R"({"p":1,"s":"A","t":1700000000000,"v":"1"})",
                   R"({"p":1,"s":"A","t":1700000000000,"v":null})",
                   R"({"p":1,"s":"A","t":"1700000000000","v":1})",
                   R"({"p":1,"s":"A","t":1700000000000.0,"v":1})",
                   R"({"p":1,"s":"A","t":17e11,"v":1})",
                   R"({"p":1,"s":"A","t":9223372036855,"v":1})",
                   R"({"p":1,"s":"A","t":-9223372036855,"v":1})",
                   R"({"p":1,"s":"A","t":18446744073709551615,"v":1})",
                   R"({"p":1e19,"s":"A","t":1700000000000,"v":1})",
                   R"({"p":10000000000000000000,"s":"A","t":1700000000000,"v":1})",
                   R"({"p":1,"s":"A","t":1700000000000,"v":1e-101})",
                   R"({"p":1e-400,"s":"A","t":1700000000000,"v":1})",
                   R"({"p":1e-12345678901234567890,"s":"A","t":1,"v":1})"},
                  FrameKind::partly_bad, FrameReason::element_not_a_trade, 0);
}

TEST(Decoder, TakesEveryElementForATradeThatIsOne) {
  expect_elements(
      {R"({"s":"","p":0,"v":0,"t":0})", R"({"p":-0,"s":"A","t":-0,"v":-0.0})",
       R"({"p":-37.63,"s":"A","t":1700000000000,"v":1})", R"({"p":1e-100,"s":"A","t":-9223372036854,"v":9.99e18})",
       R"({"p":0e999,"s":"A","t":9223372036854,"v":0.0e-999})", R"({"p":1.7825E2,"s":"A","t":1700000000000,"v":1e+2})",
       R"({"p":0e12345678901234567890,"s":"A","t":1,"v":1})", R"({"p":9999999999999999999,"s":"A","t":1,"v":1})",
       R"({"p":0.1234567890123456789,"s":"A","t":1,"v":1})", R"({"p":1,"s":"A","t":1700000000000,"v":1,"x":{"y":[1]}})",
       R"({"c":5,"p":1,"s":"A","t":1700000000000,"v":1})", R"({"c":"1","p":1,"s":"A","t":1700000000000,"v":1})",
       R"({"c":[1,null,"7"],"p":1,"s":"A","t":1700000000000,"v":1})",
       R"({"p":1,"s":"\u0000\"\ud83d\ude00","t":1,"v":1})", "{\"p\":1,\"s\":\"\xC3\xA9\",\"t\":1,\"v\":1}",
       R"({"\u0070":1,"s":"A","t":1700000000000,"\u0076":1})"},
      FrameKind::trades, FrameReason::none, 1);
}

TEST(Decoder, SetsABitForEachConditionFrom0To63AndForNothingElse) {
  const Decoded decoded(message_of(
      R"({"c":["0","63","64","99","100","01","-1","","x",5,null,["3"],"\u0034"],"p":1,"s":"A","t":1700000000000,"v":1},)"
      R"({"c":["0","63","64","99"],"p":1,"s":"A","t":1700000000000,"v":1})"));
  ASSERT_EQ(decoded.trades.size(), 2U);
  EXPECT_EQ(decoded.trades[0].conditions, 1U | std::uint64_t{1} << 63U | 1U << 4U);
  EXPECT_EQ(decoded.trades[1].conditions, 1U | std::uint64_t{1} << 63U);
}

TEST(Decoder, FlagsSizeZeroAndDigitsThatDoNotFit) {
  const Decoded decoded(
      message_of(R"({"p":1,"s":"A","t":1700000000000,"v":0},{"p":1,"s":"A","t":1700000000000,"v":0.00},)"
                 R"({"p":0.1234567890123456785,"s":"A","t":1700000000000,"v":-0},)"
                 R"({"p":1,"s":"A","t":1700000000000,"v":1000000000000000000})"));
  ASSERT_EQ(decoded.trades.size(), 4U);
  EXPECT_EQ(decoded.trades[0].flags, kTradePriceUpdate);
  EXPECT_EQ(decoded.trades[1].flags, kTradePriceUpdate);
  EXPECT_EQ(decoded.trades[2].flags, kTradePriceUpdate | kTradeInexact);
  EXPECT_EQ(decoded.trades[2].price_mantissa, 123456789012345678);
  EXPECT_EQ(decoded.trades[3].flags, 0U);
  EXPECT_EQ(to_string(decoded.trades[3].size()), "1000000000000000000");
}

TEST(Decoder, NamesSymbolsWithoutTheirEscapes) {
  const Decoded decoded(message_of(R"({"p":1,"s":"\u0041\ud83d\ude00\/","t":1700000000000,"v":1},)"
                                   R"({"p":1,"s":"IC MARKETS:1","t":1700000000000,"v":1},)"
                                   R"({"p":1,"s":"IC MARKETS\u003a1","t":1700000000000,"v":1})"));
  ASSERT_EQ(decoded.trades.size(), 3U);
  EXPECT_EQ(decoded.symbols.text(decoded.trades[0].symbol_id), "A\xF0\x9F\x98\x80/");
  EXPECT_EQ(decoded.trades[1].symbol_id, decoded.trades[2].symbol_id);
  EXPECT_EQ(decoded.symbols.size(), 2U);
}

TEST(Decoder, GivesIdsInTheOrderOfTheTrades) {
  const Decoded decoded(message_of(R"({"p":1,"s":"B","t":1700000000000,"v":1},{"p":1,"s":"A","t":1700000000000,"v":1},)"
                                   R"({"p":1,"s":"B","t":1700000000000,"v":1})"));
  ASSERT_EQ(decoded.trades.size(), 3U);
  EXPECT_EQ(decoded.trades[0].symbol_id, 0U);
  EXPECT_EQ(decoded.trades[1].symbol_id, 1U);
  EXPECT_EQ(decoded.trades[2].symbol_id, 0U);
}

TEST(Decoder, AddsNoSymbolOfAMessageThatIsBad) {
  for (const std::string& message : {message_of(kGood) + "x", message_of(std::string(kGood) + R"(,{"s":"B","s":"B"})"),
                                     R"({"data":[)" + std::string(kGood) + R"(],"type":"quote"})"}) {
    EXPECT_EQ(Decoded(message).symbols.size(), 0U) << message;
  }
}

TEST(Decoder, CountsASymbolWithALongTextAsSeveral) {
  const auto message_with = [](std::size_t length) {
    return message_of(R"({"p":1,"s":")" + std::string(length, 'A') + R"(","t":1700000000000,"v":1})");
  };
  for (const auto& [length, records] : {std::pair{24U, 1U}, {25U, 2U}, {88U, 2U}, {89U, 3U}, {6400U, 101U}}) {
    EXPECT_EQ(Decoded(message_with(length), records).result.reason, FrameReason::none) << length;
    EXPECT_EQ(Decoded(message_with(length), records - 1).result.reason, FrameReason::too_many_symbols) << length;
  }
}

TEST(Decoder, KeepsNoTradeOfASymbolThatTheTableMayNotTake) {
  const std::string message = message_of(
      R"({"p":1,"s":"A","t":1700000000000,"v":1},{"p":2,"s":"B","t":1700000000000,"v":1},{"p":3,"s":"A","t":1700000000000,"v":1})");
  const Decoded decoded(message, 1);
  EXPECT_EQ(decoded.result.kind, FrameKind::partly_bad);
  EXPECT_EQ(decoded.result.reason, FrameReason::too_many_symbols);
  ASSERT_EQ(decoded.trades.size(), 2U);
  EXPECT_EQ(decoded.symbols.size(), 1U);
  EXPECT_EQ(decoded.trades[1].symbol_id, 0U);
  EXPECT_EQ(decoded.trades[1].position, 0U);
  EXPECT_EQ(to_string(decoded.trades[1].price()), "3");
  EXPECT_EQ(Decoded(message, 2).result.kind, FrameKind::trades);
}

TEST(Decoder, ReadsThroughWhateverLiesBehindTheMessage) {
  // Cut anywhere, with the very bytes that were cut off lying behind: only the whole message may be good.
  const std::string whole = message_of(std::string(kGood) + "," + std::string(kGood));
  DecoderCheck check;
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const std::string rest = whole.substr(length) + whole;
    EXPECT_EQ(check.difference(std::string_view(whole).substr(0, length), rest), "") << length;
    EXPECT_EQ(check.last().kind, length == whole.size() ? FrameKind::trades : FrameKind::bad);
  }
}

TEST(Decoder, ReadsDecimalsOfEveryLengthAsBaseDoes) {
  DecoderCheck check;
  for (int before = 1; before <= 20; ++before) {
    for (int after = 0; after <= 20; ++after) {
      for (const std::string_view digits : {"12345678901234567890", "10000000000000000000", "90000000000000000001",
                                            "99999999999999999999", "00000000000000000000", "50050050050050050050"}) {
        std::string number(digits.substr(0, static_cast<std::size_t>(before)));
        number += after == 0 ? "" : "." + std::string(digits.substr(static_cast<std::size_t>(20 - after)));
        std::string element = R"({"s":"A","t":1700000000000,"p":)";
        element.append(number).append(R"(,"v":)").append(number).append("}");
        EXPECT_EQ(check.difference(message_of(element), "0"), "") << number;
      }
    }
  }
}

TEST(Decoder, AgreesWithTheReferenceOnRandomMessages) {
  constexpr int kMessages = 20'000;
  FrameGenerator generator(20'240'117);
  DecoderCheck check;
  int good = 0;
  int quick = 0;
  for (int i = 0; i < kMessages; ++i) {
    std::string message = generator.message();
    const std::string filler = i % 3 == 0 ? message : "0123456789";
    if (i % 2 == 0) {
      message = generator.damaged(message);
    }
    const std::string difference = check.difference(message, filler);
    ASSERT_EQ(difference, "") << "message " << i << ": " << message;
    ASSERT_EQ(check.difference_with_few_symbols(message), "") << "message " << i << ": " << message;
    good += check.last().kind != FrameKind::bad ? 1 : 0;
    quick += check.last().fell_back ? 0 : 1;
  }
  // What is compared must be of every sort.
  EXPECT_GT(good, kMessages / 4);
  EXPECT_LT(good, kMessages * 3 / 4);
  EXPECT_GT(quick, kMessages / 5);
}

}  // namespace
}  // namespace mdpipe::feed
