// Filters that give text. Anything is turned into a str first, as jinja2's soft_str does.

#include <array>

#include "config/limits.h"
#include "models/chat_template/builtins.h"
#include "models/chat_template/format.h"
#include "models/chat_template/json.h"
#include "models/chat_template/methods.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

bool is_markup(const Value& value) { return value.is_str() && value.str().markup; }

// The result of a filter that keeps the mark of its input.
Value like(Runtime& rt, const Value& self, const Value& made) {
  return is_markup(self) ? rt.as_markup(made) : made;
}

Value upper(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "upper", args, {});
  return like(rt, self, rt.str(to_upper(to_string(rt, self))));
}

Value lower(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "lower", args, {});
  return like(rt, self, rt.str(to_lower(to_string(rt, self))));
}

Value capitalize(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "capitalize", args, {});
  return like(rt, self, rt.str(capitalized(to_string(rt, self))));
}

// jinja2 starts words after [-\s({\[<] only, unlike str.title().
Value title(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "title", args, {});
  const std::string text = to_string(rt, self);
  const auto separates = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const bool separator = separates(next_char(text, at));
    const size_t first_end = at;
    for (size_t next = at; at < text.size(); at = next)
      if (separates(next_char(text, next)) != separator) break;
    const std::string_view run = std::string_view(text).substr(start, at - start);
    out += to_upper(run.substr(0, first_end - start));
    out += to_lower(run.substr(first_end - start));
  }
  return rt.str(std::move(out));
}

Value trim(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "trim", args, {"chars"});
  return like(rt, self, find_str_method("strip")(rt, as_str(rt, self), args));
}

Value replace(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "replace", args, {"old", "new", "count"}, 2);
  const bool bounded = given[2] != nullptr && !given[2]->is_none();
  const Int n = bounded ? as_index(rt, *given[2], "count") : Int{-1};
  const std::string text = to_string(rt, self);
  return rt.str(replaced(text, to_string(rt, *given[0]), to_string(rt, *given[1]),
                         static_cast<int64_t>(n), limits::kTemplateOutputBytesMax));
}

Value indent(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "indent", args, {"width", "first", "blank"});
  if (self.is_undefined()) fail_undefined(rt, self);
  if (!self.is_str()) rt.fail("indent() needs a str, not '" + std::string(type_name(self)) + "'");
  std::string step = "    ";
  if (given[0] != nullptr && given[0]->is_str()) {
    step = given[0]->text();
  } else if (given[0] != nullptr) {
    const Int width = as_index(rt, *given[0], "width");
    rt.check_size(width > static_cast<Int>(limits::kTemplateOutputBytesMax)
                      ? limits::kTemplateOutputBytesMax + 1
                      : 0);
    step.assign(width > 0 ? static_cast<size_t>(width) : 0, ' ');
  }
  const bool first = given[1] != nullptr && truthy(*given[1]);
  const bool blank = given[2] != nullptr && truthy(*given[2]);
  const std::string text = std::string(self.text()) + "\n";
  std::string out;
  bool is_first = true;
  for (std::string_view line : split_lines(text, false)) {
    rt.charge(1);
    rt.check_size(out.size());
    if (!is_first) out += "\n";
    if (is_first ? first : blank || !line.empty()) out += step;
    out += line;
    is_first = false;
  }
  return like(rt, self, rt.str(std::move(out)));
}

Value string(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "string", args, {});
  return as_str(rt, self);
}

Value forceescape(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "forceescape", args, {});
  return rt.as_markup(rt.str(html_escaped(to_string(rt, self))));
}

Value escape(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "escape", args, {});
  return is_markup(self) ? self : forceescape(rt, self, args);
}

Value safe(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "safe", args, {});
  return rt.as_markup(as_str(rt, self));
}

Value wordcount(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "wordcount", args, {});
  Int n = 0;
  bool in_word = false;
  const std::string text = to_string(rt, self);
  rt.charge_bytes(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    const bool word = is_alnum(c) || c == '_';
    if (word && !in_word) ++n;
    in_word = word;
  }
  return Value(n);
}

Value center(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "center", args, {"width"});
  const Value width = given[0] != nullptr ? *given[0] : Value(Int{80});
  return like(rt, self, find_str_method("center")(rt, as_str(rt, self), {{width}, {}}));
}

Value format(Runtime& rt, const Value& self, const Args& args) {
  if (!args.positional.empty() && !args.named.empty())
    rt.fail("can't handle positional and keyword arguments at the same time");
  const Value text = as_str(rt, self);
  if (args.named.empty()) return rt.str(printf_format(rt, text.text(), rt.tuple(args.positional)));
  const Value values = rt.dict({});
  for (const auto& [name, value] : args.named) dict_set(rt, values.dict(), rt.str(name), value);
  return rt.str(printf_format(rt, text.text(), values));
}

Value truncate(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "truncate", args, {"length", "killwords", "end", "leeway"});
  if (!self.is_str()) rt.fail("truncate() needs a str, not '" + std::string(type_name(self)) + "'");
  const Int length = given[0] != nullptr ? as_index(rt, *given[0], "length") : Int{255};
  const std::string end = given[2] != nullptr ? to_string(rt, *given[2]) : "...";
  const bool has_leeway = given[3] != nullptr && !given[3]->is_none();
  const Int leeway = has_leeway ? as_index(rt, *given[3], "leeway") : Int{5};
  const Int n_end = static_cast<Int>(count_chars(end));
  if (length < n_end)
    rt.fail("expected length >= " + int_text(n_end) + ", got " + int_text(length));
  if (leeway < 0) rt.fail("expected leeway >= 0, got " + int_text(leeway));
  const Int n_chars = static_cast<Int>(self.str().n_chars);
  if (n_chars <= leeway || n_chars - leeway <= length) return self;
  std::string_view kept =
      self.text().substr(0, byte_of_char(self.text(), static_cast<size_t>(length - n_end)));
  if (given[1] == nullptr || !truthy(*given[1])) kept = rsplit_by(kept, " ", 1).front();
  return rt.str(std::string(kept) + end);
}

Value tojson(Runtime& rt, const Value& self, const Args& args) {
  const auto given =
      bind(rt, "tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = given[0] != nullptr && truthy(*given[0]);
  style.sort_keys = given[3] != nullptr && truthy(*given[3]);
  if (given[1] != nullptr && !given[1]->is_none()) {
    style.indented = true;
    style.item_separator = ",";
    if (given[1]->is_str()) {
      style.indent = given[1]->text();
    } else {
      const Int width = as_index(rt, *given[1], "indent");
      if (width > 1000) rt.fail("tojson: an indent above 1000 is not supported");
      style.indent.assign(width > 0 ? static_cast<size_t>(width) : 0, ' ');
    }
  }
  if (given[2] != nullptr && !given[2]->is_none()) {
    const Seq& separators = iterate(rt, *given[2]);
    if (separators.items.size() != 2 || !separators.items[0].is_str() ||
        !separators.items[1].is_str())
      rt.fail("tojson: separators must be two strings");
    style.item_separator = separators.items[0].text();
    style.key_separator = separators.items[1].text();
  }
  return rt.str(dump_json(rt, self, style));
}

constexpr std::array kFilters = {
    FilterEntry{"upper", upper},
    FilterEntry{"lower", lower},
    FilterEntry{"capitalize", capitalize},
    FilterEntry{"title", title},
    FilterEntry{"trim", trim},
    FilterEntry{"replace", replace},
    FilterEntry{"indent", indent},
    FilterEntry{"string", string},
    FilterEntry{"safe", safe},
    FilterEntry{"escape", escape},
    FilterEntry{"e", escape},
    FilterEntry{"forceescape", forceescape},
    FilterEntry{"wordcount", wordcount},
    FilterEntry{"center", center},
    FilterEntry{"format", format},
    FilterEntry{"truncate", truncate},
    FilterEntry{"tojson", tojson},
};

}  // namespace

FilterTable text_filters() { return {kFilters.data(), kFilters.size()}; }

}  // namespace tq::models::jinja
