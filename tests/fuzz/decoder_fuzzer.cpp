/// \file
/// libFuzzer against the decoder: every message is decoded by it and by the slow reference parser; any difference ends
/// the run. See README.md beside this file.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "support/decoder_check.hpp"
#include "support/frame_generator.hpp"

// NOLINTBEGIN(readability-identifier-naming): libFuzzer's names
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static mdpipe::testing::DecoderCheck check;
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  // Behind the message lies the message again, so that reading too far finds what it hopes for.
  std::string difference = check.difference(message, message);
  if (difference.empty() && size % 8 == 0) {
    difference = check.difference_with_few_symbols(message);
  }
  if (!difference.empty()) {
    std::fprintf(stderr, "The decoder and the reference differ: %s\n", difference.c_str());
    std::abort();
  }
  return 0;
}

/// A third of the inputs comes from the generator of the unit tests (fresh, or with the input's bytes damaged by what
/// the schema is made of): it knows what libFuzzer would have to find out.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  constexpr unsigned kChoices = 12;
  const unsigned choice = seed % kChoices;
  if (choice > 3) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  mdpipe::testing::FrameGenerator generator(seed);
  std::string message = choice == 0 ? generator.message() : std::string(reinterpret_cast<const char*>(data), size);
  if (choice != 0 || seed % 2 == 0) {
    message = generator.damaged(std::move(message));
  }
  const std::size_t length = message.size() < max_size ? message.size() : max_size;
  std::memcpy(data, message.data(), length);
  return length;
}
// NOLINTEND(readability-identifier-naming)
