// The peer of `mdreplay kafka --speed max`: a bare librdkafka loop that has its messages ready in a file (key, tab,
// value, a line each) and sends them with a header like ours and the settings of our producer as it publishes live. It
// parses, decompresses and checks nothing but that everything is delivered.
//
//   produce_floor BOOTSTRAP TOPIC FILE

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "mdpipe/kafka/message_header.hpp"

namespace {

struct Count {
  std::size_t delivered = 0;
  std::size_t failed = 0;
};

/// Of ours: who, the message's place, and that of the one before it in its partition, as with three of them.
std::array<char, mdpipe::kafka::kHeaderBytes> header_of(std::uint64_t position) {
  constexpr std::uint64_t kSource = 0x6D64'7069'7065'0001;
  constexpr std::uint64_t kPartitions = 3;
  return mdpipe::kafka::encode({0, kSource, position, position - std::min(position, kPartitions)});
}

// The same call as our producer's.
rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic, std::string_view key, std::string_view value,
                            std::uint64_t position) {
  const auto header = header_of(position);
  std::array<rd_kafka_vu_t, 5> views{};
  views[0].vtype = RD_KAFKA_VTYPE_RKT;
  views[0].u.rkt = topic;
  views[1].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  views[2].vtype = RD_KAFKA_VTYPE_KEY;
  views[2].u.mem.ptr = const_cast<char*>(key.data());
  views[2].u.mem.size = key.size();
  views[3].vtype = RD_KAFKA_VTYPE_VALUE;
  views[3].u.mem.ptr = const_cast<char*>(value.data());
  views[3].u.mem.size = value.size();
  views[4].vtype = RD_KAFKA_VTYPE_HEADER;
  views[4].u.header.name = "mdp";
  views[4].u.header.val = header.data();
  views[4].u.header.size = static_cast<ssize_t>(header.size());
  rd_kafka_error_t* const error = ::rd_kafka_produceva(client, views.data(), views.size());
  const rd_kafka_resp_err_t code = error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : ::rd_kafka_error_code(error);
  if (error != nullptr) {
    ::rd_kafka_error_destroy(error);
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("produce_floor BOOTSTRAP TOPIC FILE\n", stderr);
    return 2;
  }
  std::ifstream file(argv[3], std::ios::binary | std::ios::ate);
  std::string text(file ? static_cast<std::size_t>(file.tellg()) : 0, '\0');
  if (!file.seekg(0).read(text.data(), static_cast<std::streamsize>(text.size()))) {
    std::fprintf(stderr, "%s cannot be read\n", argv[3]);
    return 3;
  }
  std::array<char, 512> error{};
  rd_kafka_conf_t* const conf = ::rd_kafka_conf_new();
  for (const auto& [key, value] : {std::pair<const char*, const char*>("bootstrap.servers", argv[1]),
                                   {"compression.codec", "snappy"},
                                   {"enable.idempotence", "true"},
                                   {"enable.gapless.guarantee", "true"},
                                   {"acks", "all"},
                                   {"linger.ms", "5"},
                                   {"batch.num.messages", "10000"},
                                   {"queue.buffering.max.messages", "65536"},
                                   {"partitioner", "murmur2_random"},
                                   {"socket.nagle.disable", "true"}}) {
    if (::rd_kafka_conf_set(conf, key, value, error.data(), error.size()) != RD_KAFKA_CONF_OK) {
      std::fputs(error.data(), stderr);
      return 2;
    }
  }
  Count count;
  ::rd_kafka_conf_set_opaque(conf, &count);
  ::rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto& counted = *static_cast<Count*>(opaque);
    ++(message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? counted.delivered : counted.failed);
  });
  rd_kafka_t* const client = ::rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size());
  if (client == nullptr) {
    std::fputs(error.data(), stderr);
    return 3;
  }
  rd_kafka_topic_t* const topic = ::rd_kafka_topic_new(client, argv[2], nullptr);
  std::size_t sent = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t tab = text.find('\t', at);
    const std::size_t end = text.find('\n', tab);
    if (tab == std::string::npos || end == std::string::npos) {
      break;
    }
    for (;;) {
      const auto status = produce(client, topic, std::string_view(text).substr(at, tab - at),
                                  std::string_view(text).substr(tab + 1, end - tab - 1), sent + 1);
      if (status == RD_KAFKA_RESP_ERR_NO_ERROR) {
        break;
      }
      if (status != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        std::fputs(::rd_kafka_err2str(status), stderr);
        return 3;
      }
      ::rd_kafka_poll(client, 10);
    }
    at = end + 1;
    constexpr std::size_t kSentTogether = 64;
    if (++sent % kSentTogether == 0) {
      ::rd_kafka_poll(client, 0);
    }
  }
  constexpr int kPatienceMs = 60'000;
  ::rd_kafka_flush(client, kPatienceMs);
  const bool whole = count.delivered == sent && count.failed == 0;
  ::rd_kafka_topic_destroy(topic);
  ::rd_kafka_destroy(client);
  return whole ? 0 : 1;
}
