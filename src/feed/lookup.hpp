#pragma once
// Names → addresses, with a deadline and a way to be stopped, which getaddrinfo(3) has not.

#include <netdb.h>

#include <cstdint>
#include <memory>
#include <string>

#include "mdpipe/base/error.hpp"

namespace mdpipe::feed {

struct AddressListDeleter {
  void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

/// A number is read at once. A name is asked for on a thread of its own, which is left to itself where nobody answers
/// in time: a resolver may take half a minute to give up.
[[nodiscard]] Result<AddressList> look_up(const std::string& host, const std::string& port, std::int64_t deadline_ns,
                                          int stop_descriptor);

}  // namespace mdpipe::feed
