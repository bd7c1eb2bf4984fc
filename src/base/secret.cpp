#include "mdpipe/base/secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "mdpipe/base/file.hpp"

namespace mdpipe {
namespace {

constexpr std::size_t kSecretMinBytes = 4;  // shorter texts would blank out half of every log line

void wipe(std::string& text) noexcept {
  ::explicit_bzero(text.data(), text.capacity());
  text.clear();
}

struct Remembered {
  std::mutex mutex;
  std::vector<std::string> texts;
};

Remembered& remembered() {
  static Remembered all;
  return all;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

/// "scheme://host/path?query" → "scheme://host/path?***"
void hide_queries(std::string& text) {
  for (std::size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at + 3)) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n\"'<>)", at + 3), text.size());
    const std::size_t query = text.find('?', at + 3);
    if (query < end && query + 1 < end) {
      text.replace(query + 1, end - query - 1, "***");
    }
    // Up to the last @ before the path: a password may hold one.
    const std::size_t path = std::min(text.find_first_of("/? \t\r\n\"'<>)", at + 3), text.size());
    if (const std::size_t user = text.substr(0, path).rfind('@'); user != std::string::npos && user >= at + 3) {
      text.replace(at + 3, user - at - 3, "***");
    }
  }
}

}  // namespace

Secret::Secret(std::string value) noexcept : value_(std::move(value)) {}
// Copied and wiped: a moved-from std::string may keep a short text.
Secret::Secret(Secret&& other) noexcept : value_(other.value_) {  // NOLINT(performance-move-constructor-init)
  wipe(other.value_);
}
Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe(value_);
    value_ = other.value_;
    wipe(other.value_);
  }
  return *this;
}
Secret::Secret(const Secret&) = default;
Secret& Secret::operator=(const Secret& other) {
  if (this != &other) {
    wipe(value_);
    value_ = other.value_;
  }
  return *this;
}
Secret::~Secret() {
  wipe(value_);
}

Result<Secret> read_secret_file(const std::filesystem::path& path) {
  auto descriptor = open_file(path, O_RDONLY);
  if (!descriptor) {
    return tl::unexpected(descriptor.error());
  }
  struct stat status {};
  if (::fstat(descriptor->get(), &status) != 0) {
    return tl::unexpected(system_error(path.string(), errno));
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(ErrorCode::usage, fmt::format("{} may be read by others: chmod 600 {}", path.string(), path.string()));
  }
  auto content = read_file(path, 64U << 10U);
  if (!content) {
    return tl::unexpected(content.error());
  }
  std::string line = content->substr(0, content->find_first_of("\r\n"));
  wipe(*content);
  if (line.empty()) {
    return fail(ErrorCode::usage, fmt::format("the first line of {} is empty: it must hold the secret", path.string()));
  }
  return Secret(std::move(line));
}

void remember_secret(const Secret& secret) {
  if (secret.reveal().size() < kSecretMinBytes) {
    return;
  }
  const std::scoped_lock lock(remembered().mutex);
  // The longest first: one that is part of another must not leave the rest of that one behind.
  auto& texts = remembered().texts;
  const auto at = std::find_if(texts.begin(), texts.end(),
                               [&](const std::string& text) { return text.size() < secret.reveal().size(); });
  texts.insert(at, secret.reveal());
}

std::string redact(std::string_view text) {
  std::string clean(text);
  {
    const std::scoped_lock lock(remembered().mutex);
    for (const std::string& secret : remembered().texts) {
      replace_all(clean, secret, "***");
    }
  }
  hide_queries(clean);
  return clean;
}

}  // namespace mdpipe
