#pragma once
// Columns for people: as wide as what stands in them.

#include <cstdint>
#include <string>
#include <vector>

#include "mdpipe/event/position.hpp"

namespace mdpipe::tools {

class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell a column.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  /// Titles and rows, each line with its end, without blanks before it.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// ISO 8601, UTC; empty for 0, which stands for none.
[[nodiscard]] std::string time_text(std::int64_t time_ns);

/// "1.1 .. 1.500"; empty where there is none.
[[nodiscard]] std::string range_text(Position first, Position last);

}  // namespace mdpipe::tools
