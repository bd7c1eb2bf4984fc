#pragma once
/// \file
/// The HTTP request that opens a WebSocket, judged.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "mdpipe/base/secret.hpp"

namespace mdpipe::replay {

/// Thread safety: none.
class Upgrade {
 public:
  static constexpr std::size_t kHeaderMaxBytes = 8U << 10U;
  enum class State : std::uint8_t { reading, accepted, refused };

  /// `token`: what `?token=` must say; empty: anything will do.
  explicit Upgrade(const Secret& token);
  ~Upgrade();
  Upgrade(Upgrade&&) noexcept;
  Upgrade& operator=(Upgrade&&) = delete;

  /// Takes bytes as they come. Once it is not `reading`, response() is what to answer, and rest() what the client has
  /// sent behind its request.
  State feed(std::string_view bytes);
  [[nodiscard]] const std::string& response() const noexcept { return response_; }
  /// The token that the client gave, hashed; of an accepted request.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] std::string_view rest() const noexcept { return buffer_; }

 private:
  struct Parser;
  State refuse(int status, std::string_view text);
  State judge();

  const Secret& token_;
  std::unique_ptr<Parser> parser_;
  std::string buffer_;
  std::string response_;
  std::string key_;
};

}  // namespace mdpipe::replay
