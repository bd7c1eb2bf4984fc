#include "mdpipe/ops/http_server.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http_client.hpp"

namespace mdpipe::ops {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    routes_["/metrics"] = [] { return HttpAnswer{200, "text/plain", "figures\n"}; };
    routes_["/healthz"] = [] { return HttpAnswer{503, "application/json", "{}\n"}; };
    routes_["/throws"] = []() -> HttpAnswer { throw std::runtime_error("secret reason"); };
  }
  void start() {
    auto server = HttpServer::start(options_, routes_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  HttpClient client() {
    if (server_ == nullptr) {
      start();
    }
    return HttpClient(server_->port());
  }
  /// The status that these bytes are answered with, by a server that then closes or goes on.
  int status(const std::string& bytes) {
    HttpClient one = client();
    EXPECT_TRUE(one.send(bytes));
    one.end();
    return one.status();
  }

  HttpOptions options_;
  HttpRoutes routes_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAKnownPathWithWhatItsRouteSays) {
  HttpClient one = client();
  one.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = one.read_answer();
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(answer, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\nfigures\n"));
  EXPECT_EQ(status("GET /healthz?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
}

TEST_F(HttpServerTest, UnderstandsARequestThatComesByteByByte) {
  HttpClient one = client();
  for (const char c : std::string("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")) {
    ASSERT_TRUE(one.send({&c, 1}));
  }
  EXPECT_EQ(one.status(), 200);
}

TEST_F(HttpServerTest, AnswersRequestsSentAheadInTurnAndKeepsTheConnection) {
  HttpClient one = client();
  one.send(
      "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: "
      "x\r\n\r\nPOST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /none HTTP/1.1\r\nHost: "
      "x\r\n\r\nGET /metr");
  EXPECT_THAT(one.read_answer(), HasSubstr("figures"));
  EXPECT_EQ(one.status(), 503);
  one.send("ics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string rest = one.read_all();
  EXPECT_THAT(rest,
              testing::MatchesRegex("HTTP/1.1 200 OK(.|\n)*HTTP/1.1 405 Method Not Allowed(.|\n)*HTTP/1.1 404 Not "
                                    "Found(.|\n)*HTTP/1.1 200 OK(.|\n)*figures\n"));
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  HttpClient one = client();
  one.send("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = one.read_all();
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, KnowsNoOtherPathHoweverItIsWritten) {
  for (const char* const path : {"/", "/metrics/", "/metricsx", "/METRICS", "//metrics", "/../metrics",
                                 "/../../etc/passwd", "/metrics/../healthz", "/%2e%2e/etc/passwd", "/%6detrics",
                                 "/metrics%00", "/metrics;x", "/..\\metrics", "*", "http://x/none"}) {
    EXPECT_EQ(status("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n"), 404) << path;
  }
}

TEST_F(HttpServerTest, AllowsGetAndHeadAlone) {
  for (const char* const method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get"}) {
    HttpClient one = client();
    one.send(std::string(method) + " /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = one.read_answer();
    EXPECT_EQ(HttpClient::status_of(answer), 405) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
  EXPECT_EQ(status("POST /none HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
}

TEST_F(HttpServerTest, Answers400ToWhatIsNoHttp) {
  for (const char* const bytes :
       {"hello\r\n\r\n", "GET /metrics\r\n\r\n", "GET /metrics HTTP/2.0\r\n\r\n", "GET  /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", "GET /metrics HTTP/1.1\r\n: no name\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", "GET /metrics HTTP/1.1\nHost: x\n\n", "\x16\x03\x01\x02",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"}) {
    EXPECT_EQ(status(bytes), 400) << testing::PrintToString(bytes);
  }
}

TEST_F(HttpServerTest, Answers400WhereTheLengthOfABodyIsSaidTwiceOrItsChunksAreBroken) {
  const std::string head = "POST /metrics HTTP/1.1\r\nHost: x\r\n";
  for (const char* const rest :
       {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"}) {
    EXPECT_EQ(status(head + rest), 400) << testing::PrintToString(rest);
  }
  EXPECT_EQ(status(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 405) << "good chunks are good";
}

TEST_F(HttpServerTest, Answers431ToAHeaderOfMoreThan8KiBAnd413ToABodyOfMoreThan64) {
  const std::string head = "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ";
  EXPECT_EQ(status(head + std::string(8192 - head.size() - 4, 'x') + "\r\n\r\n"), 200);
  EXPECT_EQ(status(head + std::string(9 * 1024, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status(head + std::string(100'000, 'x')), 431) << "without an end";
  EXPECT_EQ(status("GET /" + std::string(9 * 1024, 'x') + " HTTP/1.1\r\n\r\n"), 431);
  const std::string post = "POST /metrics HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(status(post + "Content-Length: 65536\r\n\r\n" + std::string(65'536, 'x')), 405);
  EXPECT_EQ(status(post + "Content-Length: 65537\r\n\r\n"), 413);
  EXPECT_EQ(status(post + "Transfer-Encoding: chunked\r\n\r\n10001\r\n" + std::string(65'537, 'x') + "\r\n0\r\n\r\n"),
            413);
}

TEST_F(HttpServerTest, ClosesAfterWhatItCouldNotUnderstand) {
  HttpClient one = client();
  one.send("nonsense\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string all = one.read_all();
  EXPECT_THAT(all, testing::StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(all, Not(HasSubstr("figures"))) << "what follows may be part of the nonsense";
}

TEST_F(HttpServerTest, Answers408ToARequestThatTakesTooLongAlsoByteByByte) {
  options_.request_timeout = milliseconds(60);
  HttpClient mute = client();
  HttpClient half = client();
  HttpClient slow = client();
  HttpClient body = client();
  half.send("GET /metrics HT");
  body.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
  std::thread dripping([&] {
    while (slow.send("G")) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  EXPECT_THAT(half.read_all(), testing::StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(slow.read_answer(), testing::StartsWith("HTTP/1.1 4"));  // 408; 400 where "GGG…" was refused before
  EXPECT_THAT(body.read_all(), testing::StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(mute.read_all(), testing::StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200) << "others are unaffected";
  dripping.join();
}

TEST_F(HttpServerTest, ClosesAConnectionThatIsIdleBetweenTwoRequestsWithoutAWord) {
  options_.idle_timeout = milliseconds(30);
  HttpClient one = client();
  one.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(one.status(), 200);
  EXPECT_TRUE(one.closed());
}

TEST_F(HttpServerTest, SaysNothingOfWhyARouteFailed) {
  HttpClient one = client();
  one.send("GET /throws HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = one.read_answer();
  EXPECT_EQ(HttpClient::status_of(answer), 500);
  EXPECT_THAT(answer, Not(HasSubstr("secret")));
}

TEST_F(HttpServerTest, LetsConnectionsBeyondItsLimitWaitUntilOneCloses) {
  options_.connections_max = 3;
  std::vector<HttpClient> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(client());
    held.back().send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(held.back().status(), 200);
  }
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(client());
    waiting.back().send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  held.pop_back();
  for (HttpClient& one : waiting) {
    EXPECT_EQ(one.status(), 200);
  }
}

TEST_F(HttpServerTest, IsReachedByANewcomerWhereIdleConnectionsHaveTakenAllPlaces) {
  options_.connections_max = 3;
  std::vector<HttpClient> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(client());
    idle.back().send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(idle.back().status(), 200);
  }
  // A minute of idleness each: whoever asks about our health must not wait for that.
  EXPECT_EQ(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
  EXPECT_TRUE(idle[0].closed()) << "the one that has been idle longest";
  idle[2].send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(idle[2].status(), 200);
}

TEST_F(HttpServerTest, RecoversFromRunningOutOfDescriptors) {
  options_.accept_retry = milliseconds(5);
  start();
  std::vector<HttpClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(client());
  }
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{64, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  std::vector<FileDescriptor> hoard;
  HttpClient late;                        // has its descriptor
  clients.emplace_back(server_->port());  // its own descriptor is taken, the server's has none to accept it with
  while (true) {
    FileDescriptor one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!one) {
      EXPECT_EQ(errno, EMFILE);
      break;
    }
    hoard.push_back(std::move(one));
  }
  late.connect(server_->port());
  clients.push_back(std::move(late));
  std::this_thread::sleep_for(milliseconds(30));  // time to fail in
  hoard.clear();
  for (HttpClient& one : clients) {
    one.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(one.status(), 200);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(HttpServerTest, IsRefusedAPortThatIsTakenAndAnAddressThatIsNotOurs) {
  start();
  HttpOptions taken;
  taken.port = server_->port();
  EXPECT_EQ(HttpServer::start(taken, {}).error().code, ErrorCode::environment);
  EXPECT_THAT(HttpServer::start(taken, {}).error().message, HasSubstr("Address already in use"));
  HttpOptions foreign;
  foreign.address = "192.0.2.1";
  EXPECT_EQ(HttpServer::start(foreign, {}).error().code, ErrorCode::environment);
  foreign.address = "localhost.";
  EXPECT_EQ(HttpServer::start(foreign, {}).error().code, ErrorCode::usage);
}

TEST_F(HttpServerTest, EndsWithConnectionsInEveryState) {
  options_.connections_max = 4;
  std::vector<HttpClient> clients;
  for (const char* const bytes :
       {"", "GET /me", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n", "", ""}) {
    clients.push_back(client());
    clients.back().send(bytes);
  }
  server_.reset();
  for (HttpClient& one : clients) {
    one.read_all();
  }
}

}  // namespace
}  // namespace mdpipe::ops
