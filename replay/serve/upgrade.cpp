#include "replay/serve/upgrade.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "replay/serve/websocket.hpp"

namespace mdpipe::replay {
namespace {

namespace http = boost::beast::http;

int hex_digit(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::size_t value = kDigits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c));
  return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string token_of(std::string_view target) {
  const std::size_t query = target.find('?');
  std::string_view rest = query == std::string_view::npos ? std::string_view() : target.substr(query + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.starts_with("token=")) {
      return percent_decoded(pair.substr(6));
    }
  }
  return {};
}

/// In a time that does not tell how much of it is right.
bool same(const std::string& given, const std::string& wanted) {
  return given.size() == wanted.size() && ::CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

std::string digest(const std::string& text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  ::EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &length, ::EVP_sha256(),
               nullptr);
  out.resize(length);
  return out;
}

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return boost::beast::iequals(boost::beast::string_view(a.data(), a.size()),
                               boost::beast::string_view(b.data(), b.size()));
}

std::string_view reason(int status) {
  return view(http::obsolete_reason(static_cast<http::status>(status)));
}

}  // namespace

struct Upgrade::Parser {
  http::request_parser<http::empty_body> http;
};

Upgrade::Upgrade(const Secret& token) : token_(token), parser_(std::make_unique<Parser>()) {
  parser_->http.header_limit(kHeaderMaxBytes);
  parser_->http.eager(false);
}
Upgrade::~Upgrade() = default;
Upgrade::Upgrade(Upgrade&&) noexcept = default;

Upgrade::State Upgrade::refuse(int status, std::string_view text) {
  response_ = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}", status,
      reason(status), text.size(), status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "", text);
  return State::refused;
}

Upgrade::State Upgrade::feed(std::string_view bytes) {
  buffer_.append(bytes);
  boost::system::error_code error;
  const std::size_t used = parser_->http.put(boost::asio::buffer(buffer_), error);
  buffer_.erase(0, used);
  if (error == http::error::need_more) {
    return buffer_.size() <= kHeaderMaxBytes ? State::reading : refuse(431, "the request's header is too large\n");
  }
  if (error == http::error::header_limit) {
    return refuse(431, "the request's header is too large\n");
  }
  if (error) {
    return refuse(400, "this is no HTTP request\n");
  }
  return parser_->http.is_header_done() ? judge() : State::reading;
}

Upgrade::State Upgrade::judge() {
  const auto& request = parser_->http.get();
  const bool upgrades = request.method() == http::verb::get && request.version() >= 11 &&
                        equal_ignoring_case(view(request[http::field::upgrade]), "websocket") &&
                        http::token_list{request[http::field::connection]}.exists("upgrade");
  if (!upgrades || request[http::field::sec_websocket_version] != "13") {
    return refuse(426, "mdreplay serves a WebSocket (RFC 6455, version 13) here, nothing else\n");
  }
  if (request[http::field::sec_websocket_key].size() != 24) {
    return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64\n");
  }
  const Secret given(token_of(view(request.target())));
  if (!token_.empty() && !same(given.reveal(), token_.reveal())) {
    return refuse(401, "Invalid API key\n");
  }
  key_ = digest(given.reveal());
  response_ = fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
      "{}\r\n\r\n",
      websocket_accept(view(request[http::field::sec_websocket_key])));
  return State::accepted;
}

}  // namespace mdpipe::replay
