// Trades, records and symbols.

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "mdpipe/event/position.hpp"
#include "mdpipe/event/symbol_table.hpp"
#include "support/record_builder.hpp"

namespace mdpipe {
namespace {

TEST(Position, RisesWithSequenceAndEpoch) {
  const Position last = make_position(7, (std::uint64_t{1} << 48U) - 1);
  EXPECT_EQ(epoch_of(last), 7);
  EXPECT_EQ(sequence_of(last), (std::uint64_t{1} << 48U) - 1);
  EXPECT_LT(last, make_position(8, 1));
  EXPECT_LT(kBeforeEverything, make_position(1, 1));
}

// On disk: whoever moves a member breaks every journal there is.
TEST(Trade, LiesInItsCacheLineAsTheFormatSays) {
  Trade trade{};
  std::memset(static_cast<void*>(&trade), 0, sizeof trade);
  trade.position = 0x0102'0304'0506'0708;
  trade.price_mantissa = -2;
  trade.symbol_id = 0x1112'1314;
  trade.text_offset = 0x2122'2324;
  trade.text_length = 0x3132'3334;
  trade.price_exponent = -3;
  trade.size_exponent = 4;
  trade.flags = kTradeReceivedBeforeExchange | kTradeLastOfFrame;
  unsigned char bytes[sizeof trade];
  std::memcpy(bytes, &trade, sizeof trade);
  EXPECT_EQ(bytes[0], 0x08);
  EXPECT_EQ(bytes[24], 0xFE);
  EXPECT_EQ(bytes[48], 0x14);
  EXPECT_EQ(bytes[52], 0x24);
  EXPECT_EQ(bytes[56], 0x34);
  EXPECT_EQ(bytes[60], 0xFD);
  EXPECT_EQ(bytes[61], 4);
  EXPECT_EQ(bytes[62], 0x21);
  trade.exchange_time_ns = -1;
  EXPECT_EQ(trade.exchange_time_ms(), -1);
}

TEST(Record, GivesBackWhatWasPutInWhateverItsLengths) {
  std::mt19937 random(64);
  testing::RecordBuilder builder;
  for (int round = 0; round < 300; ++round) {
    std::vector<testing::TestTrade> trades(random() % 8);
    for (auto& trade : trades) {
      trade = {"S" + std::to_string(random() % 9), std::to_string(random() % 1000) + ".5", "3", round, ""};
      trade.text = testing::RecordBuilder::text_of(trade) + std::string(random() % 70, ' ');
    }
    const Position before = builder.last_position();
    const RecordView view = builder.frame(trades);
    ASSERT_EQ(view.header().length % kRecordAlignment, 0U);
    ASSERT_EQ(view.header().length, record_length(view.payload().size(), trades.size()));
    ASSERT_EQ(view.position(), before + 1);
    ASSERT_EQ(view.last_position(), before + 1 + trades.size());
    ASSERT_EQ(view.trades().size(), trades.size());
    for (std::size_t i = 0; i < trades.size(); ++i) {
      ASSERT_EQ(view.text(view.trades()[i]), trades[i].text);
      ASSERT_EQ(builder.symbols().text(view.trades()[i].symbol_id), trades[i].symbol);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(&view.trades()[i]) % alignof(Trade), 0U);
    }
  }
}

TEST(Record, SaysItsKindAndReasonApart) {
  for (const auto kind : {FrameKind::trades, FrameKind::partly_bad, FrameKind::ping, FrameKind::error, FrameKind::other,
                          FrameKind::bad, FrameKind::bad_truncated}) {
    for (int reason = 0; reason <= static_cast<int>(FrameReason::cut_off); ++reason) {
      RecordHeader header{};
      header.sub = make_frame_sub(kind, static_cast<FrameReason>(reason));
      const RecordView view(reinterpret_cast<const std::byte*>(&header));
      EXPECT_EQ(view.frame_kind(), kind);
      EXPECT_EQ(view.frame_reason(), static_cast<FrameReason>(reason));
    }
  }
}

TEST(Record, HasWordsOfItsOwnForEveryReason) {
  std::set<std::string_view> words;
  for (int reason = 0; reason <= static_cast<int>(FrameReason::cut_off); ++reason) {
    EXPECT_TRUE(words.insert(to_string(static_cast<FrameReason>(reason))).second) << reason;
  }
  EXPECT_FALSE(words.contains("an unknown reason"));
  EXPECT_EQ(to_string(static_cast<FrameReason>(200)), "an unknown reason");
}

TEST(SymbolTable, IsWhatAMapIs) {
  std::mt19937 random(20'240'808);
  SymbolTable table;
  std::map<std::string, SymbolId> model;
  const auto draw = [&] {
    // Of every length around the 4 and 8 bytes that the hash takes at a time, alike but for a letter or two.
    std::string text(random() % 20, 'A');
    for (int i = 0; i < 2 && !text.empty(); ++i) {
      text[random() % text.size()] = static_cast<char>('A' + random() % 4);
    }
    return random() % 4 == 0 ? text + std::to_string(random() % 3000) : text;
  };
  for (int step = 0; step < 30'000; ++step) {
    const std::string text = draw();
    const auto known = model.find(text);
    ASSERT_EQ(table.find(text), known == model.end() ? SymbolTable::kNone : known->second) << text;
    if (random() % 2 == 0) {
      const SymbolId expected = known == model.end() ? static_cast<SymbolId>(model.size()) : known->second;
      ASSERT_EQ(table.add(text), expected) << text;
      model.emplace(text, expected);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  ASSERT_GT(model.size(), 1000U);  // it has grown more than once
  for (const auto& [text, id] : model) {
    EXPECT_EQ(table.text(id), text);
  }
}

TEST(SymbolTable, KeepsItsTextsWhereTheyAre) {
  SymbolTable table;
  const std::string_view first = table.text(table.add("AAPL"));
  const char* const place = first.data();
  for (int i = 0; i < 5000; ++i) {
    table.add("S" + std::to_string(i));
  }
  EXPECT_EQ(table.text(0).data(), place);
  EXPECT_EQ(first, "AAPL");
}

}  // namespace
}  // namespace mdpipe
