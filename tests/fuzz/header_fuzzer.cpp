/// \file
/// libFuzzer against the header `mdp`: what is taken for one says exactly the bytes that it was made of.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mdpipe/kafka/message_header.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto header = mdpipe::kafka::decode(bytes);
  const bool right_form = size == mdpipe::kafka::kHeaderBytes && data[0] == mdpipe::kafka::kHeaderVersion;
  if (header.has_value() != right_form) {
    std::fputs("The header: taken or refused wrongly\n", stderr);
    std::abort();
  }
  if (header) {
    const auto again = mdpipe::kafka::encode(*header);
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) {
      std::fputs("The header: not what it was made of\n", stderr);
      std::abort();
    }
  }
  return 0;
}
