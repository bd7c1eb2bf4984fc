// Secrets, and texts for JSON.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <ostream>
#include <type_traits>

#include <fmt/format.h>

#include "mdpipe/base/json_text.hpp"
#include "mdpipe/base/secret.hpp"
#include "support/temporary_directory.hpp"

namespace mdpipe {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(Printable<std::string> && fmt::is_formattable<std::string>::value);
static_assert(!Printable<Secret> && !fmt::is_formattable<Secret>::value);
static_assert(!std::is_convertible_v<Secret, std::string> && !std::is_convertible_v<Secret, std::string_view>);

TEST(Secret, LeavesNothingWhereItWasMovedFrom) {
  Secret from(std::string("short"));
  const Secret to(std::move(from));
  EXPECT_EQ(to.reveal(), "short");
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): what is left is what is asked
}

TEST(Secret, IsReadFromTheFirstLineOfAFileThatIsItsOwnersAlone) {
  const testing::TemporaryDirectory directory;
  const auto path = directory.path() / "token";
  std::ofstream(path) << "canary-7\r\nsecond line\n";
  ::chmod(path.c_str(), 0640);
  const auto open_to_others = read_secret_file(path);
  ASSERT_FALSE(open_to_others);
  EXPECT_EQ(open_to_others.error().code, ErrorCode::usage);
  EXPECT_EQ(open_to_others.error().message.find("canary"), std::string::npos);
  EXPECT_NE(open_to_others.error().message.find("chmod 600"), std::string::npos);
  ::chmod(path.c_str(), 0600);
  const auto secret = read_secret_file(path);
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->reveal(), "canary-7");
  std::ofstream(path, std::ios::trunc) << "\n";
  EXPECT_FALSE(read_secret_file(path));
  EXPECT_FALSE(read_secret_file(directory.path() / "none"));
}

TEST(Redact, HidesWhatIsRememberedWhereverItStands) {
  remember_secret(Secret(std::string("canary")));
  remember_secret(Secret(std::string("canary-with-a-tail")));
  remember_secret(Secret(std::string("abc")));  // too short to be told from other text
  EXPECT_EQ(redact("a canary, canary-with-a-tail and xcanaryx"), "a ***, *** and x***x");
  EXPECT_EQ(redact("abc"), "abc");
}

TEST(Redact, HidesTheQueryAndTheUserOfEveryUrl) {
  EXPECT_EQ(redact("wss://ws.finnhub.io/?token=t1 and 'https://h/p?a=1&b=2'."),
            "wss://ws.finnhub.io/?*** and 'https://h/p?***'.");
  EXPECT_EQ(redact("http://user:pass@host/path"), "http://***@host/path");
  EXPECT_EQ(redact("http://user:p@ss@host:80?q=1"), "http://***@host:80?***");
  EXPECT_EQ(redact("http://host/a@b is fine, what about who@where?"), "http://host/a@b is fine, what about who@where?");
  EXPECT_EQ(redact("https://host/path"), "https://host/path");
}

TEST(JsonText, EscapesWhatJsonWantsEscapedAndNothingElse) {
  EXPECT_EQ(json_string(""), "\"\"");
  EXPECT_EQ(json_string("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(json_string(std::string_view("\0\n\x1f\x7f", 4)), R"("\u0000\u000a\u001f\u007f")");
  EXPECT_EQ(json_string("für 株"), "\"für 株\"");
}

}  // namespace
}  // namespace mdpipe
