// Methods of str that change or take apart the text. Questions about it are in
// methods_str_query.cpp.

#include "models/chat_template/methods_str.h"

#include <algorithm>
#include <array>

#include "config/limits.h"
#include "models/chat_template/format.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

std::string_view text_arg(Runtime& rt, const Value* given, std::string_view what) {
  if (given->is_undefined()) fail_undefined(rt, *given);
  if (!given->is_str())
    rt.fail(std::string(what) + " must be str, not " + std::string(type_name(*given)));
  return given->text();
}

// markupsafe escapes the arguments of these; no chat template is known to need it.
[[noreturn]] void fail_markup(Runtime& rt, const char* method) {
  rt.fail(std::string(method) + "() on text marked safe is not supported in chat templates");
}

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "str method", args, {});
  return rt.str(Change(self.text()));
}

Value stripped(Runtime& rt, const Value& self, const Args& args, Side side) {
  const auto given = bind(rt, "strip", args, {"chars"});
  if (given[0] == nullptr || given[0]->is_none()) {
    const std::string_view kept = strip(self.text(), side);
    rt.charge_bytes(self.text().size() - kept.size());
    return rt.str_view(kept);
  }
  const std::string_view set = text_arg(rt, given[0], "strip arg");
  rt.charge(self.text().size() * set.size() / 64);
  return rt.str_view(strip(self.text(), set, side));
}

Value strip_both(Runtime& rt, const Value& self, const Args& args) {
  return stripped(rt, self, args, Side::kBoth);
}
Value strip_left(Runtime& rt, const Value& self, const Args& args) {
  return stripped(rt, self, args, Side::kLeft);
}
Value strip_right(Runtime& rt, const Value& self, const Args& args) {
  return stripped(rt, self, args, Side::kRight);
}

Value pieces_list(Runtime& rt, const Pieces& pieces) {
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (std::string_view piece : pieces) items.push_back(rt.str_view(piece));
  const Value made = rt.list(std::move(items));
  made.seq().appendable = true;
  return made;
}

Value split_any(Runtime& rt, const Value& self, const Args& args, bool from_right) {
  const auto given = bind(rt, "split", args, {"sep", "maxsplit"});
  const Int n_max = given[1] != nullptr ? as_index(rt, *given[1], "maxsplit") : Int{-1};
  const auto n = static_cast<int64_t>(std::clamp(n_max, Int{-1}, Int{1} << 40));
  rt.charge_bytes(given[0] == nullptr ? self.text().size() : 0);
  if (given[0] == nullptr || given[0]->is_none())
    return pieces_list(rt, from_right ? rsplit_space(self.text(), n) : split_space(self.text(), n));
  const std::string_view separator = text_arg(rt, given[0], "separator");
  if (separator.empty()) rt.fail("empty separator");
  return pieces_list(
      rt, from_right ? rsplit_by(self.text(), separator, n) : split_by(self.text(), separator, n));
}

Value split(Runtime& rt, const Value& self, const Args& args) {
  return split_any(rt, self, args, false);
}
Value rsplit(Runtime& rt, const Value& self, const Args& args) {
  return split_any(rt, self, args, true);
}

Value splitlines(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "splitlines", args, {"keepends"});
  return pieces_list(rt, split_lines(self.text(), given[0] != nullptr && truthy(*given[0])));
}

Value partition_at(
    Runtime& rt, const Value& self, size_t at, std::string_view separator, bool from_right) {
  const std::string_view text = self.text();
  if (at == std::string_view::npos) {
    const Value empty = rt.str_view("");
    return from_right ? rt.tuple({empty, empty, self}) : rt.tuple({self, empty, empty});
  }
  return rt.tuple({rt.str_view(text.substr(0, at)), rt.str_view(separator),
                   rt.str_view(text.substr(at + separator.size()))});
}

Value partition(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "partition", args, {"sep"}, 1);
  const std::string_view separator = text_arg(rt, given[0], "separator");
  if (separator.empty()) rt.fail("empty separator");
  return partition_at(rt, self, find_text(self.text(), separator, 0), separator, false);
}

Value rpartition(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "rpartition", args, {"sep"}, 1);
  const std::string_view separator = text_arg(rt, given[0], "separator");
  if (separator.empty()) rt.fail("empty separator");
  return partition_at(rt, self, rfind_text(self.text(), separator), separator, true);
}

Value replace(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "replace", args, {"old", "new", "count"}, 2);
  if (self.str().markup) fail_markup(rt, "replace");
  const Int n_max = given[2] != nullptr ? as_index(rt, *given[2], "count") : Int{-1};
  return rt.str(replaced(self.text(), text_arg(rt, given[0], "replace() argument 1"),
                         text_arg(rt, given[1], "replace() argument 2"),
                         static_cast<int64_t>(std::clamp(n_max, Int{-1}, Int{1} << 40)),
                         limits::kTemplateOutputBytesMax));
}

Value join(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "join", args, {"iterable"}, 1);
  if (self.str().markup) fail_markup(rt, "join");
  std::string out;
  size_t n = 0;
  for (const Value& item : iterate(rt, *given[0]).items) {
    if (!item.is_str())
      rt.fail("sequence item " + std::to_string(n) + ": expected str instance, " +
              std::string(type_name(item)) + " found");
    if (n++ > 0) out += self.text();
    append_str(rt, out, item);
  }
  return rt.str(std::move(out));
}

Value format(Runtime& rt, const Value& self, const Args& args) {
  if (self.str().markup) fail_markup(rt, "format");
  return rt.str(brace_format(rt, self.text(), args));
}

Value removeprefix(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "removeprefix", args, {"prefix"}, 1);
  const std::string_view prefix = text_arg(rt, given[0], "removeprefix() argument");
  if (!self.text().starts_with(prefix)) return self;
  return rt.str_view(self.text().substr(prefix.size()));
}

Value removesuffix(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "removesuffix", args, {"suffix"}, 1);
  const std::string_view suffix = text_arg(rt, given[0], "removesuffix() argument");
  if (!self.text().ends_with(suffix)) return self;
  return rt.str_view(self.text().substr(0, self.text().size() - suffix.size()));
}

// left and right: how many fill characters go to each side, given how many are missing and the
// width.
using Sides = std::pair<size_t, size_t> (*)(size_t n_missing, size_t width);

Value padded(Runtime& rt, const Value& self, const Args& args, Sides sides) {
  const auto given = bind(rt, "justification", args, {"width", "fillchar"}, 1);
  const Int width = as_index(rt, *given[0], "width");
  const std::string_view fill = given[1] != nullptr ? text_arg(rt, given[1], "fillchar") : " ";
  if (count_chars(fill) != 1) rt.fail("The fill character must be exactly one character long");
  const Int n_chars = static_cast<Int>(self.str().n_chars);
  if (width <= n_chars) return self;
  rt.check_size(width > static_cast<Int>(limits::kTemplateOutputBytesMax)
                    ? limits::kTemplateOutputBytesMax + 1
                    : static_cast<size_t>(width) * fill.size());
  const auto [left, right] =
      sides(static_cast<size_t>(width - n_chars), static_cast<size_t>(width));
  std::string out;
  for (size_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (size_t i = 0; i < right; ++i) out += fill;
  return rt.str(std::move(out));
}

Value center(Runtime& rt, const Value& self, const Args& args) {
  return padded(rt, self, args, [](size_t n, size_t width) {
    const size_t left = n / 2 + (n & width & 1);  // CPython's choice for odd margins
    return std::pair(left, n - left);
  });
}
Value ljust(Runtime& rt, const Value& self, const Args& args) {
  return padded(rt, self, args, [](size_t n, size_t) { return std::pair(size_t{0}, n); });
}
Value rjust(Runtime& rt, const Value& self, const Args& args) {
  return padded(rt, self, args, [](size_t n, size_t) { return std::pair(n, size_t{0}); });
}

Value zfill(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "zfill", args, {"width"}, 1);
  const Value zero = rt.str_view("0");
  const bool has_sign = self.text().starts_with('-') || self.text().starts_with('+');
  const Value padded_text = rjust(rt, self, {{*given[0], zero}, {}});
  if (!has_sign) return padded_text;
  std::string text(padded_text.text());  // the sign goes in front of the zeros
  std::swap(text[text.size() - self.text().size()], text[0]);
  return rt.str(std::move(text));
}

Value expandtabs(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "expandtabs", args, {"tabsize"});
  const Int tab = given[0] != nullptr ? as_index(rt, *given[0], "tabsize") : Int{8};
  std::string out;
  Int column = 0;
  for (size_t at = 0; at < self.text().size();) {
    const char32_t c = next_char(self.text(), at);
    rt.check_size(out.size());
    if (c == '\t') {
      const Int n = tab > 0 ? tab - column % tab : Int{0};
      rt.check_size(n > 1 << 20 ? limits::kTemplateOutputBytesMax + 1 : 0);
      out.append(static_cast<size_t>(n), ' ');
      column += n;
      continue;
    }
    append_char(out, c);
    column = c == '\n' || c == '\r' ? 0 : column + 1;
  }
  return rt.str(std::move(out));
}

constexpr std::array kMethods = {
    StrMethod{"upper", changed<to_upper>},
    StrMethod{"lower", changed<to_lower>},
    StrMethod{"title", changed<to_title>},
    StrMethod{"capitalize", changed<capitalized>},
    StrMethod{"swapcase", changed<swapped_case>},
    StrMethod{"strip", strip_both},
    StrMethod{"lstrip", strip_left},
    StrMethod{"rstrip", strip_right},
    StrMethod{"split", split},
    StrMethod{"rsplit", rsplit},
    StrMethod{"splitlines", splitlines},
    StrMethod{"partition", partition},
    StrMethod{"rpartition", rpartition},
    StrMethod{"replace", replace},
    StrMethod{"join", join},
    StrMethod{"format", format},
    StrMethod{"removeprefix", removeprefix},
    StrMethod{"removesuffix", removesuffix},
    StrMethod{"center", center},
    StrMethod{"ljust", ljust},
    StrMethod{"rjust", rjust},
    StrMethod{"zfill", zfill},
    StrMethod{"expandtabs", expandtabs},
};

// Python has these too; a template that reaches for one is told so.
constexpr std::array<std::string_view, 5> kUnsupported = {"encode", "translate", "maketrans",
                                                          "format_map", "casefold"};

Value unsupported(Runtime& rt, const Value&, const Args&) {
  rt.fail("this method of str is not supported in chat templates");
}

}  // namespace

NativeFn find_str_method(std::string_view name) {
  for (const StrMethod& method : kMethods)
    if (method.name == name) return method.fn;
  if (const NativeFn query = find_str_query(name)) return query;
  const bool known =
      std::find(kUnsupported.begin(), kUnsupported.end(), name) != kUnsupported.end();
  return known ? unsupported : nullptr;
}

}  // namespace tq::models::jinja
