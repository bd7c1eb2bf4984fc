// The program as a user runs it: what it says, and its exit codes.

#include <sys/wait.h>

#include <cstdio>

#include "support.hpp"

namespace mdpipe::replay {
namespace {

struct Ran {
  int code;
  std::string said;  // stdout and stderr
};

Ran run(const std::string& arguments) {
  Ran ran{-1, {}};
  FILE* const pipe = ::popen((std::string(MDREPLAY_PROGRAM) + " " + arguments + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) != 0;) {
    ran.said.append(buffer, count);
  }
  ran.code = WEXITSTATUS(::pclose(pipe));
  return ran;
}

TEST(Program, EveryCommandsHelpTeachesByAnExample) {
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_EQ(run("--version").code, 0);
  for (const std::string command : {"info", "serve", "generate", "verify", "convert"}) {
    const Ran ran = run(command + " --help");
    EXPECT_EQ(ran.code, 0);
    EXPECT_NE(ran.said.find("Example: mdreplay " + command), std::string::npos) << ran.said;
  }
}

TEST(Program, EndsWithTwoWhereItIsUsedWrongly) {
  for (const char* arguments : {"",
                                "no-such-command",
                                "info",
                                "info --no-such-option x",
                                "info x --from yesterday",
                                "serve x --speed 0",
                                "serve x --speed fast",
                                "serve x --speed 1x",
                                "serve x --rate -1",
                                "serve",
                                "serve x --loop many",
                                "serve x --rate 0",
                                "serve x --rate nan",
                                "serve x --rate inf",
                                "serve x --rate 5 --speed max",
                                "serve x --loop 18446744073709551616",
                                "serve x --stall-timeout 1e3",
                                "generate --symbols 0",
                                "generate --format csv",
                                "generate --profile calm",
                                "generate --profile storm --plain",
                                "convert x --format csv",
                                "convert",
                                "verify x",
                                "verify x --journal y --window 0",
                                "generate --trades -1",
                                "generate --trades 18446744073709551616",
                                "generate --seed 18446744073709551616"}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.said;
    EXPECT_FALSE(ran.said.empty());
  }
}

TEST(Program, EndsWithThreeWhereSomethingIsMissingAndFiveWhereASessionIsDamaged) {
  const ScratchFolder folder;
  const Ran missing = run("info " + (folder / "none").string());
  EXPECT_EQ(missing.code, 3);
  EXPECT_NE(missing.said.find("No such file"), std::string::npos) << missing.said;
  const Ran damaged = run("info " + folder.write("s", "{\"type\":\"ping\"}\nx\n").string());
  EXPECT_EQ(damaged.code, 5);
  EXPECT_NE(damaged.said.find("s:2: "), std::string::npos) << damaged.said;
  EXPECT_EQ(run("generate -o " + (folder / "no" / "folder").string()).code, 3);
  EXPECT_EQ(run("serve " + (folder / "none").string()).code, 3);
  // At once, not when the first client has come.
  const Ran foreign = run("serve --listen 127.0.0.1:0 --symbols A " + folder.write("f", "a,b\n1,2\n").string());
  EXPECT_EQ(foreign.code, 5);
  EXPECT_NE(foreign.said.find("f:1: "), std::string::npos) << foreign.said;
  EXPECT_EQ(run("info " + (folder / ".").string()).code, 3);
  EXPECT_EQ(run("verify --journal " + (folder / "none").string() + " " + (folder / "f").string()).code, 5);
  const std::string good = folder.write("good", trade_text("A", 1) + "\n").string();
  EXPECT_EQ(run("verify --journal " + (folder / "none").string() + " " + good).code, 3);
  EXPECT_EQ(run("convert " + (folder / "s").string() + " -o " + (folder / "out").string()).code, 5);
  EXPECT_EQ(run("info --symbols @" + (folder / "none").string() + " " + (folder / "f").string()).code, 3);
}

TEST(Program, EndsWithOneWhereSomethingDiffersAndSaysWhat) {
  const ScratchFolder folder;
  const std::string session = folder.write("s", trade_text("A", 1) + "\n" + trade_text("A", 2) + "\n").string();
  const std::string other = folder.write("o", trade_text("A", 1) + "\n" + trade_text("A", 3) + "\n").string();
  EXPECT_EQ(run("verify " + session + " --store " + session).code, 0);
  const Ran differs = run("verify " + session + " --store " + other);
  EXPECT_EQ(differs.code, 1);
  EXPECT_NE(
      differs.said.find("mdreplay: stored: A of 1970-01-01 differs first at its trade 2 (trade 2 of the session)"),
      std::string::npos)
      << differs.said;
}

TEST(Program, LeavesDamagedLinesOutWhereThatIsWishedAndSaysHowMany) {
  const ScratchFolder folder;
  const std::string damaged = folder.write("d", trade_text("A", 1) + "\nx\ny\n" + trade_text("A", 2) + "\n").string();
  for (const std::string& command :
       {std::string("info "), std::string("convert -o /dev/null "), "verify --store " + damaged + " "}) {
    EXPECT_EQ(run(command + damaged).code, 5) << command;
    const Ran skipped = run(command + "--skip-bad " + damaged);
    EXPECT_NE(skipped.said.find("mdreplay: 2 damaged or foreign lines were left out, first "), std::string::npos)
        << command << skipped.said;
    EXPECT_NE(skipped.said.find("d:2: not JSON"), std::string::npos) << skipped.said;
  }
}

TEST(Program, GeneratesWhatItThenDescribes) {
  const ScratchFolder folder;
  const std::string path = (folder / "g.jsonl.gz").string();
  EXPECT_EQ(run("generate --trades 500 --seed 9 -o " + path).said, "");
  const Ran info = run("info --json " + path);
  EXPECT_EQ(info.code, 0);
  EXPECT_NE(info.said.find(R"("trades":500,)"), std::string::npos) << info.said;
  EXPECT_NE(run("info " + path).said.find("trades   500 "), std::string::npos);
  const std::string plain = run("generate --trades 500 --seed 9").said;
  EXPECT_EQ(run("info --json " + folder.write("plain", plain).string()).said, info.said);
  EXPECT_EQ(run("info --list-symbols --symbols SPY,A " + path).said, "A\nSPY\n");
  const auto symbols = folder.write("symbols", "# two\nSPY\n\nA\n");
  EXPECT_EQ(run("info --list-symbols --symbols @" + symbols.string() + " " + path).said, "A\nSPY\n");
}

}  // namespace
}  // namespace mdpipe::replay
