#include "table.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "mdpipe/base/clock.hpp"

namespace mdpipe::tools {
namespace {

constexpr std::string_view kBetween = "  ";

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  std::vector<std::string> titles;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t width = columns_[column].title.size();
    for (const auto& row : rows_) {
      width = std::max(width, row[column].size());
    }
    widths.push_back(width);
    titles.push_back(columns_[column].title);
  }
  std::string text;
  const auto put = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      line += column == 0 ? "" : kBetween;
      line += columns_[column].align == Align::right ? fmt::format("{:>{}}", row[column], widths[column])
                                                     : fmt::format("{:<{}}", row[column], widths[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  put(titles);
  std::for_each(rows_.begin(), rows_.end(), put);
  return text;
}

std::string time_text(std::int64_t time_ns) {
  return time_ns == 0 ? std::string() : iso_time_ms(floor_to_ms(time_ns));
}

std::string range_text(Position first, Position last) {
  return first == 0 ? std::string() : fmt::format("{} .. {}", position_text(first), position_text(last));
}

}  // namespace mdpipe::tools
