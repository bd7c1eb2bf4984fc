#include "mdpipe/base/base64.hpp"

#include <array>
#include <cstdint>

namespace mdpipe {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return digits;
}();

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8U | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text.push_back(i <= count ? kAlphabet[group >> (18U - 6U * i) & 63U] : '=');
    }
  }
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::size_t digits = 4;
    if (at + 4 == text.size()) {
      digits -= text[at + 3] == '=' ? 1U : 0U;
      digits -= digits == 3 && text[at + 2] == '=' ? 1U : 0U;
    }
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t digit = i < digits ? kDigits[static_cast<unsigned char>(text[at + i])] : std::uint8_t{0};
      if (digit == kNoDigit) {
        return std::nullopt;
      }
      group = group << 6U | digit;
    }
    // What the padding stands for must be zero: one text for each sequence of bytes.
    if ((group & ((std::uint32_t{1} << (8U * (4U - digits))) - 1U)) != 0) {
      return std::nullopt;
    }
    for (std::size_t i = 0; i + 1 < digits; ++i) {
      bytes.push_back(static_cast<char>(group >> (16U - 8U * i) & 0xFFU));
    }
  }
  return bytes;
}

}  // namespace mdpipe
