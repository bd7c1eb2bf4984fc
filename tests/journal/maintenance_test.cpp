// A journal's segments and cursors listed, cursors taken off, old segments pruned.

#include <gmock/gmock.h>

#include "format.hpp"
#include "mdpipe/base/clock.hpp"
#include "mdpipe/base/state_file.hpp"
#include "mdpipe/journal/maintenance.hpp"
#include "segment_bytes.hpp"
#include "verify_fixture.hpp"

namespace mdpipe::journal {
namespace {

using ::testing::HasSubstr;

std::vector<ListedSegment> listed(const std::filesystem::path& journal) {
  auto segments = list_journal(journal);
  if (!segments) {
    throw std::runtime_error(segments.error().message);
  }
  return std::move(*segments);
}

void set_cursor(const std::filesystem::path& journal, const std::string& name, Position position) {
  ASSERT_TRUE(StateFile(journal / "cursors" / name, "cursor " + name).save(position, ""));
}

TEST(Maintenance, TheListSaysOfEachSegmentWhatItsRecordsSay) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  const auto segments = listed(journal);
  const auto report = verify(journal);
  ASSERT_TRUE(report);
  ASSERT_EQ(segments.size(), report->segments.size());
  for (std::size_t which = 0; which < segments.size(); ++which) {
    const SegmentReport& wanted = report->segments[which];
    EXPECT_EQ(segments[which].index, wanted.index);
    EXPECT_EQ(segments[which].state, wanted.state);
    EXPECT_EQ(segments[which].journal_id, report->journal_id);
    EXPECT_EQ(segments[which].first_position, wanted.first_position);
    EXPECT_EQ(segments[which].last_position, wanted.last_position);
    EXPECT_EQ(segments[which].last_time_ns, wanted.last_time_ns);
    EXPECT_EQ(segments[which].begun_ns, wanted.begun_ns);
    EXPECT_EQ(segments[which].disk_bytes, wanted.disk_bytes);
    EXPECT_GT(segments[which].disk_bytes, 0U);
  }
}

TEST(Maintenance, NothingReceivedAtOrBehindATimeLiesBeforeThePositionOfThatTime) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  for (int number = 1; number <= kFrames; ++number) {
    write_something(*writer, number);
  }
  while (!std::filesystem::exists(options.directory / segment_name(writer->figures().rolls.get() + 2))) {
    std::this_thread::yield();
  }
  const auto segments = listed(options.directory);
  ASSERT_EQ(segments.back().state, SegmentState::prepared);
  for (std::int64_t time_ns = 0; time_ns <= kFrames + 1; ++time_ns) {
    const auto before = position_before(options.directory, time_ns);
    ASSERT_TRUE(before) << before.error().message;
    const auto reader = std::move(*Reader::open(options.directory));
    Position last_earlier = kBeforeEverything;
    std::int64_t passed_over = 0;
    while (const auto record = reader->next()) {
      passed_over += record->position() <= *before ? 1 : 0;
      last_earlier = record->receive_time_ns() < time_ns ? record->last_position() : last_earlier;
    }
    EXPECT_LE(*before, last_earlier) << time_ns;
    EXPECT_EQ(passed_over == 0, time_ns <= segments.front().last_time_ns) << time_ns;
  }
  EXPECT_EQ(*position_before(options.directory, kFrames + 1), segments[segments.size() - 2].last_position);
}

TEST(Maintenance, TheListOfALiveJournalHasItsPreparedSegmentAndARefusedOneItsReason) {
  const TemporaryDirectory directory;
  const auto options = tiny_options(directory.path());
  const auto writer = open_writer(options);
  for (int number = 1; number <= kFrames; ++number) {
    write_something(*writer, number);
  }
  while (!std::filesystem::exists(options.directory / segment_name(writer->figures().rolls.get() + 2))) {
    std::this_thread::yield();
  }
  auto segments = listed(options.directory);
  EXPECT_EQ(segments.back().state, SegmentState::prepared);
  EXPECT_EQ(segments[segments.size() - 2].state, SegmentState::open);
  EXPECT_EQ(segments[segments.size() - 2].last_position, writer->figures().position.get());
  EXPECT_TRUE(writer->close());

  SegmentBytes bytes(options.directory / segment_name(2));
  bytes.header().version = 2;
  bytes.save_with_header();
  segments = listed(options.directory);
  EXPECT_EQ(segments[1].state, SegmentState::refused);
  EXPECT_THAT(segments[1].trouble, HasSubstr("format version 2"));
  // The one before it ends where its own records end.
  EXPECT_EQ(segments[0].last_position, verify(options.directory)->segments[0].last_position);
}

TEST(Maintenance, ASegmentWithoutARecordHasNoPositions) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory, 20);
  { const auto again = open_writer(tiny_options(directory.path())); }
  const auto segments = listed(journal);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[1].first_position, 0U);
  EXPECT_EQ(segments[1].last_position, segments[0].last_position);
}

TEST(Maintenance, CursorsAreListedByNameAndAnUnreadableOneWithItsReason) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  set_cursor(journal, "aggregate", make_position(1, 3));
  std::ofstream(journal / "cursors" / "broken") << "something else";
  std::ofstream(journal / "cursors" / "store.new") << "half";
  const auto cursors = list_cursors(journal);
  ASSERT_TRUE(cursors);
  ASSERT_EQ(cursors->size(), 3U);
  EXPECT_EQ((*cursors)[0].name, "aggregate");
  EXPECT_EQ((*cursors)[0].position, make_position(1, 3));
  EXPECT_GT((*cursors)[0].saved_ns, 0);
  EXPECT_EQ((*cursors)[1].name, "broken");
  EXPECT_THAT((*cursors)[1].trouble, HasSubstr("too short"));
  EXPECT_EQ((*cursors)[2].name, "store");
  EXPECT_EQ((*cursors)[2].position, make_position(1, 9));
}

TEST(Maintenance, ACursorIsRemovedByNameButNotWhileAWriterRuns) {
  const TemporaryDirectory directory;
  const auto journal = make_journal(directory);
  {
    const auto writer = open_writer(tiny_options(directory.path()));
    const auto refused = remove_cursor(journal, "store");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::environment);
    EXPECT_THAT(refused.error().message, HasSubstr("in use by the test"));
  }
  for (const char* const wrong : {"stor", "", "..", "../checkpoint", "store.new"}) {
    const auto refused = remove_cursor(journal, wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, HasSubstr("it has: store"));
  }
  EXPECT_TRUE(std::filesystem::exists(journal / "checkpoint"));
  ASSERT_TRUE(remove_cursor(journal, "store"));
  EXPECT_TRUE(list_cursors(journal)->empty());
  EXPECT_THAT(remove_cursor(journal, "store").error().message, HasSubstr("it has none"));
}

/// A journal of five segments or more, without a cursor.
std::filesystem::path make_long_journal(const TemporaryDirectory& directory) {
  const auto journal = make_journal(directory, 900);
  EXPECT_TRUE(remove_cursor(journal, "store"));
  EXPECT_GE(listed(journal).size(), 5U);
  return journal;
}

TEST(Maintenance, PruneByPositionTakesTheSegmentsThatEndBeforeIt) {
  const TemporaryDirectory directory;
  const auto journal = make_long_journal(directory);
  const auto segments = listed(journal);
  PruneOptions options;
  options.dry_run = true;
  for (std::size_t which = 0; which + 1 < segments.size(); ++which) {
    options.before = segments[which].last_position;
    EXPECT_EQ(prune(journal, options)->gone.size(), which);
    options.before = segments[which].last_position + 1;
    EXPECT_EQ(prune(journal, options)->gone.size(), which + 1);
  }
  options.before = make_position(9, 1);
  EXPECT_EQ(prune(journal, options)->gone.size(), segments.size() - 1) << "never the newest";
  EXPECT_EQ(listed(journal).size(), segments.size()) << "a dry run takes nothing";

  options.dry_run = false;
  options.before = segments[2].last_position;
  const auto report = prune(journal, options);
  ASSERT_TRUE(report);
  ASSERT_EQ(report->gone.size(), 2U);
  EXPECT_EQ(report->gone[1].path, segments[1].path);
  EXPECT_EQ(report->freed_bytes, segments[0].disk_bytes + segments[1].disk_bytes);
  EXPECT_EQ(report->kept, segments.size() - 2);
  EXPECT_EQ(listed(journal).front().index, 3U);
  EXPECT_TRUE(verify_all(journal).report.whole());
}

TEST(Maintenance, PruneByTimeSizeAndAge) {
  const TemporaryDirectory directory;
  const auto journal = make_long_journal(directory);
  const auto segments = listed(journal);
  const auto would_go = [&](const PruneOptions& options) { return prune(journal, options)->gone.size(); };
  EXPECT_EQ(
      would_go(
          {.keep_bytes = {}, .keep_age_s = {}, .before = {}, .before_ns = segments[1].last_time_ns, .dry_run = true}),
      1U);
  EXPECT_EQ(would_go({.keep_bytes = {},
                      .keep_age_s = {},
                      .before = {},
                      .before_ns = segments[1].last_time_ns + 1,
                      .dry_run = true}),
            2U);
  std::uint64_t bytes = 0;
  for (const ListedSegment& segment : segments) {
    bytes += segment.disk_bytes;
  }
  EXPECT_EQ(would_go({.keep_bytes = bytes, .keep_age_s = {}, .before = {}, .before_ns = {}, .dry_run = true}), 0U);
  EXPECT_EQ(would_go({.keep_bytes = bytes - 1, .keep_age_s = {}, .before = {}, .before_ns = {}, .dry_run = true}), 1U);
  EXPECT_EQ(would_go({.keep_bytes = {}, .keep_age_s = 3600, .before = {}, .before_ns = {}, .dry_run = true}), 0U);
  EXPECT_EQ(would_go({.keep_bytes = {}, .keep_age_s = 0, .before = {}, .before_ns = {}, .dry_run = true}),
            segments.size() - 1);
}

TEST(Maintenance, PruneNeverGoesPastACursorAndSaysWhichHolds) {
  const TemporaryDirectory directory;
  const auto journal = make_long_journal(directory);
  const auto segments = listed(journal);
  PruneOptions options;
  options.before = make_position(9, 1);
  options.dry_run = true;
  set_cursor(journal, "ahead", segments[3].last_position);
  for (std::size_t which = 0; which < 3; ++which) {
    set_cursor(journal, "store", segments[which].last_position - 1);
    auto report = prune(journal, options);
    EXPECT_EQ(report->gone.size(), which);
    EXPECT_THAT(report->held, HasSubstr("cursor store stands at"));
    set_cursor(journal, "store", segments[which].last_position);
    EXPECT_EQ(prune(journal, options)->gone.size(), which + 1);
  }
  set_cursor(journal, "store", kBeforeEverything);
  EXPECT_TRUE(prune(journal, options)->gone.empty());
  std::ofstream(journal / "cursors" / "store") << "garbage";
  options.dry_run = false;
  const auto report = prune(journal, options);
  EXPECT_TRUE(report->gone.empty());
  EXPECT_THAT(report->held, HasSubstr("cannot be read"));
  EXPECT_EQ(listed(journal).size(), segments.size());
}

TEST(Maintenance, PruneIsRefusedWhileAWriterRunsAndOnADamagedJournal) {
  const TemporaryDirectory directory;
  const auto journal = make_long_journal(directory);
  PruneOptions options;
  options.before = make_position(9, 1);
  {
    const auto writer = open_writer(tiny_options(directory.path()));
    const auto refused = prune(journal, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::environment);
    EXPECT_THAT(refused.error().message, HasSubstr("in use by the test"));
  }
  const auto count = listed(journal).size();
  const SegmentBytes whole(journal / segment_name(2));
  for (const bool foreign : {false, true}) {
    SegmentBytes bytes = whole;
    (foreign ? bytes.header().journal_id : bytes.header().index) ^= 1U;
    bytes.save_with_header();
    const auto refused = prune(journal, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::data);
    EXPECT_THAT(refused.error().message, HasSubstr("nothing was removed"));
    EXPECT_EQ(listed(journal).size(), count);
  }
}

TEST(Maintenance, AFolderWithoutAJournalIsNotTouched) {
  const TemporaryDirectory directory;
  PruneOptions options;
  options.keep_age_s = 0;
  EXPECT_EQ(prune(directory.path(), options).error().code, ErrorCode::environment);
  EXPECT_EQ(list_journal(directory.path()).error().code, ErrorCode::environment);
  EXPECT_FALSE(remove_cursor(directory.path(), "store"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace mdpipe::journal
