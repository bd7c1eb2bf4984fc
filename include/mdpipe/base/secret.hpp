#pragma once
/// \file
/// Secrets and the one redactor. A Secret has no output operator and no implicit conversion: it leaves only by
/// reveal(), called where the wire needs it.

#include <filesystem>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"

namespace mdpipe {

class Secret {
 public:
  Secret() noexcept = default;
  explicit Secret(std::string value) noexcept;
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&);
  Secret& operator=(const Secret&);
  ~Secret();  ///< overwrites the text

  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  /// The text itself. Build the string that needs it at the last moment, and let it die soon.
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }

 private:
  std::string value_;
};

/// The first line of a file that only its owner may read (0600 or stricter; refused otherwise, with the chmod to run).
[[nodiscard]] Result<Secret> read_secret_file(const std::filesystem::path& path);

/// Registers a secret's text: redact() replaces it from now on wherever it appears. Call before threads start.
void remember_secret(const Secret& secret);

/// `text` without any remembered secret, and with the query of every URL in it shown as `?***`. For logs and errors.
[[nodiscard]] std::string redact(std::string_view text);

}  // namespace mdpipe
