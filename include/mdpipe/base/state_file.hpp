#pragma once
/// \file
/// A small file that holds how far somebody has got: a durable cursor, a snapshot. Replaced whole, never in place.
///
/// Format, little-endian: magic "MDPSTATE" · version u32 (1) · kind length u32 · payload length u64 · position u64 ·
/// kind · payload · CRC32C u32 of all before it. Journal retention reads the position of every state file in the
/// journal's `cursors/` folder; the payload belongs to the one who wrote it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mdpipe/base/error.hpp"
#include "mdpipe/base/file.hpp"

namespace mdpipe {

struct State {
  std::uint64_t position = 0;
  std::string payload;
};

class StateFile {
 public:
  /// `kind` names the owner ("cursor publish", "aggregate snapshot"): a file of another kind is refused on load.
  StateFile(std::filesystem::path path, std::string kind);

  /// Nothing where there is no such file; ErrorCode::data where it is damaged or of another kind or version.
  [[nodiscard]] Result<std::optional<State>> load() const;

  /// Durable when it returns: write, fsync, rename, fsync of the folder. Allocates nothing where the payload is no
  /// larger than one before. One thread at a time.
  [[nodiscard]] Result<void> save(std::uint64_t position, std::string_view payload);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }

 private:
  ReplacedFile file_;
  std::string kind_;
  std::string bytes_;  // what was written last: its memory is used again
};

/// The state and kind of any state file, for tools that list them.
struct NamedState {
  std::string kind;
  State state;
};
[[nodiscard]] Result<NamedState> load_any_state(const std::filesystem::path& path);

}  // namespace mdpipe
