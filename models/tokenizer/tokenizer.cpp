#include "models/tokenizer/tokenizer.h"

namespace tq::models {

std::string Tokenizer::decode(std::span<const TokenId> ids, bool show_control) const {
  std::string text;
  bool at_start = strips_leading_space();
  for (const TokenId id : ids) {
    std::string_view bytes = piece(id, show_control);
    if (at_start && !bytes.empty()) {
      at_start = false;
      if (bytes.front() == ' ') bytes.remove_prefix(1);
    }
    text += bytes;
  }
  return text;
}

}  // namespace tq::models
