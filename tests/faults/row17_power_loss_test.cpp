// Row 17: power loss. Each page of the journal that was not synced is old, new or zero; files that were made, removed
// or replaced are so or not. What was synced is there after the next start, nothing that is read is wrong, the start
// says what it found.
//
// MDPIPE_FAULT_IMAGES: how many images (250). MDPIPE_TEST_SEED: the seed, which is printed (1). How far the helper's
// thread has synced at an instant is not the seed's: an image that fails is kept, and its folder said.

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "format.hpp"
#include "journal/verify_fixture.hpp"
#include "power_loss_disk.hpp"
#include "support/memory_folder.hpp"

namespace mdpipe::journal {
namespace {

using mdpipe::testing::Moment;
using mdpipe::testing::PowerLossDisk;

using Model = std::map<Position, Seen>;

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// The positions that were on the disk for certain: up to the first record of which any byte was not.
std::vector<Position> synced_positions(const Moment& moment) {
  const auto synced = synced_alone(moment);
  std::vector<Position> positions;
  for (const auto& [name, content] : moment.files) {
    if (!name.ends_with(".segment")) {
      continue;
    }
    const auto on_disk = synced.find(name);
    const auto same = [&](std::size_t from, std::size_t bytes) {
      return on_disk != synced.end() && content.compare(from, bytes, on_disk->second, from, bytes) == 0;
    };
    if (!same(0, kHeaderBytes)) {
      return positions;
    }
    for (std::size_t at = kHeaderBytes; at + kRollBytes <= content.size();) {
      RecordHeader header{};
      std::memcpy(&header, content.data() + at, sizeof header);
      if (header.length == 0 || header.kind == static_cast<std::uint16_t>(RecordKind::roll)) {
        break;
      }
      if (!same(at, header.length)) {
        return positions;
      }
      if (header.position != 0) {
        positions.push_back(header.position);
      }
      at += header.length;
    }
  }
  return positions;
}

class PowerLoss : public ::testing::Test {
 protected:
  PowerLoss() : seed_(number_from("MDPIPE_TEST_SEED", 1)), images_(number_from("MDPIPE_FAULT_IMAGES", 250)) {
    std::string name = (mdpipe::testing::memory_folder() / "mdpipe-power-loss-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::cout << "seed " << seed_ << ", " << images_ << " images\n";
  }
  ~PowerLoss() override {
    if (HasFailure()) {
      std::cout << "kept: " << folder_ << "\n";
    } else {
      std::filesystem::remove_all(folder_);
    }
  }

  [[nodiscard]] WriterOptions options_for(const std::filesystem::path& journal) {
    WriterOptions options = tiny_options(folder_);
    options.directory = journal;
    options.sync_interval_ms = 2;
    options.boot_id = "boot-" + std::to_string(++boots_);
    return options;
  }

  /// A life of the machine: writes, and looks at the disk now and then. Everything that was written goes into the
  /// model.
  std::vector<Moment> live(const std::filesystem::path& journal, std::mt19937_64& random) {
    PowerLossDisk disk(journal);
    std::vector<Moment> moments;
    WriterOptions options = options_for(journal);
    // In some lives retention takes what lies behind.
    options.keep_bytes = random() % 3 == 0 ? 100U << 10U : options.keep_bytes;
    const auto writer = open_writer(options);
    auto reader = std::move(*writer->reader(writer->recovery().last_position));
    const auto cursor = writer->register_cursor("store");
    const int frames = 200 + static_cast<int>(random() % 600);
    for (int number = 1; number <= frames; ++number) {
      {
        auto paused = disk.pause();
        write_frame(*writer, trades_of(random, number), number, random() % 400);
        if (random() % 20 == 0) {
          static_cast<void>(writer->append_session(SessionKind::stale, {1, 0, 0, 0, 0}, "quiet", number));
        }
        remember(*reader);
        if (random() % 10 == 0) {
          (*cursor)->advance(reader->position());
          reader->release(reader->position());
        }
        if (random() % 40 == 0) {
          moments.push_back(disk.look());
        }
      }
      if (random() % 30 == 0) {
        ::usleep(static_cast<useconds_t>(random() % 4000));
      }
    }
    return moments;
  }

  static std::vector<std::string> trades_of(std::mt19937_64& random, int number) {
    std::vector<std::string> trades;
    for (auto left = random() % 4; left != 0; --left) {
      trades.push_back("S" + std::to_string(random() % (2 + static_cast<unsigned>(number) / 40)));
    }
    return trades;
  }

  void remember(Reader& reader) {
    while (const auto record = reader.next()) {
      model_.emplace(record->position(), copy_of(*record, reader.symbols()));
    }
  }

  /// Everything that can be read is what was written.
  Model read(Reader& reader) {
    Model seen;
    Position last = 0;
    while (const auto record = reader.next()) {
      EXPECT_GT(record->position(), last);
      last = record->last_position();
      const Seen copy = copy_of(*record, reader.symbols());
      const auto wanted = model_.find(record->position());
      if (wanted == model_.end() || wanted->second != copy) {
        ADD_FAILURE() << "a wrong record: " << position_text(record->position());
      }
      seen.emplace(record->position(), copy);
    }
    EXPECT_FALSE(reader.failure()) << reader.failure()->message;
    return seen;
  }

  /// What those find who look before anybody has mended it.
  void look_at_what_is_left(const std::filesystem::path& image) {
    if (auto reader = Reader::open(image)) {
      static_cast<void>(read(**reader));
    }
    const VerifyOptions options{.damages_max = 10,
                                .on_record = [&](const RecordView& record, const SymbolTable& symbols) {
                                  const auto wanted = model_.find(record.position());
                                  ASSERT_NE(wanted, model_.end()) << position_text(record.position());
                                  EXPECT_TRUE(same(copy_of_known(record, symbols), wanted->second));
                                }};
    static_cast<void>(verify(image, options));
  }

  /// The next start, on a copy: the raw image stays for who wants to see why it failed. Whether it holds all it should.
  void start_again(const std::filesystem::path& image, const std::vector<Position>& synced, bool checkpoint) {
    const auto writer = Writer::open(options_for(image));
    ASSERT_TRUE(writer) << writer.error().message;
    const RecoveryReport& report = (*writer)->recovery();
    SCOPED_TRACE(report.words);
    const auto before = Model(model_);
    auto reader = std::move(*(*writer)->reader(kBeforeEverything));
    const Model left = read(*reader);
    Position lost_first = 0;
    for (const Position position : synced) {
      if (left.count(position) == 0) {
        lost_first = lost_first == 0 ? position : lost_first;
      }
    }
    EXPECT_EQ(lost_first, 0U) << position_text(lost_first) << " was synced and is lost";
    // It says what it found.
    if (!report.created) {
      EXPECT_TRUE(report.new_epoch);
      EXPECT_THAT(report.words, ::testing::HasSubstr("the machine was restarted"));
    }
    if (report.cut_bytes != 0 || report.skipped_records != 0) {
      EXPECT_THAT(report.words, ::testing::HasSubstr(".segment"));
    }
    if (checkpoint) {
      EXPECT_EQ(report.skipped_records, 0U);
      for (const Skip& skip : reader->take_skips()) {
        ADD_FAILURE() << to_string(skip);
      }
    }
    // And goes on: no position comes again, and whoever reads it finds it whole.
    for (int number = 1; number <= 3; ++number) {
      must_write_frame(**writer, {"A", "S1"}, 1'000'000 + number);
    }
    std::size_t news = 0;
    while (const auto record = reader->next()) {
      news += record->kind() == RecordKind::frame ? 1U : 0U;
      EXPECT_EQ(before.count(record->position()), 0U);
      EXPECT_GT(record->position(), report.last_position);
      model_.emplace(record->position(), copy_of(*record, reader->symbols()));
    }
    EXPECT_EQ(news, 3U);
    const auto outside = Reader::open(image);
    ASSERT_TRUE(outside);
    EXPECT_EQ(read(**outside).size(), left.size() + model_.size() - before.size());
    model_ = before;
    const auto verified = verify(image);
    ASSERT_TRUE(verified);
    if (checkpoint && reader->skipped().places == 0) {
      EXPECT_TRUE(verified->whole()) << verified->damages[0].file << " at " << verified->damages[0].offset << ": "
                                     << verified->damages[0].reason;
    }
  }

  const std::uint64_t seed_;
  const std::uint64_t images_;
  std::filesystem::path folder_;
  Model model_;
  int boots_ = 0;
};

TEST_F(PowerLoss, WhatWasSyncedIsThereNothingIsWrongAndItIsSaid) {
  constexpr std::uint64_t kImagesOfALife = 50;
  std::uint64_t made = 0;
  std::uint64_t shorter = 0;
  for (std::uint64_t life = 1; made < images_; ++life) {
    std::mt19937_64 random(seed_ * 1'000'003 + life);
    const auto journal = folder_ / "journal";
    // Two of three lives go on with what an earlier one has left. Without a checkpoint that may have holes for good.
    if (life % 3 == 1 || !std::filesystem::exists(journal / "checkpoint")) {
      std::filesystem::remove_all(journal);
      std::filesystem::create_directories(journal / "cursors");
      model_.clear();
    }
    const auto moments = live(journal, random);
    ASSERT_FALSE(moments.empty());
    for (std::uint64_t left = std::min(kImagesOfALife, images_ - made); left != 0; --left, ++made) {
      const Moment& moment = moments[random() % moments.size()];
      const auto image = folder_ / "image";
      const auto raw = folder_ / "raw";
      std::filesystem::remove_all(image);
      std::filesystem::remove_all(raw);
      make_image(moment, random, raw);
      bool checkpoint = std::filesystem::exists(raw / "checkpoint");
      if (random() % 5 == 0 && checkpoint) {
        checkpoint = false;
        random() % 2 == 0 ? std::filesystem::resize_file(raw / "checkpoint", random() % 40)
                          : static_cast<void>(std::filesystem::remove(raw / "checkpoint"));
      }
      std::filesystem::copy(raw, image, std::filesystem::copy_options::recursive);
      const auto synced = synced_positions(moment);
      SCOPED_TRACE("seed " + std::to_string(seed_) + ", life " + std::to_string(life) + ", image " +
                   std::to_string(made));
      look_at_what_is_left(raw);
      start_again(image, synced, checkpoint);
      shorter += model_.empty() || synced.empty() || synced.back() < model_.rbegin()->first ? 1U : 0U;
      if (HasFailure()) {
        return;
      }
    }
    // What the next life of this machine starts from.
    std::filesystem::remove_all(journal);
    make_image(moments.back(), random, journal);
  }
  EXPECT_GT(shorter, images_ / 4) << "nearly everything was synced: that shows nothing";
}

}  // namespace
}  // namespace mdpipe::journal
