#pragma once
// Place: where a stretch of plain text lies, which decides who puts a space in front of it. A
// value.

namespace tq::models::text {

enum class Place {
  kTextStart,   // the caller's text begins here
  kAfterToken,  // an added token ends here; to most tokenizers the text begins anew
  kAfterByte,   // a stray byte lies before it: no beginning at all
};

}  // namespace tq::models::text
