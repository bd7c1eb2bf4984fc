#pragma once
// What the tests of recovery share: the folder as a kill or a power loss leaves it.

#include <cstring>
#include <utility>

#include "format.hpp"
#include "journal_fixture.hpp"
#include "segment.hpp"
#include "segment_bytes.hpp"

namespace mdpipe::journal {

/// A journal of `frames` frames, left as kill -9 leaves it, or closed in good order.
inline WriterOptions make_image(const TemporaryDirectory& directory, int frames, bool close) {
  const auto options = tiny_options(directory.path());
  auto image = options;
  image.directory = directory.path() / "image";
  const auto writer = open_writer(options);
  for (int i = 1; i <= frames; ++i) {
    must_write_frame(*writer, {"A", "B"}, i);
  }
  if (close) {
    EXPECT_TRUE(writer->close());
  }
  copy_live(options.directory, image.directory);
  return image;
}

/// What a power loss leaves of a page that was never written back.
inline void blank_header(const std::filesystem::path& path) {
  SegmentBytes bytes(path);
  std::memset(bytes.data(), 0, kHeaderBytes);
  bytes.save();
}

/// A segment as the helper prepares it, in nobody's use yet.
inline void prepare_segment(const WriterOptions& options, std::uint64_t index) {
  std::filesystem::remove(options.directory / segment_name(index));
  EXPECT_TRUE(Segment::create(options.directory, index, options.segment_bytes));
}

inline std::uint64_t last_begun(const WriterOptions& options) {
  std::uint64_t last = 0;
  const auto indices = std::move(*list_segments(options.directory));
  for (const std::uint64_t index : indices) {
    const auto header = read_header(options.directory / segment_name(index), index);
    last = header && *header ? index : last;
  }
  return last;
}

}  // namespace mdpipe::journal
