// str.split(), rsplit() and splitlines().

#include <algorithm>

#include "models/chat_template/text.h"

namespace tq::models::jinja {

Pieces split_space(std::string_view text, int64_t n_max) {
  Pieces pieces;
  for (text = strip(text, Side::kLeft); !text.empty(); text = strip(text, Side::kLeft)) {
    if (n_max >= 0 && static_cast<int64_t>(pieces.size()) >= n_max) {
      pieces.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      size_t next = end;
      if (is_space(next_char(text, next))) break;
      end = next;
    }
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

Pieces rsplit_space(std::string_view text, int64_t n_max) {
  Pieces words = split_space(text, -1);
  if (n_max < 0 || static_cast<int64_t>(words.size()) <= n_max) return words;
  const size_t n_joined = words.size() - static_cast<size_t>(n_max);
  // The words not split off stay one piece, with the whitespace between them.
  const char* end = words[n_joined - 1].data() + words[n_joined - 1].size();
  Pieces pieces{text.substr(0, static_cast<size_t>(end - text.data()))};
  pieces.insert(pieces.end(), words.begin() + static_cast<std::ptrdiff_t>(n_joined), words.end());
  return pieces;
}

Pieces split_by(std::string_view text, std::string_view separator, int64_t n_max) {
  Pieces pieces;
  size_t done = 0;
  while (n_max < 0 || static_cast<int64_t>(pieces.size()) < n_max) {
    const size_t hit = find_text(text, separator, done);
    if (hit == std::string_view::npos) break;
    pieces.push_back(text.substr(done, hit - done));
    done = hit + separator.size();
  }
  pieces.push_back(text.substr(done));
  return pieces;
}

Pieces rsplit_by(std::string_view text, std::string_view separator, int64_t n_max) {
  // Searched backwards in the reversed text, so that overlapping separators split as Python's do.
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_separator(separator.rbegin(), separator.rend());
  const Pieces reversed = split_by(reversed_text, reversed_separator, n_max);
  Pieces pieces;
  size_t end = text.size();
  for (std::string_view piece : reversed) {
    pieces.push_back(text.substr(end - piece.size(), piece.size()));
    end -= piece.size();
    end -= std::min(end, separator.size());
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

namespace {

bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

Pieces split_lines(std::string_view text, bool keep_ends) {
  Pieces lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_char(text, at);
    if (!ends_line(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(start, (keep_ends ? at : end) - start));
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

}  // namespace tq::models::jinja
