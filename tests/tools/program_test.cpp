// mdpipe as a user runs it: what it says, and its exit codes. What needs a venue is in tests/e2e.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mdpipe::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Ran {
  int code;
  std::string said;  // stdout and stderr
};

class Program : public testing::Test {
 protected:
  Program() : folder_(testing::TempDir() + "mdpipe-program-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~Program() override { std::filesystem::remove_all(folder_); }

  /// In a clean environment but for `variables`.
  Ran mdpipe(const std::string& arguments, const std::string& variables = "") const {
    Ran ran{-1, {}};
    FILE* const pipe = ::popen(("cd " + folder_ + " && env -i PATH=\"$PATH\" " + variables +
                                " timeout 30 " MDPIPE_PROGRAM " " + arguments + " 2>&1")
                                   .c_str(),
                               "r");
    char buffer[4096];
    for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) != 0;) {
      ran.said.append(buffer, count);
    }
    ran.code = WEXITSTATUS(::pclose(pipe));
    return ran;
  }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(folder_ + "/" + name) << text;
    ::chmod((folder_ + "/" + name).c_str(), mode);
    return folder_ + "/" + name;
  }
  [[nodiscard]] bool nothing_was_made() const { return std::filesystem::is_empty(folder_); }

  std::string folder_;
};

constexpr const char* kRun = "run --kafka none --listen none --feed ws://127.0.0.1:1 ";

TEST_F(Program, TeachesEveryCommandByItsHelp) {
  for (const std::string command : {"", "run ", "topics ", "journal export "}) {
    const Ran ran = mdpipe(command + "--help");
    EXPECT_EQ(ran.code, 0) << command;
    EXPECT_THAT(ran.said, HasSubstr("xample")) << command;
  }
  const Ran run = mdpipe("run --help");
  for (const char* const option : {"--feed",
                                   "--symbols",
                                   "--token-file",
                                   "--max-frame",
                                   "--silence",
                                   "--journal",
                                   "--kafka",
                                   "-X",
                                   "--kafka-config",
                                   "--store",
                                   "--stages",
                                   "--window",
                                   "--every",
                                   "--precision",
                                   "--listen",
                                   "--ca-file",
                                   "--place",
                                   "--idle",
                                   "--journal-keep",
                                   "--flush-bytes",
                                   "--flush-ms",
                                   "--once",
                                   "--fail-fast",
                                   "--log-format",
                                   "--config",
                                   "MDPIPE_FLUSH_MS",
                                   "KAFKA_BOOTSTRAP_SERVERS"}) {
    EXPECT_THAT(run.said, HasSubstr(option));
  }
}

TEST_F(Program, TellsVersionCommitAndBuildFlags) {
  const Ran ran = mdpipe("--version");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.said, HasSubstr("mdpipe 0."));
  EXPECT_THAT(ran.said, HasSubstr("commit "));
}

TEST_F(Program, EndsWith2WhereItIsUsedWronglyAndHasTouchedNothing) {
  for (const char* const arguments : {"",
                                      "walk",
                                      "run --no-such-option",
                                      "run extra",
                                      "run --feed",
                                      "run --feed http://h",
                                      "run --feed ws://h?token=CANARY",
                                      "run --feed h?token=CANARY",
                                      "run --symbols ,",
                                      "run --stages cook",
                                      "run --stages ,",
                                      "run --window 0",
                                      "run --window 20.5",
                                      "run --every -1",
                                      "run --precision 16",
                                      "run --silence 0",
                                      "run --max-frame 1",
                                      "run --max-frame 99999999",
                                      "run --flush-ms 0",
                                      "run --flush-bytes 0",
                                      "run --listen 8000",
                                      "run --listen 127.0.0.1:70000",
                                      "run --listen somewhere:8000",
                                      "run --place feed=9999",
                                      "run --idle nap",
                                      "run --journal-keep 7",
                                      "run --log-format xml",
                                      "run --log-level loud",
                                      "run --kafka h:1 -X nonsense",
                                      "run --kafka h:1 -X bootstrap.servers=x",
                                      "topics",
                                      "topics create --partitions 0",
                                      "topics create --retention long",
                                      "journal",
                                      "journal export"}) {
    const Ran ran = mdpipe(std::string(arguments) + (std::string(arguments).find("--kafka") == std::string::npos &&
                                                             std::string(arguments).starts_with("run")
                                                         ? " --kafka none"
                                                         : ""));
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.said;
    EXPECT_FALSE(ran.said.empty()) << arguments;
    EXPECT_THAT(ran.said, Not(HasSubstr("CANARY"))) << arguments;
    EXPECT_TRUE(nothing_was_made()) << arguments;
  }
}

TEST_F(Program, EndsWith3WhereSomethingIsMissingAndNamesIt) {
  for (const char* const arguments : {"--token-file none", "--ca-file none", "--symbols @none", "--config none"}) {
    const Ran ran = mdpipe(kRun + std::string(arguments));
    EXPECT_EQ(ran.code, 3) << arguments << ": " << ran.said;
    EXPECT_THAT(ran.said, HasSubstr("none")) << arguments;
    EXPECT_TRUE(nothing_was_made()) << arguments;
  }
  EXPECT_EQ(mdpipe("run --listen none --kafka h:1 --kafka-config none").code, 3);
  EXPECT_TRUE(nothing_was_made());
  EXPECT_EQ(mdpipe("journal export none").code, 3);
}

TEST_F(Program, RefusesATokenFileThatOthersMayRead) {
  for (const mode_t mode : {0644U, 0640U, 0604U, 0620U, 0666U}) {
    const Ran ran = mdpipe(kRun + std::string("--token-file ") + write("token", "CANARY\n", mode));
    EXPECT_EQ(ran.code, 2) << ran.said;
    EXPECT_THAT(ran.said, HasSubstr("chmod 600"));
    EXPECT_THAT(ran.said, Not(HasSubstr("CANARY")));
  }
  EXPECT_EQ(mdpipe(kRun + std::string("--token-file ") + write("token", "\nCANARY\n")).code, 2) << "no first line";
}

TEST_F(Program, SendsNoTokenInTheClearBeyondThisMachine) {
  const Ran ran = mdpipe("run --kafka none --listen none --feed ws://feed.example", "FINNHUB_API_KEY=CANARY");
  EXPECT_EQ(ran.code, 2) << ran.said;
  EXPECT_THAT(ran.said, HasSubstr("in the clear"));
  EXPECT_THAT(ran.said, Not(HasSubstr("CANARY")));
}

TEST_F(Program, TakesOptionsFromTheEnvironmentAndAFileAndSaysWhichIsWrong) {
  Ran ran = mdpipe("run --kafka none", "MDPIPE_WINDOW=0");
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.said, HasSubstr("--window"));
  const std::string config = write("config.toml", "[run]\nwindow = 0\n");
  ran = mdpipe("run --kafka none --config " + config);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.said, HasSubstr("--window"));
  ran = mdpipe("run --kafka none --config " + write("config.toml", "[run]\ntoken = \"CANARY\"\n"));
  EXPECT_EQ(ran.code, 2) << "a token does not belong into a file that is copied around";
  EXPECT_THAT(ran.said, Not(HasSubstr("CANARY")));
}

TEST_F(Program, EndsWith5WhereAJournalIsDamaged) {
  std::filesystem::create_directories(folder_ + "/journal");
  write("journal/000000000001.segment", std::string(8192, 'x'));
  EXPECT_EQ(mdpipe("journal export journal").code, 5);
}

}  // namespace
}  // namespace mdpipe::tools
