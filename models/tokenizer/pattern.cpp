#include "models/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cctype>

namespace tq::models::text {
namespace {

// Unicode White_Space, spelled out: PCRE2's own \s also holds U+180E, which is none since
// Unicode 6.3.
constexpr std::string_view kSpaceSet = R"(\t-\r\x20\x{85}\p{Z})";

// Trailing white space, as some pre-tokenisers cut it off. Unanchored on the left it costs the
// square of a run that does not end the text; the look-behind lets it start at a run's first
// character only, where the leftmost match begins anyway.
constexpr std::string_view kTrailingSpace = R"(\s+$)";
constexpr std::string_view kTrailingSpaceLinear = R"((?<!\s)\s+$)";

struct Translation {
  std::string out;
  bool in_class = false;
  size_t class_begin = 0;  // first character of the open class, after [ or [^
};

Error unsupported(std::string_view what, std::string_view regex, std::string_view where) {
  return Error{Code::kUnsupported,
               std::string(what) + " in the regular expression " + std::string(regex),
               std::string(where)};
}

// The escape at regex[at] == '\\'; gives the index after it.
Result<size_t> translate_escape(std::string_view regex,
                                size_t at,
                                std::string_view where,
                                Translation& state) {
  if (at + 1 >= regex.size()) return unsupported("a lone \\ at the end", regex, where);
  const char kind = regex[at + 1];
  if (kind == 'h' || kind == 'H') return unsupported("\\h (hexadecimal digit)", regex, where);
  if (kind == 's') {
    if (state.in_class) {
      state.out += kSpaceSet;
    } else {
      state.out.append("[").append(kSpaceSet).append("]");
    }
    return at + 2;
  }
  if (kind == 'S' && !state.in_class) {
    state.out.append("[^").append(kSpaceSet).append("]");
    return at + 2;
  }
  if (kind == 'u' && at + 6 <= regex.size()) {
    state.out.append("\\x{").append(regex.substr(at + 2, 4)).append("}");
    return at + 6;
  }
  state.out += regex.substr(at, 2);
  return at + 2;
}

// One plain character inside [...]: what Oniguruma would read as set algebra is refused.
Result<size_t> translate_in_class(std::string_view regex,
                                  size_t at,
                                  std::string_view where,
                                  Translation& state) {
  const char c = regex[at];
  if (c == '&' && regex.substr(at).starts_with("&&")) {
    return unsupported("a set intersection (&&)", regex, where);
  }
  if (c == '[') {
    const size_t close = regex.substr(at).starts_with("[:") ? regex.find(":]", at) : regex.npos;
    if (close == regex.npos) return unsupported("a set inside a set", regex, where);
    state.out += regex.substr(at, close + 2 - at);
    return close + 2;
  }
  if (c == ']' && at != state.class_begin) state.in_class = false;
  state.out += c;
  return at + 1;
}

}  // namespace

Result<std::string> translate_pattern(std::string_view regex, std::string_view where) {
  if (regex == kTrailingSpace) regex = kTrailingSpaceLinear;
  Translation state;
  for (size_t at = 0; at < regex.size();) {
    if (regex[at] == '\\') {
      TQ_ASSIGN(at, translate_escape(regex, at, where, state));
    } else if (state.in_class) {
      TQ_ASSIGN(at, translate_in_class(regex, at, where, state));
    } else {
      if (regex[at] == '[') {
        state.in_class = true;
        if (regex.substr(at).starts_with("[^")) state.out += regex[at++];
        state.class_begin = at + 1;
        state.out += regex[at++];
        continue;
      }
      state.out += regex[at++];
    }
  }
  return std::move(state.out);
}

std::string escape_literal(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::ispunct(static_cast<unsigned char>(c))) out += '\\';
    out += c;
  }
  return out;
}

struct Pattern::Compiled {
  explicit Compiled(pcre2_code* compiled) : pcre(compiled) {}
  ~Compiled() { pcre2_code_free(pcre); }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  pcre2_code* pcre;
};

Result<Pattern> Pattern::compile(std::string_view regex, std::string_view where) {
  TQ_ASSIGN(const std::string translated, translate_pattern(regex, where));
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  TQ_CHECK(context != nullptr, "out of memory");
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // MULTILINE, because ^ and $ are line anchors in Oniguruma's Ruby syntax.
  pcre2_code* compiled = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &offset, context);
  pcre2_compile_context_free(context);
  if (compiled == nullptr) {
    unsigned char reason[256] = {};
    pcre2_get_error_message(code, reason, sizeof reason);
    return Error{
        Code::kInvalidArgument,
        "regular expression " + std::string(regex) + ": " + reinterpret_cast<const char*>(reason),
        std::string(where)};
  }
  // Without JIT support the interpreter runs; the result is the same.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
  return Pattern(std::make_shared<const Compiled>(compiled));
}

void Pattern::find_all(std::string_view text, std::vector<Span>& spans) const {
  spans.clear();
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  TQ_CHECK(match != nullptr, "out of memory");
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t gap_begin = 0;
  size_t from = 0;
  while (from < text.size()) {
    int rc = pcre2_match(code_->pcre, subject, text.size(), from, PCRE2_NO_UTF_CHECK, match.get(),
                         nullptr);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its frames on the heap
      rc = pcre2_match(code_->pcre, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                       match.get(), nullptr);
    }
    if (rc < 0) break;
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[1] <= range[0]) {  // empty: try again one character on
      from = range[0] + 1;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    if (range[0] > gap_begin) spans.push_back({gap_begin, range[0], false});
    spans.push_back({range[0], range[1], true});
    gap_begin = from = range[1];
  }
  if (gap_begin < text.size()) spans.push_back({gap_begin, text.size(), false});
}

}  // namespace tq::models::text
