#pragma once
// TLS over a connected socket, by OpenSSL.

#include <memory>

#include "transport.hpp"

namespace mdpipe::feed {

/// Takes a non-blocking, connected socket. Peer and host name are verified, SNI is sent, 1.2 is the least version. The
/// error says what the certificate's fault is. The connection is for the calling thread alone, where SIGPIPE is blocked
/// from now on.
[[nodiscard]] Result<std::unique_ptr<Transport>> connect_tls(FileDescriptor descriptor, const Url& url,
                                                             const ConnectOptions& options);

}  // namespace mdpipe::feed
