#include "models/tokenizer/added_tokens.h"

#include "models/tokenizer/utf8.h"

namespace tq::models::text {

int32_t AddedTokens::child(int32_t node, uint8_t byte) const noexcept {
  for (const auto& [key, next] : nodes_[static_cast<size_t>(node)].children) {
    if (key == byte) return next;
  }
  return -1;
}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  const auto new_node = [this] {
    nodes_.emplace_back();
    return static_cast<int32_t>(nodes_.size() - 1);
  };
  int32_t& first = first_[static_cast<uint8_t>(token.content[0])];
  if (first < 0) first = new_node();
  int32_t node = first;
  for (const char c : token.content.substr(1)) {
    const auto byte = static_cast<uint8_t>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = new_node();
      nodes_[static_cast<size_t>(node)].children.emplace_back(byte, next);
    }
    node = next;
  }
  nodes_[static_cast<size_t>(node)].token_idx = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

int32_t AddedTokens::longest(std::string_view text, size_t at) const noexcept {
  int32_t best = -1;
  int32_t node = first_[static_cast<uint8_t>(text[at])];
  while (node >= 0) {
    const int32_t here = nodes_[static_cast<size_t>(node)].token_idx;
    if (here >= 0) best = here;
    if (++at == text.size()) break;
    node = child(node, static_cast<uint8_t>(text[at]));
  }
  return best;
}

void AddedTokens::split(std::string_view text,
                        bool parse_control,
                        std::vector<Segment>& segments) const {
  segments.clear();
  size_t text_begin = 0;  // of the plain text that is not yet a segment
  for (size_t at = 0; at < text.size();) {
    const int32_t idx = longest(text, at);
    if (idx < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(idx)];
    size_t begin = at;
    size_t end = at + token.content.size();
    at = end;
    if (token.control && !parse_control) continue;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin -= space_suffix_bytes(text.substr(text_begin, begin - text_begin));
    }
    if (token.rstrip) end += space_prefix_bytes(text.substr(end));
    if (begin > text_begin) segments.push_back({-1, text_begin, begin});
    segments.push_back({token.id, begin, end});
    text_begin = at = end;
  }
  if (text_begin < text.size()) segments.push_back({-1, text_begin, text.size()});
}

}  // namespace tq::models::text
