#include "replay/serve/tls_context.hpp"

#include <fmt/core.h>

namespace mdpipe::replay {

namespace ssl = boost::asio::ssl;

Result<void> open_tls(const ServeOptions& options, std::unique_ptr<ssl::context>& tls) {
  if (options.tls_certificate.empty() && options.tls_key.empty()) {
    return {};
  }
  if (options.tls_certificate.empty() || options.tls_key.empty()) {
    return fail(ErrorCode::usage, "--tls-cert and --tls-key go together");
  }
  tls = std::make_unique<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  tls->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1, error);
  tls->use_certificate_chain_file(options.tls_certificate.string(), error);
  if (error) {
    return fail(ErrorCode::environment, fmt::format("{}: {}", options.tls_certificate.string(), error.message()));
  }
  tls->use_private_key_file(options.tls_key.string(), ssl::context::pem, error);
  if (error) {
    return fail(ErrorCode::environment, fmt::format("{}: {}", options.tls_key.string(), error.message()));
  }
  return {};
}

}  // namespace mdpipe::replay
