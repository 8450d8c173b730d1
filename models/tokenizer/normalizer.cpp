#include "models/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "models/tokenizer/utf8.h"

namespace tq::models::text {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;  // clang before 17 deduces no aggregates

utf8proc_propval_t combining_class(utf8proc_int32_t value) {
  return utf8proc_get_property(value)->combining_class;
}

std::vector<utf8proc_int32_t> decompose(std::string_view text, utf8proc_option_t options) {
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  // The longest decomposition of one character has 18 (U+FDFA).
  std::array<utf8proc_int32_t, 32> parts{};
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    int last_class = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.value), parts.data(),
                                           parts.size(), options, &last_class);
    if (n > 0 && n <= static_cast<utf8proc_ssize_t>(parts.size())) {
      points.insert(points.end(), parts.begin(), parts.begin() + n);
    } else {
      points.push_back(static_cast<utf8proc_int32_t>(point.value));
    }
    at += point.n_bytes;
  }
  return points;
}

// Canonical ordering. utf8proc's own is a bubble sort: the square of a run of marks.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  for (size_t at = 0; at < points.size();) {
    if (combining_class(points[at]) == 0) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < points.size() && combining_class(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<std::ptrdiff_t>(at),
                     points.begin() + static_cast<std::ptrdiff_t>(end),
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (point.value == 0x130) {  // the one character whose lower case is two
      out += "i\xCC\x87";
    } else {
      append_utf8(
          out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point.value))));
    }
    at += point.n_bytes;
  }
  return out;
}

std::string replace_all(std::string_view text, const Replace& step) {
  std::vector<Span> spans;
  step.pattern.find_all(text, spans);
  std::string out;
  for (const Span& span : spans) {
    if (span.is_match) {
      out += step.replacement;
    } else {
      out += text.substr(span.begin, span.end - span.begin);
    }
  }
  return out;
}

}  // namespace

std::string to_unicode_form(std::string_view text, UnicodeForm form) {
  if (is_ascii(text)) return std::string(text);
  int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (form.compatibility) options |= UTF8PROC_COMPAT;
  std::vector<utf8proc_int32_t> points = decompose(text, static_cast<utf8proc_option_t>(options));
  order_marks(points);
  auto n = static_cast<utf8proc_ssize_t>(points.size());
  if (form.compose) {
    const auto compose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    n = utf8proc_normalize_utf32(points.data(), n, compose);
    TQ_CHECK(n >= 0, "composing code points cannot fail", n);
  }
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    append_utf8(out, static_cast<char32_t>(points[static_cast<size_t>(i)]));
  }
  return out;
}

std::string Normalizer::apply(std::string_view text, Place place) const {
  std::string out(text);
  for (const Step& step : steps_) {
    std::visit(Overloaded{
                   [&](UnicodeForm form) { out = to_unicode_form(out, form); },
                   [&](Lowercase) { out = lowercase(out); },
                   [&](const Prepend& prepend) {
                     if (!out.empty() && place != Place::kAfterByte) {
                       out.insert(0, prepend.prefix);
                     }
                   },
                   [&](const Replace& replace) { out = replace_all(out, replace); },
                   [&](StripSpace strip) {
                     if (strip.right) out.resize(out.size() - space_suffix_bytes(out));
                     if (strip.left) out.erase(0, space_prefix_bytes(out));
                   },
               },
               step);
  }
  return out;
}

}  // namespace tq::models::text
