/// \file
/// Runs a fuzzer's corpus, and some thousand mutations of it, without libFuzzer: for the unit tests, with any compiler.
///
///     PROGRAM CORPUS RUNS [SEED]

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes mutated(Bytes bytes, const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  for (auto changes = 1 + random() % 4; changes != 0; --changes) {
    const std::size_t at = bytes.empty() ? 0 : random() % bytes.size();
    switch (bytes.empty() ? 1 : random() % 5) {
      case 0:
        bytes[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
        break;
      case 1:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint8_t>(random()));
        break;
      case 2:
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 3:
        bytes[at] = static_cast<std::uint8_t>(random());
        break;
      default: {
        const Bytes& other = corpus[random() % corpus.size()];
        bytes.insert(bytes.end(), other.begin(),
                     other.begin() + static_cast<std::ptrdiff_t>(random() % (other.size() + 1)));
      }
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: PROGRAM CORPUS RUNS [SEED]\n", stderr);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    LLVMFuzzerTestOneInput(corpus.back().data(), corpus.back().size());
  }
  if (corpus.empty()) {
    std::fputs("no corpus\n", stderr);
    return 1;
  }
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (long left = std::atol(argv[2]); left > 0; --left) {
    const Bytes input = mutated(corpus[random() % corpus.size()], corpus, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
