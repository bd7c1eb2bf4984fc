#include "url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "mdpipe/base/secret.hpp"
#include "request.hpp"

namespace mdpipe::feed {
namespace {

// What is refused may hold a secret where a good address has none: it is shown without its query and its user, also
// where it has no scheme that the redactor would know it by.
tl::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  std::string shown(text.substr(0, text.find('?')));
  if (const std::size_t user = shown.rfind('@'); user != std::string::npos) {
    shown = "***" + shown.substr(user);
  }
  return fail(ErrorCode::usage, fmt::format("--feed {}{}: {}", redact(printable(shown)),
                                            text.find('?') != std::string_view::npos ? "?***" : "", why));
}

// Of a host or a target: nothing that would have to be written in another way, or could end a line of the request.
bool is_plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c > '~' || c == '#'; });
}

bool holds_token(std::string_view target) {
  constexpr std::string_view kName = "token=";
  return std::search(target.begin(), target.end(), kName.begin(), kName.end(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         }) != target.end();
}

}  // namespace

std::string Url::authority() const {
  const std::string shown_host = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? "443" : "80") ? shown_host : shown_host + ":" + port;
}

std::string Url::shown() const {
  return redact((tls ? "wss://" : "ws://") + authority() + target);
}

bool Url::is_loopback() const {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24U) == IN_LOOPBACKNET;
  }
  in6_addr v6{};
  return host == "localhost" || (::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0);
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("wss://")) {
    url.tls = true;
    rest.remove_prefix(6);
  } else if (rest.starts_with("ws://")) {
    rest.remove_prefix(5);
  } else {
    return refuse(text, "must begin with ws:// or wss://");
  }
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, path);
  if (path < rest.size()) {
    url.target = rest[path] == '?' ? "/" + std::string(rest.substr(path)) : std::string(rest.substr(path));
  }
  if (holds_token(url.target)) {
    return refuse(text,
                  "a token does not belong into an argument, where every user of this machine can read it: put it "
                  "into FINNHUB_API_KEY or --token-file");
  }
  if (!is_plain(rest)) {
    return refuse(text, "blanks, # and what is not printable ASCII do not belong into an address");
  }
  if (authority.find('@') != std::string_view::npos) {
    return refuse(text, "a user or password does not belong into an address");
  }
  url.port = url.tls ? "443" : "80";
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) {
      return refuse(text, "a [ without its ]");
    }
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
  } else {
    url.host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(url.host.size());
  }
  if (url.host.empty()) {
    return refuse(text, "names no host");
  }
  if (!authority.empty()) {
    std::uint16_t port = 0;
    const std::string_view digits = authority.substr(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (authority.front() != ':' || error != std::errc{} || end != digits.data() + digits.size() || port == 0) {
      return refuse(text, fmt::format("\"{}\" is no port", digits));
    }
    url.port = digits;
  }
  return url;
}

}  // namespace mdpipe::feed
