#pragma once
// PieceTable: the bytes that each id adds to a text, and which ids are control tokens. One string
// holds them all. Immutable once filled; any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"

namespace tq::models::text {

class PieceTable {
 public:
  // Ids from 0 up.
  void push_back(std::string_view bytes, bool control) {
    bytes_ += bytes;
    ends_.push_back(bytes_.size());
    control_.push_back(control);
  }

  int size() const noexcept { return static_cast<int>(ends_.size()); }
  bool is_control(TokenId id) const noexcept {
    return id >= 0 && id < size() && control_[static_cast<size_t>(id)];
  }
  std::string_view piece(TokenId id, bool show_control) const noexcept {
    if (id < 0 || id >= size()) return {};
    const auto at = static_cast<size_t>(id);
    if (control_[at] && !show_control) return {};
    const size_t begin = at == 0 ? 0 : ends_[at - 1];
    return std::string_view(bytes_).substr(begin, ends_[at] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
  std::vector<bool> control_;
};

}  // namespace tq::models::text
