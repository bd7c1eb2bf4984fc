#pragma once
// A segment file as bytes, to be damaged.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "format.hpp"

namespace mdpipe::journal {

class SegmentBytes {
 public:
  explicit SegmentBytes(std::filesystem::path path) : path_(std::move(path)) {
    std::ifstream file(path_, std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    words_.resize((content.size() + sizeof(Trade) - 1) / sizeof(Trade));
    std::memcpy(static_cast<void*>(words_.data()), content.data(), content.size());
    size_ = content.size();
  }

  [[nodiscard]] std::byte* data() { return reinterpret_cast<std::byte*>(words_.data()); }
  [[nodiscard]] SegmentHeader& header() { return *reinterpret_cast<SegmentHeader*>(data()); }

  /// Offsets of all records up to the first length of 0.
  [[nodiscard]] std::vector<std::size_t> records() {
    std::vector<std::size_t> offsets;
    for (std::size_t at = kHeaderBytes; at < size_ && load_length(data() + at) != 0; at += load_length(data() + at)) {
      offsets.push_back(at);
    }
    return offsets;
  }

  void flip(std::size_t offset, unsigned char bits = 1) { data()[offset] ^= std::byte{bits}; }

  void save() {
    // A new file: the old one, emptied and written again, would be flushed to the disk by ext4 when it is closed.
    std::filesystem::remove(path_);
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(data()), static_cast<std::streamsize>(size_));
  }
  void save_with_header() {
    header().crc32c = header_checksum(header());
    save();
  }

 private:
  std::filesystem::path path_;
  std::vector<Trade> words_;  // aligned as a mapping is
  std::size_t size_ = 0;
};

}  // namespace mdpipe::journal
