#pragma once
// Pattern: one compiled pre-tokeniser regex (PCRE2, UTF and Unicode properties, JIT). Immutable
// after compile(); find_all() may run on any thread at once.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"

namespace tq::models::text {

struct Span {
  size_t begin = 0;
  size_t end = 0;
  bool is_match = false;
};

class Pattern {
 public:
  // Tokenizer files hold Oniguruma syntax; what PCRE2 would read differently is rewritten, or
  // refused with kUnsupported. `where` names the field in errors.
  static Result<Pattern> compile(std::string_view regex, std::string_view where);

  // `text`, well-formed UTF-8, as alternating gaps and matches that cover it; empty matches are
  // skipped. A text on which PCRE2 gives up (its match limit) stays whole from there on.
  void find_all(std::string_view text, std::vector<Span>& spans) const;

 private:
  struct Compiled;
  explicit Pattern(std::shared_ptr<const Compiled> code) : code_(std::move(code)) {}

  std::shared_ptr<const Compiled> code_;
};

// Oniguruma (Ruby syntax) to PCRE2; compile() calls it.
Result<std::string> translate_pattern(std::string_view regex, std::string_view where);

// `literal` as a regex that matches exactly it.
std::string escape_literal(std::string_view literal);

}  // namespace tq::models::text
