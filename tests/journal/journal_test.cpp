// The writer and its readers, as a feed and the stages use them.

#include <gmock/gmock.h>

#include <filesystem>
#include <random>
#include <thread>

#include "journal_fixture.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "segment.hpp"
#include "system_calls.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

TEST(Journal, WhatIsCommittedIsReadBackInOrder) {
  const TemporaryDirectory directory;
  const auto writer = open_writer(tiny_options(directory.path()));
  auto reader = writer->reader(kBeforeEverything);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_FALSE((*reader)->next());

  must_write_frame(*writer, {"AAPL", "MSFT"}, 100);
  ASSERT_TRUE(writer->append_session(SessionKind::connected, {1, 0, 0, 0, 0}, "hello", 101));
  must_write_frame(*writer, {"AAPL"}, 102);

  const auto seen = read_all(**reader);
  ASSERT_EQ(seen.size(), 3U);
  // Two symbols took positions 1 and 2.
  EXPECT_EQ(seen[0].position, make_position(1, 3));
  EXPECT_EQ(seen[0].trade_positions, (std::vector<Position>{make_position(1, 4), make_position(1, 5)}));
  EXPECT_EQ(seen[0].trade_texts, (std::vector<std::string>{"AAPL", "MSFT"}));
  EXPECT_EQ(seen[0].trade_symbols, seen[0].trade_texts);
  EXPECT_EQ(seen[1].kind, RecordKind::session);
  EXPECT_EQ(seen[1].position, make_position(1, 6));
  EXPECT_EQ(seen[2].position, make_position(1, 7));
  EXPECT_EQ((*reader)->position(), make_position(1, 8));
  EXPECT_EQ(writer->figures().trades.get(), 3U);
  EXPECT_EQ(writer->figures().position.get(), make_position(1, 8));
}

/// Random frames, session events, claims given up, new symbols, in segments so small that each holds few of them; the
/// model is the list of what was written. Readers: one in the process that keeps up, one that stays behind and never
/// releases, one outside.
TEST(Journal, EveryReaderSeesWhatTheModelHolds) {
  std::mt19937 random(20'131'007);
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  auto quick = std::move(*writer->reader(kBeforeEverything));
  auto slow = std::move(*writer->reader(kBeforeEverything));
  auto outside = std::move(*Reader::open(options.directory));
  std::vector<Seen> model;
  std::vector<Seen> quick_seen;
  std::vector<Seen> outside_seen;
  for (int step = 0; step < 4000; ++step) {
    const auto time_ns = static_cast<std::int64_t>(step);
    const auto dice = random() % 100;
    if (dice < 70) {
      std::vector<std::string> trades;
      for (auto left = random() % 6; left != 0; --left) {
        trades.push_back("S" + std::to_string(random() % (1 + static_cast<unsigned>(step) / 70)));
      }
      must_write_frame(*writer, trades, time_ns, random() % 300);
      Seen expected{RecordKind::frame, make_frame_sub(FrameKind::trades), 0, time_ns, {}, trades, trades, {}};
      model.push_back(std::move(expected));
    } else if (dice < 80) {
      while (!writer->append_session(SessionKind::stale, {7, 0, 0, 0, 0}, "quiet", time_ns)) {
        std::this_thread::yield();
      }
      model.push_back(
          {RecordKind::session, static_cast<std::uint16_t>(SessionKind::stale), 0, time_ns, {}, {}, {}, {}});
    } else if (dice < 90) {
      // A claim that is given up: its bytes look like lengths, and a symbol may have been added for it.
      if (const FrameClaim claim = writer->claim()) {
        std::memset(claim.payload(), 0x40, claim.payload_capacity());
        writer->symbols().add("S" + std::to_string(random() % 60));
      }
    } else if (dice < 95) {
      for (auto& seen : read_all(*quick)) {
        quick_seen.push_back(std::move(seen));
      }
      quick->release(quick->position());
    } else {
      for (auto& seen : read_all(*outside)) {
        outside_seen.push_back(std::move(seen));
      }
      outside->release(outside->position());
    }
  }
  for (auto& seen : read_all(*quick)) {
    quick_seen.push_back(std::move(seen));
  }
  for (auto& seen : read_all(*outside)) {
    outside_seen.push_back(std::move(seen));
  }
  const auto slow_seen = read_all(*slow);
  EXPECT_FALSE(quick->failure());
  ASSERT_FALSE(outside->failure()) << outside->failure()->message;
  EXPECT_GT(writer->figures().rolls.get(), 10U);
  ASSERT_EQ(quick_seen.size(), model.size());
  EXPECT_EQ(slow_seen, quick_seen);
  EXPECT_EQ(outside_seen, quick_seen);
  Position previous = 0;
  for (std::size_t i = 0; i < model.size(); ++i) {
    EXPECT_EQ(quick_seen[i].receive_time_ns, model[i].receive_time_ns);
    EXPECT_EQ(quick_seen[i].kind, model[i].kind);
    EXPECT_EQ(quick_seen[i].sub, model[i].sub);
    EXPECT_EQ(quick_seen[i].trade_texts, model[i].trade_texts);
    EXPECT_EQ(quick_seen[i].trade_symbols, model[i].trade_symbols);
    EXPECT_GT(quick_seen[i].position, previous);
    previous = quick_seen[i].position + quick_seen[i].trade_positions.size();
  }
}

TEST(Journal, AReaderStartsBehindTheGivenPositionWhereverItLies) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  for (int i = 0; i < 600; ++i) {
    must_write_frame(*writer, {"A", "B", "C"}, i);
  }
  ASSERT_GT(writer->figures().rolls.get(), 2U);
  const auto all = read_all(options.directory);
  ASSERT_EQ(all.size(), 600U);
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const std::size_t which = random() % all.size();
    // Within a frame: the frame comes whole. At its last trade: the next one.
    const Position after = all[which].position + random() % 4;
    const std::size_t first = after == all[which].position + 3 ? which + 1 : which;
    const auto rest = read_all(options.directory, after);
    ASSERT_EQ(rest.size(), all.size() - first);
    auto inside = writer->reader(after);
    ASSERT_TRUE(inside);
    EXPECT_EQ(read_all(**inside), rest);
    if (!rest.empty()) {
      EXPECT_EQ(rest.front(), all[first]);
    }
  }
}

TEST(Journal, GoesOnWhereItEndedWhenOpenedAgain) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  Position last = 0;
  for (int life = 0; life < 5; ++life) {
    const auto writer = open_writer(options);
    EXPECT_EQ(writer->recovery().created, life == 0);
    EXPECT_FALSE(writer->recovery().new_epoch);
    EXPECT_EQ(writer->recovery().last_position, last);
    EXPECT_EQ(writer->recovery().connections, static_cast<std::uint64_t>(life));
    EXPECT_EQ(writer->recovery().words, "");
    ASSERT_TRUE(
        writer->append_session(SessionKind::connected, {static_cast<std::uint64_t>(life) + 1, 0, 0, 0, 0}, "", life));
    must_write_frame(*writer, {"A", "S" + std::to_string(life)}, 10 * life);
    last = writer->figures().position.get();
    EXPECT_EQ(writer->symbols().size(), static_cast<std::size_t>(life) + 2);
    const auto closed = writer->close();
    EXPECT_TRUE(closed) << closed.error().message;
    EXPECT_EQ(writer->figures().synced_bytes.get(), writer->figures().bytes.get());
  }
  const auto all = read_all(options.directory);
  ASSERT_EQ(all.size(), 10U);
  EXPECT_EQ(all.back().trade_symbols, (std::vector<std::string>{"A", "S4"}));
}

TEST(Journal, SymbolsOfClaimsGivenUpHaveRoomToo) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.symbols_max = 400;
  const auto writer = open_writer(options);
  // To where one more claim would just fit …
  while (writer->figures().bytes.get() < options.segment_bytes - 18'000) {
    must_write_frame(*writer, {}, 1, 64);
  }
  // … and then more symbols than one claim's text can hold, none of them committed.
  for (int i = 0; i < 300; ++i) {
    while (!writer->claim()) {
      std::this_thread::yield();
    }
    writer->symbols().add("SYMBOL-" + std::to_string(i));
  }
  must_write_frame(*writer, {"SYMBOL-299"}, 2);
  const auto all = read_all(options.directory);
  EXPECT_EQ(all.back().trade_symbols, std::vector<std::string>{"SYMBOL-299"});
  EXPECT_EQ(writer->figures().rolls.get(), 1U);
}

/// A venue that names each symbol by a page of text: once the texts leave no room behind a segment's head, beginning
/// another is no help, and would fill the disk.
TEST(Journal, HasNoRoomForSymbolsThatNoSegmentCanRestate) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  std::int64_t written = 0;
  const auto next_is_prepared = [&] {
    return std::filesystem::exists(options.directory / segment_name(writer->figures().rolls.get() + 2));
  };
  // As long as there is room, or the helper is yet to prepare it.
  const auto has_room = [&] {
    int refused_in_vain = 0;
    return comes([&] { return writer->claim() || (next_is_prepared() && ++refused_in_vain == 600); }) &&
           writer->claim();
  };
  while (written < 100 && has_room()) {
    if (!write_frame(*writer, {std::string(800, 'x') + std::to_string(written)}, written + 1)) {
      break;
    }
    ++written;
  }
  EXPECT_GT(written, 20);
  EXPECT_LT(written, 100);
  // It says so again and again, and takes no segment after the other for it.
  const std::uint64_t rolls = writer->figures().rolls.get();
  const std::uint64_t refused = writer->figures().full_claims.get();
  EXPECT_TRUE(comes([&] { return writer->claim() || writer->figures().full_claims.get() > refused + 50; }));
  EXPECT_EQ(writer->figures().rolls.get(), rolls);
  const auto all = read_all(options.directory);
  ASSERT_EQ(static_cast<std::int64_t>(all.size()), written);
  EXPECT_EQ(all.back().receive_time_ns, written);
}

TEST(Journal, TakesSessionEventsHoweverSmallItsFramesAre) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.payload_max_bytes = 1;
  const auto writer = open_writer(options);
  const std::string text(2000, 't');
  EXPECT_TRUE(writer->append_session(SessionKind::disconnected, {1, 0, 0, 0, 0}, text, 1));
  const auto reader = std::move(*writer->reader(kBeforeEverything));
  const auto record = reader->next();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->session_text(), text.substr(0, 1024));
}

TEST(Journal, AReaderThatComesWhileASegmentIsBegunStartsInTheOneBefore) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  Position last = 0;
  {
    const auto writer = open_writer(options);
    while (writer->figures().rolls.get() < 2) {
      must_write_frame(*writer, {"A"}, 1);
    }
    last = writer->figures().position.get();
  }
  // The third segment is on the disk, and not linked yet.
  SegmentChain chain(options.directory);
  chain.set_head(std::move(*Segment::open(options.directory / segment_name(2), 2, true)));
  SegmentChain::Place place{0};
  const auto segment = chain.enter(last, place);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->segment->index(), 2U);
  EXPECT_EQ(place.load(), 2U);
  chain.leave(place);
}

TEST(Journal, AReaderThatComesWhileRetentionTakesASegmentNeverBeginsBehindIt) {
  for (const Position after : {kBeforeEverything, make_position(1, 1)}) {
    const TemporaryDirectory directory;
    const auto options = tiny_options(directory.path());
    {
      const auto writer = open_writer(options);
      while (writer->figures().rolls.get() < 2) {
        must_write_frame(*writer, {"A"}, 1);
      }
    }
    const auto writer = open_writer(options);  // maps none of them
    int lists = 0;
    const ListWatch watch([&](ListWatch::When when) {
      if (when == ListWatch::When::before && ++lists == 2) {
        std::filesystem::remove(options.directory / segment_name(1));
      }
    });
    const auto reader = writer->reader(after);
    ASSERT_GE(lists, 2);
    if (after == kBeforeEverything) {
      ASSERT_TRUE(reader) << reader.error().message;
      const auto record = (*reader)->next();
      ASSERT_TRUE(record);
      EXPECT_EQ(record->position(), list_journal(options.directory)->front().first_position);
    } else {
      ASSERT_FALSE(reader);
      EXPECT_EQ(reader.error().code, ErrorCode::data);
      EXPECT_THAT(reader.error().message, HasSubstr("removed by retention"));
    }
  }
}

TEST(Journal, ASecondWriterIsRefusedByTheNameOfTheFirst) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  const auto second = Writer::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::environment);
  EXPECT_THAT(second.error().message, HasSubstr("the test (pid " + std::to_string(::getpid())));
}

}  // namespace
}  // namespace mdpipe::journal
