// Against what is independent of us: the reference readers in MDPIPE_SHARED, and Python's WebSocket client.

#include <cstdio>
#include <cstdlib>

#include <fmt/core.h>

#include "replay/generate/generator.hpp"
#include "replay/session/summary.hpp"
#include "support.hpp"

namespace mdpipe::replay {
namespace {

std::filesystem::path shared_folder() {
  const char* const named = std::getenv("MDPIPE_SHARED");
  return named != nullptr ? std::filesystem::path(named) : std::filesystem::path(MDPIPE_SOURCE_ROOT) / ".." / "shared";
}

/// What a program says on stdout; its exit status at the end, as a line of its own.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = ::popen((command + "; echo exit $?").c_str(), "r");
  char buffer[4096];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) != 0;) {
    text.append(buffer, count);
  }
  ::pclose(pipe);
  return text;
}

/// Debian's, which has the packages that the references need.
constexpr const char* kPython = "/usr/bin/python3";

class Shared : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(shared_folder() / "oracle" / "sessions.py")) {
      GTEST_SKIP() << "no references in " << shared_folder() << ": set MDPIPE_SHARED";
    }
  }

  std::string reference_digest(const std::filesystem::path& session) {
    const auto script = folder_.write("digest.py", R"(
import hashlib, struct, sys
sys.path.insert(0, sys.argv[1])
import sessions
digest, count = hashlib.sha256(), 0
for symbol, text, _ in sessions.trades(sys.argv[2]):
    count += 1
    for part in symbol.encode(), text.encode():
        digest.update(struct.pack('<I', len(part)) + part)
print(count, digest.hexdigest())
)");
    return output_of(fmt::format("{} {} '{}' '{}'", kPython, script.string(), (shared_folder() / "oracle").string(),
                                 session.string()));
  }
  static std::string our_digest(const std::filesystem::path& session) {
    SessionOptions options;
    options.paths = {session};
    const auto summary = summarize(options);
    return summary ? fmt::format("{} {}\nexit 0\n", summary->trades, summary->digest) : summary.error().message;
  }

  ScratchFolder folder_;
};

TEST_F(Shared, TheReferenceReadsTheSameTradesFromRecordedSessions) {
  for (const char* name :
       {"sessions/us-stocks-2013-10-07.jsonl.gz", "sessions/crypto-2024-08-08.jsonl.gz", "finnhub/frames.jsonl"}) {
    const auto path = shared_folder() / "data" / name;
    ASSERT_TRUE(std::filesystem::exists(path)) << path;
    EXPECT_EQ(our_digest(path), reference_digest(path)) << name;
  }
}

TEST_F(Shared, TheReferenceReadsTheSameTradesFromGeneratedSessions) {
  for (const SessionFormat format : {SessionFormat::capture, SessionFormat::frame, SessionFormat::trade}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      GenerateOptions options;
      options.trades = 20'000;
      options.seed = seed;
      options.symbols = 30;
      options.format = format;
      options.plain = seed == 3;
      const auto path = folder_ / "generated.jsonl.gz";
      ASSERT_TRUE(write_session(options, path));
      const std::string ours = our_digest(path);
      EXPECT_TRUE(ours.starts_with("20000 "));
      EXPECT_EQ(ours, reference_digest(path)) << "seed " << seed;
    }
  }
}

TEST_F(Shared, TheReferencePartitionsGeneratedSymbolsAsOurTestsSay) {
  std::string command = fmt::format("{} '{}' 3", kPython, (shared_folder() / "oracle" / "partition.py").string());
  for (const std::string& symbol : generated_symbols(12)) {
    command += fmt::format(" '{}'", symbol);
  }
  EXPECT_EQ(output_of(command),
            "AAPL 0\nGOOGL 1\nTSLA 2\nBINANCE:BTCUSDT 0\nBRK/B 1\nIC MARKETS:1 2\nMSFT 0\nQ\"X 1\nSPY 2\nMETA 0\nA 1\n"
            "ÄÖ 2\nexit 0\n");
}

/// Python's `websockets` against the program itself, as a user runs it.
class UnmodifiedClient : public testing::Test {
 protected:
  void SetUp() override {
    if (output_of(fmt::format("{} -c 'import websockets' 2>/dev/null", kPython)) != "exit 0\n") {
      GTEST_SKIP() << "no websockets for " << kPython << ": install python3-websockets";
    }
  }
  ScratchFolder folder_;
};

TEST_F(UnmodifiedClient, GetsTheSessionWholeOverWsAndWss) {
  const auto script = folder_.write("client.py", R"(
import asyncio, json, ssl, subprocess, sys
import websockets

async def listen(url, symbols, authority):
    context = ssl.create_default_context(cafile=authority) if url.startswith('wss') else None
    frames = []
    async with websockets.connect(url + '?token=any', ssl=context, max_size=None) as socket:
        for symbol in symbols:
            await socket.send(json.dumps({'type': 'subscribe', 'symbol': symbol}))
        try:
            while True:
                frames.append(await socket.recv())
        except websockets.ConnectionClosed as closed:
            return frames, closed.code

program, session, folder = sys.argv[1:]
symbols = subprocess.check_output([program, 'info', session, '--list-symbols'], text=True).split('\n')[:-1]
subprocess.check_call(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', folder + '/key.pem', '-out',
    folder + '/cert.pem', '-days', '2', '-subj', '/CN=x', '-addext', 'subjectAltName=IP:127.0.0.1'], stderr=subprocess.DEVNULL)
wanted = [line[line.index('"frame":') + 8:-1] for line in open(session, newline='\n').read().split('\n')[:-1]]
for tls in [], ['--tls-cert', folder + '/cert.pem', '--tls-key', folder + '/key.pem']:
    server = subprocess.Popen([program, 'serve', session, '--listen', '127.0.0.1:0', '--speed', 'max', '--once'] + tls,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = server.stdout.readline().split()[-1]
    frames, code = asyncio.run(listen(url, symbols, folder + '/cert.pem'))
    print(url.split(':')[0], len(frames), frames == wanted, code, server.wait())
)");
  GenerateOptions options;
  options.trades = 30'000;
  const auto session = folder_ / "session.jsonl";
  ASSERT_TRUE(write_session(options, session));
  std::string frames = std::to_string(read_session(session).frames.size());
  EXPECT_EQ(output_of(fmt::format("{} {} {} {} {}", kPython, script.string(), MDREPLAY_PROGRAM, session.string(),
                                  script.parent_path().string())),
            fmt::format("ws {0} True 1000 0\nwss {0} True 1000 0\nexit 0\n", frames));
}

}  // namespace
}  // namespace mdpipe::replay
