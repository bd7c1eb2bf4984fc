// Files: handles, replacing, state files, locks.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "mdpipe/base/file.hpp"
#include "mdpipe/base/state_file.hpp"
#include "support/temporary_directory.hpp"

namespace mdpipe {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryDirectory;

bool is_open(int descriptor) {
  return ::fcntl(descriptor, F_GETFD) >= 0;
}

TEST(FileDescriptor, ClosesOnceWhateverItWasMovedTo) {
  const TemporaryDirectory directory;
  auto first = std::move(*open_file(directory.path() / "one", O_RDWR | O_CREAT));
  auto second = std::move(*open_file(directory.path() / "two", O_RDWR | O_CREAT));
  const int one = first.get();
  const int two = second.get();
  second = std::move(first);
  EXPECT_TRUE(is_open(one));
  EXPECT_FALSE(is_open(two));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left is what is asked
  { const FileDescriptor third(std::move(second)); }
  EXPECT_FALSE(is_open(one));
}

TEST(OpenFile, FollowsNoLinkAndIsItsOwnersAlone) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "file";
  const auto descriptor = open_file(path, O_RDWR | O_CREAT);
  ASSERT_TRUE(descriptor);
  EXPECT_NE(::fcntl(descriptor->get(), F_GETFD) & FD_CLOEXEC, 0);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  std::filesystem::create_symlink(path, directory.path() / "link");
  const auto linked = open_file(directory.path() / "link", O_RDONLY);
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code, ErrorCode::environment);
  EXPECT_THAT(linked.error().message, HasSubstr("link: "));
}

TEST(ReadFile, RefusesMoreThanItsCallerExpects) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "file";
  std::ofstream(path) << std::string(20'000, 'x');
  EXPECT_EQ(read_file(path).value_or("").size(), 20'000U);
  EXPECT_TRUE(read_file(path, 20'000));
  const auto refused = read_file(path, 19'999);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::data);
}

TEST(ReplacedFile, HoldsTheOldContentUntilItHoldsTheNew) {
  const TemporaryDirectory directory;
  const ReplacedFile file(directory.path() / "file");
  const auto write = [&](std::string_view text) { return file.replace(std::as_bytes(std::span(text))); };
  ASSERT_TRUE(write("old"));
  const auto reader = std::move(*open_file(file.path(), O_RDONLY));
  ASSERT_TRUE(write("the new one"));
  EXPECT_EQ(read_file(file.path()).value_or(""), "the new one");
  // Whoever had it open still has the old one, whole: it was never written in place.
  char old[8] = {};
  EXPECT_EQ(::read(reader.get(), old, sizeof old), 3);
  EXPECT_STREQ(old, "old");
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "file.new"));
  // What cannot be written leaves what is there.
  std::filesystem::create_directory(directory.path() / "file.new");
  EXPECT_FALSE(write("never"));
  EXPECT_EQ(read_file(file.path()).value_or(""), "the new one");
}

TEST(StateFile, GivesBackWhatWasSaved) {
  const TemporaryDirectory directory;
  StateFile file(directory.path() / "state", "cursor one");
  auto nothing = file.load();
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  const std::string payload("with\0zeros", 10);
  ASSERT_TRUE(file.save(77, payload));
  ASSERT_TRUE(file.save(78, payload));
  const auto state = file.load();
  ASSERT_TRUE(state && *state);
  EXPECT_EQ((*state)->position, 78U);
  EXPECT_EQ((*state)->payload, payload);
  EXPECT_EQ(load_any_state(file.path())->kind, "cursor one");
  const auto other = StateFile(file.path(), "cursor two").load();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::data);
  EXPECT_THAT(other.error().message, HasSubstr("\"cursor one\", not \"cursor two\""));
}

TEST(StateFile, IsRefusedWithAnyBitFlippedAndAtAnyLength) {
  const TemporaryDirectory directory;
  StateFile file(directory.path() / "state", "kind");
  ASSERT_TRUE(file.save(5, "payload"));
  const std::string whole = read_file(file.path()).value_or("");
  ASSERT_EQ(whole.size(), 32U + 4 + 7 + 4);
  const auto refused = [&](const std::string& bytes) {
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << bytes;
    const auto loaded = file.load();
    return !loaded && loaded.error().code == ErrorCode::data;
  };
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(refused(bytes)) << "bit " << bit;
  }
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_TRUE(refused(whole.substr(0, length))) << length;
  }
  ASSERT_TRUE(refused(whole + "x"));
}

TEST(LockFile, NamesItsHolderAndGoesWithIt) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "lock";
  {
    const auto held = LockFile::acquire(path, "mdpipe run");
    ASSERT_TRUE(held);
    const auto second = LockFile::acquire(path, "another");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::environment);
    EXPECT_THAT(second.error().message, HasSubstr("in use by mdpipe run (pid " + std::to_string(::getpid())));
  }
  EXPECT_TRUE(LockFile::acquire(path, "another"));
}

TEST(LockFile, OfAHolderThatHasNotSaidWhoItIsIsRefusedToo) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "lock";
  const auto descriptor = std::move(*open_file(path, O_RDWR | O_CREAT));
  ASSERT_EQ(::flock(descriptor.get(), LOCK_EX | LOCK_NB), 0);
  const auto refused = LockFile::acquire(path, "mdpipe run");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("in use by an unknown process"));
}

TEST(LockFile, HoldsWithoutANameWhereTheDiskIsFull) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "lock";
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit full{0, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &full);
  const auto held = LockFile::acquire(path, "mdpipe run");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(held) << held.error().message;
  const auto second = LockFile::acquire(path, "another");
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("in use by an unknown process"));
}

TEST(ListDirectory, GivesAllNamesAndSaysWhatItCannotRead) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() / "b");
  ASSERT_TRUE(replace_file(directory.path() / "a", {}));
  auto names = std::move(*list_directory(directory.path()));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
  const auto none = list_directory(directory.path() / "none");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("No such file"));
}

}  // namespace
}  // namespace mdpipe
