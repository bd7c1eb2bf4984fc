#include "mdpipe/wiring/command_line.hpp"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

namespace mdpipe::wiring {
namespace {

/// A program with one command `run` and two options, and what a user of it would set.
class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "mdpipe-config-" + std::to_string(::getpid()) + ".toml";
    ::unsetenv("MDPIPE_FLUSH_MS");
  }
  void TearDown() override {
    std::remove(path_.c_str());
    ::unsetenv("MDPIPE_FLUSH_MS");
  }

  int parse(std::vector<const char*> arguments) {
    CLI::App app("a program", "program");
    CLI::App* const run = app.add_subcommand("run", "runs");
    run->add_option("--flush-ms", flush_ms_);
    run->add_option("--symbols", symbols_)->delimiter(',');
    run->add_flag("--once", once_);
    CLI::App* const other = app.add_subcommand("other", "does not");
    other->add_option("--listen", listen_);
    arguments.insert(arguments.begin(), "program");
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const int code = parse_command_line(app, static_cast<int>(arguments.size()), arguments.data());
    said_ = testing::internal::GetCapturedStderr() + testing::internal::GetCapturedStdout();
    return code;
  }
  void write_config(const std::string& text) const { std::ofstream(path_) << text; }

  std::string path_;
  std::string said_;
  int flush_ms_ = 1000;
  std::vector<std::string> symbols_ = {"DEFAULT"};
  bool once_ = false;
  std::string listen_;
};

TEST_F(CommandLine, KeepsDefaultsWhereNobodySaysAnything) {
  EXPECT_EQ(parse({"run"}), -1);
  EXPECT_EQ(flush_ms_, 1000);
  EXPECT_EQ(symbols_, std::vector<std::string>{"DEFAULT"});
}

TEST_F(CommandLine, TakesTheFileOverTheDefault) {
  write_config("[run]\nflush-ms = 7\nsymbols = [\"A\", \"B\"]\nonce = true\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), -1) << said_;
  EXPECT_EQ(flush_ms_, 7);
  EXPECT_EQ(symbols_, (std::vector<std::string>{"A", "B"}));
  EXPECT_TRUE(once_);
}

TEST_F(CommandLine, TakesTheEnvironmentOverTheFile) {
  write_config("[run]\nflush-ms = 7\n");
  ::setenv("MDPIPE_FLUSH_MS", "8", 1);
  EXPECT_EQ(parse({"--config", path_.c_str(), "run"}), -1) << said_;
  EXPECT_EQ(flush_ms_, 8);
}

TEST_F(CommandLine, TakesTheCommandLineOverAll) {
  write_config("flush-ms = 7\n");
  ::setenv("MDPIPE_FLUSH_MS", "8", 1);
  EXPECT_EQ(parse({"run", "--flush-ms", "9", "--config", path_.c_str()}), -1) << said_;
  EXPECT_EQ(flush_ms_, 9);
}

TEST_F(CommandLine, LetsATableOfTheCommandWinOverTheTopOfTheFile) {
  write_config("flush-ms = 7\n[run]\nflush-ms = 6\n[other]\nlisten = \"x\"\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), -1) << said_;
  EXPECT_EQ(flush_ms_, 6);
  EXPECT_EQ(listen_, "") << "options of a command that does not run stay as they are";
}

TEST_F(CommandLine, RefusesAKeyThatNoOptionIsCalled) {
  write_config("[run]\nflush = 7\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), 2);
  EXPECT_NE(said_.find("run has no option --flush"), std::string::npos) << said_;
}

TEST_F(CommandLine, RefusesAFileThatIsNoToml) {
  write_config("[run\nflush-ms = 7\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), 2);
  EXPECT_NE(said_.find(path_ + ":1"), std::string::npos) << said_;
}

TEST_F(CommandLine, RefusesAValueThatDoesNotFitWhereverItStands) {
  write_config("[run]\nflush-ms = \"soon\"\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), 2);
  EXPECT_EQ(parse({"run", "--flush-ms", "soon"}), 2);
  ::setenv("MDPIPE_FLUSH_MS", "soon", 1);
  EXPECT_EQ(parse({"run"}), 2);
}

TEST_F(CommandLine, RefusesAConfigFileThatIsNotThere) {
  EXPECT_EQ(parse({"run", "--config", "/nowhere/at/all.toml"}), 3);
  EXPECT_NE(said_.find("/nowhere/at/all.toml"), std::string::npos) << said_;
}

TEST_F(CommandLine, RunsAlsoWhereTheEnvironmentHasAVersionOfItsOwn) {
  ::setenv("MDPIPE_VERSION", "0.1.0", 1);
  ::setenv("MDPIPE_HELP", "1", 1);
  EXPECT_EQ(parse({"run"}), -1) << said_;
  ::unsetenv("MDPIPE_VERSION");
  ::unsetenv("MDPIPE_HELP");
}

TEST_F(CommandLine, TakesAFlagBackWhereTheFileSaysFalse) {
  once_ = true;
  write_config("[run]\nonce = false\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), -1) << said_;
  EXPECT_FALSE(once_);
}

TEST_F(CommandLine, IgnoresAVariableThatIsEmpty) {
  ::setenv("MDPIPE_FLUSH_MS", "", 1);
  EXPECT_EQ(parse({"run"}), -1) << said_;
  EXPECT_EQ(flush_ms_, 1000);
}

TEST_F(CommandLine, NamesTheLineOfAValueThatIsNoTextNumberOrBoolean) {
  for (const char* const value : {"1979-05-27", "{ a = 1 }", "[[1]]"}) {
    write_config("# a comment\n[run]\nflush-ms = " + std::string(value) + "\n");
    EXPECT_EQ(parse({"run", "--config", path_.c_str()}), 2) << value;
    EXPECT_NE(said_.find(path_ + ":3: flush-ms must be"), std::string::npos) << said_;
  }
}

TEST_F(CommandLine, RefusesATableThatIsNoCommand) {
  write_config("[walk]\nflush-ms = 7\n");
  EXPECT_EQ(parse({"run", "--config", path_.c_str()}), 2);
  EXPECT_NE(said_.find("[walk] is no command"), std::string::npos) << said_;
}

TEST_F(CommandLine, TellsVersionCommitAndBuildFlags) {
  EXPECT_EQ(parse({"--version"}), 0);
  EXPECT_NE(said_.find("program 0."), std::string::npos) << said_;
  EXPECT_NE(said_.find("commit "), std::string::npos) << said_;
  EXPECT_NE(said_.find("buildtype "), std::string::npos) << said_;
}

}  // namespace
}  // namespace mdpipe::wiring
