#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

#include "config/check.h"

namespace tq::engine {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

}  // namespace

// The ranges of Table 3-7 of the Unicode Standard (well-formed UTF-8 byte sequences).
void Utf8Decoder::start(unsigned char byte, std::string& out) {
  next_min_ = 0x80;
  next_max_ = 0xbf;
  if (byte < 0x80) {
    out += static_cast<char>(byte);
    return;
  }
  if (byte >= 0xc2 && byte <= 0xdf) {
    n_missing_ = 1;
  } else if (byte >= 0xe0 && byte <= 0xef) {
    n_missing_ = 2;
    if (byte == 0xe0) next_min_ = 0xa0;  // else overlong
    if (byte == 0xed) next_max_ = 0x9f;  // else a surrogate
  } else if (byte >= 0xf0 && byte <= 0xf4) {
    n_missing_ = 3;
    if (byte == 0xf0) next_min_ = 0x90;  // else overlong
    if (byte == 0xf4) next_max_ = 0x8f;  // else beyond U+10FFFF
  } else {
    out += kReplacement;
    return;
  }
  pending_[0] = static_cast<char>(byte);
  n_pending_ = 1;
}

void Utf8Decoder::push(char byte, std::string& out) {
  const auto b = static_cast<unsigned char>(byte);
  if (n_missing_ > 0 && (b < next_min_ || b > next_max_)) flush(out);
  if (n_missing_ == 0) {
    start(b, out);
    return;
  }
  pending_[static_cast<size_t>(n_pending_++)] = byte;
  next_min_ = 0x80;
  next_max_ = 0xbf;
  if (--n_missing_ == 0) {
    out.append(pending_.data(), static_cast<size_t>(n_pending_));
    n_pending_ = 0;
  }
}

void Utf8Decoder::flush(std::string& out) {
  if (n_missing_ > 0) out += kReplacement;
  n_pending_ = n_missing_ = 0;
}

void TextStream::Pattern::advance(char byte) noexcept {
  auto n = n_matched == static_cast<int32_t>(text.size()) ? border.back() : n_matched;
  while (n > 0 && text[static_cast<size_t>(n)] != byte) n = border[static_cast<size_t>(n) - 1];
  n_matched = text[static_cast<size_t>(n)] == byte ? n + 1 : 0;
}

TextStream::TextStream(TextStreamOptions options)
    : include_stop_string_(options.include_stop_string),
      drop_leading_space_(options.drop_leading_space) {
  for (std::string& stop : options.stop_strings) {
    TQ_CHECK(!stop.empty(), "empty stop string");
    Pattern pattern{.text = std::move(stop), .border = {0}};
    for (size_t i = 1; i < pattern.text.size(); ++i) {
      int32_t n = pattern.border.back();
      while (n > 0 && pattern.text[static_cast<size_t>(n)] != pattern.text[i]) {
        n = pattern.border[static_cast<size_t>(n) - 1];
      }
      pattern.border.push_back(pattern.text[static_cast<size_t>(n)] == pattern.text[i] ? n + 1 : 0);
    }
    patterns_.push_back(std::move(pattern));
  }
}

bool TextStream::push(std::string_view bytes, bool may_stop, std::string& out) {
  TQ_CHECK(!stopped_, "text after a stop string");
  decoded_.clear();
  for (const char byte : bytes) decoder_.push(byte, decoded_);
  for (const char byte : decoded_) {
    if (std::exchange(drop_leading_space_, false) && byte == ' ') continue;
    text_ += byte;
    if (match(byte, may_stop)) {
      if (!include_stop_string_) text_.resize(text_.size() - matched_.size());
      out += text_;
      text_.clear();
      return stopped_ = true;
    }
  }
  const size_t n_ready = text_.size() - held();
  out.append(text_, 0, n_ready);
  text_.erase(0, n_ready);
  return false;
}

bool TextStream::match(char byte, bool may_stop) {
  for (Pattern& pattern : patterns_) {
    pattern.advance(byte);
    const bool full = static_cast<size_t>(pattern.n_matched) == pattern.text.size();
    if (full && may_stop && pattern.text.size() > matched_.size()) matched_ = pattern.text;
  }
  return !matched_.empty();
}

// The longest end of the text that begins a stop string. A whole one that did not count begins
// another occurrence with its border only.
size_t TextStream::held() const noexcept {
  int32_t n = 0;
  for (const Pattern& pattern : patterns_) {
    const bool full = static_cast<size_t>(pattern.n_matched) == pattern.text.size();
    n = std::max(n, full ? pattern.border.back() : pattern.n_matched);
  }
  return static_cast<size_t>(n);
}

void TextStream::flush(std::string& out) {
  if (stopped_) return;
  decoder_.flush(text_);
  out += text_;
  text_.clear();
  for (Pattern& pattern : patterns_) pattern.n_matched = 0;
}

}  // namespace tq::engine
