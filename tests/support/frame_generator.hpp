#pragma once
/// \file
/// Messages from a seed: most are good, each oddity that the decoder knows of comes often.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace mdpipe::testing {

class FrameGenerator {
 public:
  explicit FrameGenerator(std::uint64_t seed) : random_(seed) {}

  /// A message: JSON but for rare flaws.
  [[nodiscard]] std::string message();

  /// The same message with a few bytes changed, cut, doubled or replaced by what JSON and the schema are made of.
  [[nodiscard]] std::string damaged(std::string message);

 private:
  using Words = std::vector<std::string>;

  std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string one_of(const Words& words) { return words[below(words.size())]; }
  std::string blanks();
  std::string digits(std::size_t length);
  std::string number();
  std::string odd_number();
  std::string symbol();
  std::string conditions();
  std::string any_value(int depth);
  std::string element();
  std::string object(Words members);

  std::mt19937_64 random_;
  bool spaced_ = false;
  bool odd_ = false;
};

}  // namespace mdpipe::testing
