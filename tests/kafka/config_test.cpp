#include "mdpipe/kafka/config.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/secret.hpp"

namespace mdpipe::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string name = ::testing::TempDir() + "mdpipe-config-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string file(const std::string& content, ::mode_t mode = 0600) const {
    const std::string path = directory_ / "kafka.properties";
    std::ofstream(path, std::ios::binary) << content;
    ::chmod(path.c_str(), mode);
    return path;
  }

  std::filesystem::path directory_;
};

Error refusal(const std::vector<std::string>& properties, const std::string& file = {}) {
  auto config = make_config("127.0.0.1:1", properties, file);
  return config ? Error{ErrorCode::difference, "it was taken"} : config.error();
}

TEST_F(ConfigTest, TakesThePropertiesOfAFileAndThenThoseOfTheCommandLine) {
  const auto config = make_config("a:1,b:2", {"client.id=x=y"},
                                  file("# who we are\r\n\nsecurity.protocol=ssl\r\ncompression.codec=lz4"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->bootstrap, "a:1,b:2");
  EXPECT_THAT(config->properties, ElementsAre(Pair("security.protocol", "ssl"), Pair("compression.codec", "lz4"),
                                              Pair("client.id", "x=y")));
}

TEST_F(ConfigTest, RefusesByNameWhatThePromisesRestOnWhateverItsValue) {
  for (const char* const name : {"acks",
                                 "request.required.acks",
                                 "enable.idempotence",
                                 "enable.gapless.guarantee",
                                 "message.timeout.ms",
                                 "delivery.timeout.ms",
                                 "retries",
                                 "message.send.max.retries",
                                 "max.in.flight",
                                 "max.in.flight.requests.per.connection",
                                 "partitioner",
                                 "transactional.id",
                                 "bootstrap.servers",
                                 "metadata.broker.list",
                                 "allow.auto.create.topics",
                                 "queue.buffering.max.messages",
                                 "message.max.bytes",
                                 "delivery.report.only.error",
                                 "queuing.strategy",
                                 "isolation.level",
                                 "enable.partition.eof",
                                 "auto.offset.reset",
                                 "group.id",
                                 "group.instance.id",
                                 "partition.assignment.strategy",
                                 "session.timeout.ms",
                                 "api.version.request",
                                 "topic.acks",
                                 "topic.message.timeout.ms"}) {
    const Error error = refusal({std::string(name) + "=1"});
    EXPECT_EQ(error.code, ErrorCode::usage);
    EXPECT_THAT(error.message, HasSubstr(std::string(name) + " belongs to mdpipe"));
  }
}

TEST_F(ConfigTest, KeepsTheChecksOfCertificatesOn) {
  EXPECT_THAT(refusal({"enable.ssl.certificate.verification=false"}).message,
              HasSubstr("enable.ssl.certificate.verification stays as it is"));
  EXPECT_THAT(refusal({"ssl.endpoint.identification.algorithm=none"}).message,
              HasSubstr("ssl.endpoint.identification.algorithm stays as it is"));
}

TEST_F(ConfigTest, NamesWhatLibrdkafkaDoesNotKnowOrTake) {
  EXPECT_THAT(refusal({"no.such.thing=1"}).message, HasSubstr("knows no property no.such.thing"));
  EXPECT_THAT(refusal({"linger.ms=soon"}).message, HasSubstr("refuses this value of linger.ms"));
}

TEST_F(ConfigTest, SaysTheFileAndTheLineOfWhatItRefuses) {
  const std::string path = file("# one\n\nlinger.ms=1\nacks=0\n");
  EXPECT_THAT(refusal({}, path).message, HasSubstr(path + ":4: acks belongs to mdpipe"));
  EXPECT_THAT(refusal({}, file("linger.ms=1\nnonsense\n")).message, HasSubstr(":2: not KEY=VALUE"));
  EXPECT_EQ(refusal({}, directory_ / "none").code, ErrorCode::environment);
}

TEST_F(ConfigTest, TakesASecretFromAFileThatOnlyItsOwnerReadsAndFromNowhereElse) {
  const std::string line = "sasl.password=correct horse";
  ASSERT_TRUE(make_config("a:1", {}, file(line)));
  EXPECT_EQ(redact("it said: correct horse"), "it said: ***");
  const Error open_to_others = refusal({}, file(line, 0640));
  EXPECT_EQ(open_to_others.code, ErrorCode::usage);
  EXPECT_THAT(open_to_others.message, HasSubstr("chmod 600"));
  EXPECT_TRUE(make_config("a:1", {}, file("client.id=x", 0644)));
  for (const char* const name : {"sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
                                 "sasl.oauthbearer.client.secret"}) {
    const Error argument = refusal({std::string(name) + "=battery staple"});
    EXPECT_THAT(argument.message, HasSubstr("--kafka-config")) << name;
    EXPECT_THAT(argument.message, Not(HasSubstr("battery"))) << name;
  }
}

TEST_F(ConfigTest, QuotesNothingThatCouldBeASecret) {
  for (const char* const line :
       {"sasl.password hunter2", "sasl.password hunter2==", "hunter2", "=hunter2", "ssl.key.password:hunter2"}) {
    EXPECT_THAT(refusal({line}).message, Not(HasSubstr("hunter2"))) << line;
    EXPECT_THAT(refusal({}, file(line)).message, Not(HasSubstr("hunter2"))) << line;
    EXPECT_EQ(refusal({line}).code, ErrorCode::usage) << line;
  }
  // A value that librdkafka refuses is not quoted either.
  EXPECT_THAT(refusal({}, file("security.protocol=hunter2")).message, Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace mdpipe::kafka
