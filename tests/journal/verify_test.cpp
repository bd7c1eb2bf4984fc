// A journal verified: whole, live, and whatever is done to it.

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <random>

#include "format.hpp"
#include "recovery.hpp"
#include "segment_bytes.hpp"
#include "segment_image.hpp"
#include "verify_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

TEST(Verify, AJournalClosedInGoodOrderIsWholeAndCountedExactly) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto model = model_of(journal);
  const Verified verified = verify_all(journal);
  EXPECT_TRUE(verified.report.whole()) << verified.words();
  EXPECT_TRUE(verified.report.notes.empty());
  EXPECT_EQ(verified.records, model);
  std::uint64_t records = 0;
  std::uint64_t trades = 0;
  for (const SegmentReport& segment : verified.report.segments) {
    records += segment.records;
    trades += segment.trades;
    const bool last = &segment == &verified.report.segments.back();
    EXPECT_EQ(segment.state, last ? SegmentState::open : SegmentState::closed);
    EXPECT_EQ(segment.damages, 0U);
    EXPECT_EQ(segment.file_bytes, 64U << 10U);
    EXPECT_LE(segment.end_offset, segment.file_bytes);
  }
  EXPECT_EQ(records, model.size());
  std::uint64_t trades_wanted = 0;
  for (const auto& [position, seen] : model) {
    trades_wanted += seen.trade_texts.size();
  }
  EXPECT_EQ(trades, trades_wanted);
  EXPECT_EQ(verified.report.segments.front().first_position, model.begin()->first);
  EXPECT_EQ(verified.report.segments.back().last_position, model.rbegin()->second.trade_positions.back());
  EXPECT_EQ(verified.report.segments.back().last_time_ns, kFrames);
}

TEST(Verify, WhereThereIsNoJournalItSaysSo) {
  const TemporaryDirectory directory;
  for (const auto& path : {directory.path(), directory.path() / "nothing"}) {
    const auto report = verify(path);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::environment);
  }
}

TEST(Verify, AJournalOfAKilledWriterIsWholeAndOfANewBootToo) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  auto image = options;
  image.directory = directory.path() / "image";
  const auto writer = open_writer(options);
  for (int number = 1; number <= kFrames; ++number) {
    write_something(*writer, number);
  }
  copy_live(options.directory, image.directory);
  const Verified killed = verify_all(image.directory);
  EXPECT_TRUE(killed.report.whole()) << killed.words();
  EXPECT_EQ(killed.records, model_of(options.directory));
  for (int boot = 2; boot < 5; ++boot) {
    image.boot_id = "boot-" + std::to_string(boot);
    const auto again = open_writer(image);
    if (boot != 3) {
      write_something(*again, kFrames + boot);
    }
    const Verified rebooted = verify_all(image.directory);
    EXPECT_TRUE(rebooted.report.whole()) << rebooted.words();
    EXPECT_EQ(rebooted.records, model_of(image.directory));
  }
}

TEST(Verify, ASegmentThatLacksOnlyItsEndIsNotedAndNoDamage) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto indices = begun_segments(journal);
  SegmentBytes bytes(journal / segment_name(indices[indices.size() - 2]));
  store_length(bytes.data() + bytes.records().back(), 0);
  bytes.save();
  const Verified verified = verify_all(journal);
  EXPECT_TRUE(verified.report.whole()) << verified.words();
  ASSERT_EQ(verified.report.notes.size(), 1U);
  EXPECT_THAT(verified.report.notes.front(), HasSubstr("lacks its end"));
  // Not so where two segments follow: a start would have closed it.
  SegmentBytes earlier(journal / segment_name(indices[0]));
  const auto end = earlier.records().back();
  store_length(earlier.data() + end, 0);
  earlier.save();
  const Verified damaged = verify_all(journal);
  ASSERT_EQ(damaged.report.damages.size(), 1U) << damaged.words();
  EXPECT_EQ(damaged.report.damages[0].offset, end);
  EXPECT_THAT(damaged.words(), HasSubstr("it has no end"));
}

TEST(Verify, ALiveJournalIsWholeWhileItIsWrittenAndItsOldestSegmentsGo) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 5 * options.segment_bytes;
  const auto writer = open_writer(options);
  std::jthread feed([&](const std::stop_token& stop) {
    for (int number = 1; !stop.stop_requested(); ++number) {
      write_something(*writer, 1 + number % 1000);
    }
  });
  Position last = 0;
  for (int round = 0; round < 150; ++round) {
    const auto report = verify(options.directory);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_TRUE(report->whole()) << report->damages[0].file << " at " << report->damages[0].offset << ": "
                                 << report->damages[0].reason;
    for (const SegmentReport& segment : report->segments) {
      last = std::max(last, segment.last_position);
    }
  }
  feed.request_stop();
  feed.join();
  EXPECT_GT(last, make_position(1, 0));
  EXPECT_GT(writer->figures().rolls.get(), 0U);
}

/// Each time that verification has read the newest record the writer goes on after a while, into the next segment.
void verify_while_written(std::uint32_t seed) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  write_something(*writer, 1);
  std::atomic<std::uint64_t> rolls_allowed{0};
  const auto may_write = [&] { return writer->figures().rolls.get() < rolls_allowed.load(); };
  std::jthread feed([&](const std::stop_token& stop) {
    std::mt19937 random(seed);
    for (int number = 1; !stop.stop_requested();) {
      for (unsigned spins = may_write() ? random() % 4096 : 0; spins != 0; --spins) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
      while (may_write()) {
        write_something(*writer, 1 + ++number % 1000);
      }
    }
  });
  for (int round = 0; round < 40; ++round) {
    Position last = 0;
    VerifyOptions verify_options;
    verify_options.on_record = [&](const RecordView& record, const SymbolTable&) {
      ASSERT_TRUE(last == 0 || record.position() == last + 1)
          << position_text(record.position()) << " behind " << position_text(last);
      last = record.last_position();
      if (last == writer->figures().position.get()) {
        rolls_allowed.store(writer->figures().rolls.get() + 1);
      }
    };
    const auto report = verify(options.directory, verify_options);
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_TRUE(report->whole()) << report->damages[0].file << " at " << report->damages[0].offset << ": "
                                 << report->damages[0].reason;
    ASSERT_NE(last, 0U);
  }
}

TEST(Verify, OfALiveJournalItReadsAllUpToItsEndAndNothingBehindAGap) {
  for (std::uint32_t seed = 1; seed <= 8 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    verify_while_written(seed);
  }
}

TEST(Verify, WhatRetentionTakesWhileItIsReadIsNoDamage) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 5 * options.segment_bytes;
  const auto writer = open_writer(options);
  write_something(*writer, 1);
  while (list_segments(options.directory)->back() < 2) {
    std::this_thread::yield();
  }
  // It knows of two segments. While it reads the first one the second comes to its end, so that it looks for a third;
  // while it reads the second one retention takes all three.
  int number = 1;
  const auto write_until = [&](const auto& done) {
    while (!done()) {
      write_something(*writer, 1 + ++number % 1000);
    }
  };
  bool taken = false;
  VerifyOptions verify_options;
  verify_options.on_record = [&](const RecordView& record, const SymbolTable&) {
    write_until([&] { return writer->figures().rolls.get() >= 2; });
    if (!taken) {
      const auto second = *SegmentImage::open(options.directory / segment_name(2));
      ASSERT_TRUE(second->load(kHeaderBytes));
      if (record.position() >= make_position(second->header().epoch, second->header().first_sequence)) {
        write_until([&] { return list_segments(options.directory)->front() > 3; });
        taken = true;
      }
    }
  };
  const auto report = verify(options.directory, verify_options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->whole()) << report->damages[0].file << " at " << report->damages[0].offset << ": "
                               << report->damages[0].reason;
  EXPECT_TRUE(taken);
}

TEST(Verify, ASegmentThatWasPreparedAndGoesWithItsWriterIsNoDamage) {
  for (const bool started_again : {false, true}) {
    const TemporaryDirectory directory;
    const auto options = tiny_options(directory.path());
    auto writer = open_writer(options);
    write_something(*writer, 1);
    while (list_segments(options.directory)->back() < 2) {
      std::this_thread::yield();
    }
    VerifyOptions verify_options;
    bool done = false;
    verify_options.on_record = [&](const RecordView&, const SymbolTable&) {
      if (!std::exchange(done, true)) {
        writer.reset();
        if (started_again) {
          writer = open_writer(options);
        }
      }
    };
    const auto report = verify(options.directory, verify_options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->whole()) << report->damages[0].file << ": " << report->damages[0].reason;
    EXPECT_TRUE(done);
  }
}

TEST(Verify, TheCheckpointIsNotHeldAgainstSegmentsThatRetentionTookMeanwhile) {
  const TemporaryDirectory directory;
  auto options = tiny_options(directory.path());
  options.keep_bytes = 5 * options.segment_bytes;
  const auto writer = open_writer(options);
  int number = 0;
  const auto write_more = [&] { write_something(*writer, 1 + ++number % 1000); };
  while (writer->figures().rolls.get() == 0) {
    write_more();
  }
  const auto synced_up_to = [&] {
    const auto checkpoint = load_checkpoint(options.directory);
    return checkpoint && *checkpoint ? (*checkpoint)->segment : 0;
  };
  while (synced_up_to() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(list_segments(options.directory)->front(), 1U);
  const std::uint64_t newest = list_segments(options.directory)->back();
  VerifyOptions verify_options;
  verify_options.on_record = [&](const RecordView&, const SymbolTable&) {
    while (list_segments(options.directory)->front() <= newest) {
      write_more();
    }
  };
  const auto report = verify(options.directory, verify_options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->whole()) << report->damages[0].file << ": " << report->damages[0].reason;
}

/// Whatever is done to its files: no crash, no record that was not written, and "whole" only where all is there.
class Vandal {
 public:
  Vandal(std::filesystem::path journal, unsigned seed) : journal_(std::move(journal)), random_(seed) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(journal_)) {
      if (entry.is_regular_file() && entry.path().filename() != "lock") {
        std::ifstream file(entry.path(), std::ios::binary);
        files_[entry.path()] = std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      }
    }
  }

  void damage() {
    const auto& [path, content] = *std::next(files_.begin(), static_cast<std::ptrdiff_t>(below(files_.size())));
    touched_ = {path};
    std::string bytes = content;
    switch (below(9)) {
      case 0:
      case 1:
        for (auto flips = 1 + below(4); flips != 0; --flips) {
          char& byte = bytes[below(used(bytes))];
          byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << below(8)));
        }
        break;
      case 2:
        for (std::size_t at = below(used(bytes)), end = std::min(bytes.size(), at + 1 + below(200)); at < end; ++at) {
          bytes[at] = static_cast<char>(below(256));
        }
        break;
      case 3: {  // a page that was not written
        const std::size_t at = below(used(bytes)) / 4096 * 4096;
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(4096, bytes.size() - at), 0);
        break;
      }
      case 4: {  // something of its own in the wrong place
        const std::size_t unit = std::min<std::size_t>(64U << below(5), bytes.size());
        const std::size_t from = below(used(bytes)) / 64 * 64;
        const std::size_t to = below(used(bytes)) / 64 * 64;
        const std::size_t count = std::min({unit, bytes.size() - from, bytes.size() - to});
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(from), count,
                    bytes.begin() + static_cast<std::ptrdiff_t>(to));
        break;
      }
      case 5:
        bytes.resize(below(bytes.size()));
        break;
      case 6: {  // a word that means something, often
        const std::uint32_t words[] = {0, 1, 63, 64, 128, 0xFFFF, 0x7FFF'FFFF, 0xFFFF'FFC0, 0xFFFF'FFFF};
        const std::size_t at = below(used(bytes)) / 4 * 4;
        std::memcpy(bytes.data() + std::min(at, bytes.size() - 4), &words[below(std::size(words))], 4);
        break;
      }
      case 7: {  // another's content
        const auto& [other, others] = *std::next(files_.begin(), static_cast<std::ptrdiff_t>(below(files_.size())));
        bytes = others;
        break;
      }
      default:
        std::filesystem::remove(path);
        return;
    }
    write(path, bytes);
  }

  void restore() {
    for (const auto& path : touched_) {
      write(path, files_.at(path));
    }
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  /// Mostly where there is something.
  std::size_t used(const std::string& bytes) {
    return below(10) == 0 ? bytes.size() : 1 + bytes.find_last_not_of('\0');
  }
  static void write(const std::filesystem::path& path, const std::string& bytes) {
    std::filesystem::remove(path);  // see SegmentBytes::save()
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::filesystem::path journal_;
  std::mt19937 random_;
  std::map<std::filesystem::path, std::string> files_;
  std::vector<std::filesystem::path> touched_;
};

TEST(Verify, WhateverIsDoneToItsFilesNoWrongRecordIsGoodAndNothingLostIsWhole) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 300);
  const auto model = model_of(journal);
  const unsigned seed = std::random_device{}();
  Vandal vandal(journal, seed);
  const int rounds = std::getenv("MDPIPE_TEST_LONG") != nullptr ? 50'000 : 1000;
  int damaged = 0;
  for (int round = 0; round < rounds; ++round) {
    vandal.damage();
    const Verified verified = verify_all(journal);
    for (const auto& [position, seen] : verified.records) {
      const auto wanted = model.find(position);
      ASSERT_TRUE(wanted != model.end() && same(seen, wanted->second)) << "seed " << seed << ", round " << round;
    }
    if (verified.report.whole()) {
      ASSERT_EQ(verified.records, model) << "seed " << seed << ", round " << round;
    }
    damaged += verified.report.whole() ? 0 : 1;
    vandal.restore();
  }
  EXPECT_GT(damaged, rounds / 2);
  EXPECT_TRUE(verify_all(journal).report.whole());
}

}  // namespace
}  // namespace mdpipe::journal
