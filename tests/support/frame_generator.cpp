#include "support/frame_generator.hpp"

#include <algorithm>

namespace mdpipe::testing {
namespace {

const std::vector<std::string> kPieces = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ",",
                                          ":",
                                          "\"",
                                          "\\",
                                          "\\u0073",
                                          "\\ud83d\\ude00",
                                          "\\ud800",
                                          "null",
                                          "true",
                                          "0",
                                          "-",
                                          ".",
                                          "e5",
                                          "\"s\":\"A\"",
                                          "\"p\":1",
                                          "\"v\":0",
                                          "\"t\":1700000000000",
                                          "\"c\":[\"1\"]",
                                          "\"type\":\"trade\"",
                                          "\"data\":[",
                                          "{\"s\":\"\",\"p\":0,\"v\":0,\"t\":0}",
                                          " ",
                                          "\n",
                                          "\t",
                                          std::string(1, '\0'),
                                          "\xC3\xA9",
                                          "\xED\xA0\x80",
                                          "\xFF",
                                          "00",
                                          "1e999",
                                          "1e-101",
                                          "99999999999999999999",
                                          "/",
                                          "\x7F",
                                          "\x1F"};

}  // namespace

std::string FrameGenerator::blanks() {
  std::string text;
  while (spaced_ && one_in(2)) {
    text += one_of({" ", " ", "\t", "\n", "\r", "          "});
  }
  return text;
}

std::string FrameGenerator::digits(std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) {
    text.push_back(one_in(4) ? '0' : static_cast<char>('0' + below(10)));
  }
  return text;
}

std::string FrameGenerator::number() {
  if (odd_ && one_in(6)) {
    return odd_number();
  }
  std::string text = one_in(5) ? "0" : std::to_string(1 + below(9)) + digits(below(one_in(8) ? 17 : 5));
  if (!one_in(3)) {
    text += "." + digits(1 + below(one_in(8) ? 17 : 5));
  }
  return text;
}

std::string FrameGenerator::odd_number() {
  switch (below(5)) {
    case 0:
      return one_of({"-0",
                     "-0.0",
                     "0e5",
                     "1E5",
                     "1e+2",
                     "1e-100",
                     "1e-101",
                     "9.9999999999999999999e-101",
                     "1e-400",
                     "0e999",
                     "1e19",
                     "9999999999999999999",
                     "10000000000000000000",
                     "18446744073709551615",
                     "18446744073709551616",
                     "-9223372036854775808",
                     "-9223372036854775809",
                     "1e308",
                     "1e999",
                     "999999999999999999.5",
                     "1.7976931348623157e308",
                     "1.7976931348623159e308",
                     "4.9e-324"});
    case 1:
      return one_of({"00", "01", "1.", ".5", "-", "+1", "1e", "1e+", "NaN", "Infinity", "0x1", "1_000", "- 1", "1.e2"});
    case 2:
      return "-" + digits(1 + below(20)) + "." + digits(1 + below(25));
    case 3:
      return one_of({"\"1\"", "null", "true", "[1]", "{}"});
    default:
      return std::to_string(1 + below(9)) + digits(below(25)) + "." + digits(1 + below(25)) +
             one_of({"", "e", "E-", "e+"}) + digits(1 + below(3));
  }
}

std::string FrameGenerator::symbol() {
  if (odd_ && one_in(4)) {
    return one_of({"\"\"", "\"A\\u0042\"", "\"\xC3\xA9\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\u0000\"", "5",
                   "null", "\"A\tB\"", "\"\\n\"", "\"\\x\"", "\"\xC0\x80\"", "\"SIXTEEN_LETTERS_\"",
                   "\"FIFTEEN_LETTERS\"", "\"THIRTY_ONE_LETTERS_ARE_IN_HERE_\"", "\"THIRTY_TWO_LETTERS_ARE_IN_HERE__\"",
                   "\"A_SYMBOL_OF_SO_MANY_LETTERS_THAT_IT_IS_LEFT_TO_THE_JUDGE\"", "\"A\\\"B\"", "\"\x7F\""});
  }
  return "\"" +
         one_of({"AAPL", "MSFT", "A", "SIX_PK", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "OANDA:EUR_USD", "IC MARKETS:1",
                 "KRAKEN:A_LONGER_ONE/EUR"}) +
         "\"";
}

std::string FrameGenerator::conditions() {
  if (odd_ && one_in(4)) {
    return one_of({"[1]", "[null,\"5\"]", "\"1\"", "{}", "[\"64\"]", "[\"01\"]", "[\"-1\"]", "[\"\"]", "[\"100\"]",
                   "[[\"3\"]]", "[\"1\",]", "[,]", "5", "[\"\\u0031\"]", "[{\"s\":1,\"s\":2}]", "[\"a\"]", "[\"1a\"]"});
  }
  if (one_in(3)) {
    return one_of({"null", "[]"});
  }
  std::string text = "[" + blanks();
  const std::size_t count = 1 + below(one_in(10) ? 30 : 4);
  for (std::size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "" : "," + blanks()) + ("\"" + std::to_string(below(64)) + "\"") + blanks();
  }
  return text + "]";
}

std::string FrameGenerator::any_value(int depth) {
  switch (below(depth > 3 ? 5 : 8)) {
    case 0:
      return "null";
    case 1:
      return one_of({"true", "false"});
    case 2:
      return number();
    case 3:
      return symbol();
    case 4:
      return one_of({"{}", "[]", "[ ]", "{ }"});
    case 5:
      return "[" + any_value(depth + 1) + "," + blanks() + any_value(depth + 1) + "]";
    case 6:
      return object({"\"x\":" + any_value(depth + 1), one_of({"\"x\":1", "\"y\":1", "\"s\":1", "\"p\":1"})});
    default:
      // Around the limit of the depth, and empty at the bottom, where it does not count.
      const std::size_t nesting = one_in(50) ? 1015 + below(20) : below(20);
      return std::string(nesting, '[') + one_of({"1", ""}) + std::string(nesting, ']');
  }
}

std::string FrameGenerator::object(Words members) {
  std::string text = "{" + blanks();
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::string& member = members[i];
    // A blank on either side of the colon that ends the key.
    const std::size_t colon = member.find("\":") + 1;
    text += (i == 0 ? "" : "," + blanks()) + member.substr(0, colon) + blanks() + ":" + blanks() +
            member.substr(colon + 1) + blanks();
  }
  return text + "}";
}

std::string FrameGenerator::element() {
  if (odd_ && one_in(12)) {
    return any_value(0);
  }
  std::string time = "1" + std::to_string(below(10)) + digits(11);
  if (odd_ && one_in(5)) {
    time = one_of({"0", "-1", "-1700000000000", "9223372036854", "9223372036855", "-9223372036854", "-9223372036855",
                   "1.7e12", "1700000000000.0", "1700000000000.5", "\"1700000000000\"", "12345678", "1234567",
                   "123456789012345", "1234567890123456", "01700000000000", "9223372036854775808", "null"});
  }
  Words members = {"\"p\":" + number(), "\"s\":" + symbol(), "\"t\":" + time, "\"v\":" + (one_in(10) ? "0" : number())};
  if (!one_in(3)) {
    members.insert(members.begin(), "\"c\":" + conditions());
  }
  if (odd_ && one_in(10)) {
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(below(members.size())));
  }
  if (odd_ && one_in(10)) {
    members.push_back(one_of({"\"x\":" + any_value(0), "\"\\u0073\":\"E\"", "\"\\u0070\":5", "\"\":1", "\"ss\":\"A\"",
                              "\"t\":1700000000001", "\"v\":1", "\"c\":null", "\"\\u0063\":[\"7\"]"}));
  }
  if (one_in(2)) {
    std::shuffle(members.begin(), members.end(), random_);
  }
  return object(members);
}

std::string FrameGenerator::message() {
  spaced_ = one_in(3);
  odd_ = one_in(2);
  if (one_in(12)) {
    return one_of({"{\"type\":\"ping\"}",
                   "{\"msg\":\"no\",\"type\":\"error\"}",
                   "{\"type\":\"error\"}",
                   "",
                   " ",
                   "{}",
                   "{\"type\":\"news\"}",
                   "[]",
                   "5",
                   "\"trade\"",
                   "{\"type\":null}",
                   "null",
                   "{\"data\":[]}",
                   "{\"type\":\"trade\"}",
                   "{\"type\":\"trade\",\"data\":{}}",
                   "\xEF\xBB\xBF{\"type\":\"ping\"}",
                   "{\"type\":\"ping\",\"type\":\"pong\"}",
                   "{\"data\":[],\"data\":[],\"type\":\"ping\"}",
                   "{\"t\\u0079pe\":\"ping\"}",
                   "{\"type\":\"ping\"} x"});
  }
  std::string list = "[" + blanks();
  const std::size_t count = below(one_in(10) ? 40 : 6);
  for (std::size_t i = 0; i < count; ++i) {
    list += (i == 0 ? "" : "," + blanks()) + element() + blanks();
  }
  list += "]";
  Words members = {"\"data\":" + list, "\"type\":" + (odd_ && one_in(10) ? symbol() : "\"trade\"")};
  if (odd_ && one_in(8)) {
    members.push_back(one_of({"\"data\":[]", "\"type\":\"trade\"", "\"type\":\"ping\"", "\"s\":1",
                              "\"x\":" + any_value(0), "\"data\":[" + element() + "]", "\"data\":null"}));
  }
  if (one_in(3)) {
    std::shuffle(members.begin(), members.end(), random_);
  }
  return blanks() + object(members) + blanks();
}

std::string FrameGenerator::damaged(std::string message) {
  const std::size_t times = 1 + below(3);
  for (std::size_t i = 0; i < times; ++i) {
    const std::size_t at = below(message.size() + 1);
    const std::size_t length = std::min(below(one_in(4) ? 40 : 3), message.size() - at);
    switch (below(5)) {
      case 0:
        message.insert(at, one_of(kPieces));
        break;
      case 1:
        message.erase(at, length);
        break;
      case 2:
        message.insert(below(message.size() + 1), message.substr(at, length));
        break;
      case 3:
        if (at < message.size()) {
          message[at] = static_cast<char>(below(256));
        }
        break;
      default:
        message.replace(at, length, one_of(kPieces));
    }
  }
  return message;
}

}  // namespace mdpipe::testing
