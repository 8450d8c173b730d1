#pragma once
// Normalizer: what a tokenizer does to a text before it cuts it up: canonical forms, lower case,
// the sentencepiece space. Immutable; any thread.

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "models/tokenizer/pattern.h"
#include "models/tokenizer/place.h"

namespace tq::models::text {

struct UnicodeForm {
  bool compose = false;        // NFC, NFKC
  bool compatibility = false;  // NFKC, NFKD
};
struct Lowercase {};
struct Prepend {  // to every text that is not empty, but never after a stray byte
  std::string prefix;
};
struct Replace {
  Pattern pattern;
  std::string replacement;
};
struct StripSpace {
  bool left = false;
  bool right = false;
};

class Normalizer {
 public:
  using Step = std::variant<UnicodeForm, Lowercase, Prepend, Replace, StripSpace>;

  template <class S>
  void add(S step) {
    steps_.emplace_back(std::in_place_type<S>, std::move(step));
  }
  bool empty() const noexcept { return steps_.empty(); }

  // `text` is well-formed UTF-8, and so is the answer.
  std::string apply(std::string_view text, Place place) const;

 private:
  std::deque<Step> steps_;
};

// Linear but for a stable sort, also where a text is one long run of combining marks.
std::string to_unicode_form(std::string_view text, UnicodeForm form);

}  // namespace tq::models::text
