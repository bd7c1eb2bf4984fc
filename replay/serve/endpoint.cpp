#include "replay/serve/endpoint.hpp"

#include <charconv>
#include <cstdint>

#include <fmt/core.h>

namespace mdpipe::replay {

namespace asio = boost::asio;
using asio::ip::tcp;

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto bad = [&] {
    return fail(ErrorCode::usage, fmt::format("--listen {}: want ADDRESS:PORT, 127.0.0.1:8800 or [::1]:8800", text));
  };
  if (colon == std::string::npos) {
    return bad();
  }
  std::string address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data() + colon + 1, end, port);
  boost::system::error_code error;
  const auto parsed = asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, error);
  if (status != std::errc() || rest != end || error) {
    return bad();
  }
  return tcp::endpoint(parsed, port);
}

}  // namespace mdpipe::replay
