#pragma once
// TextStream: bytes of tokens in, text to show out. One per sequence; engine thread only. It knows
// no tokens.
//
//   * UTF-8 never splits: an unfinished character waits for its next byte. Bytes that are no UTF-8
//   become
//     U+FFFD, one per maximal ill-formed part, as decoders of the WHATWG and Python do.
//   * A stop string is found wherever its bytes fall on token borders. Text is held back exactly as
//   long as
//     it is the beginning of one, so its first half never leaks and nothing else waits.
//   * The match that ends first counts; of two that end together, the longer.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tq::engine {

// Bytes to well-formed UTF-8, a byte at a time.
class Utf8Decoder {
 public:
  void push(char byte, std::string& out);
  void flush(std::string& out);  // the unfinished character, if any, becomes U+FFFD

 private:
  void start(unsigned char byte, std::string& out);

  std::array<char, 4> pending_{};
  int n_pending_ = 0;
  int n_missing_ = 0;
  unsigned char next_min_ = 0x80;  // range of the next continuation byte
  unsigned char next_max_ = 0xbf;
};

struct TextStreamOptions {
  std::vector<std::string> stop_strings;  // not empty ones; UTF-8
  bool include_stop_string = false;       // in the text
  bool drop_leading_space = false;        // of the first character
};

class TextStream {
 public:
  explicit TextStream(TextStreamOptions options);

  // Appends to `out` what may be shown now. may_stop: a match that ends in these bytes counts; else
  // it is text like any other. After a match, which this returns true for, nothing more is taken.
  bool push(std::string_view bytes, bool may_stop, std::string& out);

  // The end, without a match: what was held back.
  void flush(std::string& out);

  // The stop string that matched; empty before.
  std::string_view matched() const noexcept { return matched_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<int32_t>
        border;  // Knuth-Morris-Pratt: of each prefix, the longest proper one that ends it
    int32_t n_matched = 0;  // bytes of `text` that the input ends with
    void advance(char byte) noexcept;
  };

  bool match(char byte, bool may_stop);
  size_t held() const noexcept;

  std::vector<Pattern> patterns_;
  bool include_stop_string_;
  bool drop_leading_space_;
  Utf8Decoder decoder_;
  std::string decoded_;  // of this push
  std::string text_;     // decoded, not shown yet
  std::string matched_;
  bool stopped_ = false;
};

}  // namespace tq::engine
