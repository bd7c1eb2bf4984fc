#include "mdpipe/base/state_file.hpp"

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "mdpipe/base/crc32c.hpp"
#include "mdpipe/base/file.hpp"

namespace mdpipe {
namespace {

constexpr std::string_view kMagic = "MDPSTATE";
constexpr std::uint32_t kVersion = 1;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t kind_length;
  std::uint64_t payload_length;
  std::uint64_t position;
};
static_assert(sizeof(Header) == 32);

std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

tl::unexpected<Error> damaged(const std::filesystem::path& path, std::string_view what) {
  return fail(ErrorCode::data,
              fmt::format("{} is damaged ({}): move it away to begin anew without it", path.string(), what));
}

}  // namespace

StateFile::StateFile(std::filesystem::path path, std::string kind) : file_(std::move(path)), kind_(std::move(kind)) {}

Result<std::optional<State>> StateFile::load() const {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path(), ignored))) {
    return std::nullopt;
  }
  auto named = load_any_state(path());
  if (!named) {
    return tl::unexpected(named.error());
  }
  if (named->kind != kind_) {
    return fail(ErrorCode::data, fmt::format("{} holds \"{}\", not \"{}\"", path().string(), named->kind, kind_));
  }
  return std::optional(std::move(named->state));
}

Result<void> StateFile::save(std::uint64_t position, std::string_view payload) {
  Header header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.version = kVersion;
  header.kind_length = static_cast<std::uint32_t>(kind_.size());
  header.payload_length = payload.size();
  header.position = position;
  bytes_.clear();
  bytes_.reserve(sizeof header + kind_.size() + payload.size() + sizeof(std::uint32_t));
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes_.append(kind_);
  bytes_.append(payload);
  const std::uint32_t checksum = crc32c(as_bytes(bytes_));
  bytes_.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return file_.replace(as_bytes(bytes_));
}

Result<NamedState> load_any_state(const std::filesystem::path& path) {
  auto content = read_file(path, std::size_t{1} << 32U);
  if (!content) {
    return tl::unexpected(content.error());
  }
  std::string_view bytes = *content;
  Header header{};
  if (bytes.size() < sizeof header + sizeof(std::uint32_t)) {
    return damaged(path, "too short");
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::string_view(header.magic, sizeof header.magic) != kMagic) {
    return fail(ErrorCode::data, fmt::format("{} is no state file of mdpipe", path.string()));
  }
  if (header.version != kVersion) {
    return fail(ErrorCode::data, fmt::format("{} is of version {}; this program reads version {}", path.string(),
                                             header.version, kVersion));
  }
  std::uint32_t checksum = 0;
  const std::string_view covered = bytes.substr(0, bytes.size() - sizeof checksum);
  std::memcpy(&checksum, bytes.data() + covered.size(), sizeof checksum);
  if (crc32c(as_bytes(covered)) != checksum) {
    return damaged(path, "its checksum does not fit");
  }
  const std::string_view body = covered.substr(sizeof header);
  if (header.kind_length > body.size() || header.payload_length != body.size() - header.kind_length) {
    return damaged(path, "its lengths do not add up");
  }
  return NamedState{std::string(body.substr(0, header.kind_length)),
                    State{header.position, std::string(body.substr(header.kind_length))}};
}

}  // namespace mdpipe
