// Methods of str that answer a question about the text.

#include <algorithm>
#include <array>

#include "models/chat_template/methods_str.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

// The part of the text between the optional start and end arguments, which count characters as
// slices do.
struct Window {
  std::string_view text;
  size_t first_char = 0;
  bool valid = true;  // false: start lies beyond the end, where nothing matches
};

Window window(Runtime& rt, const Value& self, const Value* start, const Value* end) {
  if (start == nullptr && end == nullptr) return {self.text(), 0, true};
  const Int n = static_cast<Int>(self.str().n_chars);
  const auto bound = [&](const Value* value, Int absent) {
    if (value == nullptr || value->is_none()) return absent;
    const Int i = as_index(rt, *value, "a slice index");
    return i < 0 ? std::max(i + n, Int{0}) : i;
  };
  const Int first = bound(start, 0);
  const Int stop = std::min(bound(end, n), n);
  Window result;
  result.valid = first <= stop;
  if (!result.valid) return result;
  rt.charge_bytes(self.text().size());
  result.first_char = static_cast<size_t>(first);
  const std::string_view rest = self.text().substr(byte_of_char(self.text(), result.first_char));
  result.text = rest.substr(0, byte_of_char(rest, static_cast<size_t>(stop - first)));
  return result;
}

Int find_in(Runtime& rt, const Value& self, const Args& args, bool from_right) {
  const auto given = bind(rt, "find", args, {"sub", "start", "end"}, 1);
  if (given[0]->is_undefined()) fail_undefined(rt, *given[0]);
  if (!given[0]->is_str()) rt.fail("must be str, not " + std::string(type_name(*given[0])));
  const Window where = window(rt, self, given[1], given[2]);
  if (!where.valid) return -1;
  const size_t at = from_right ? rfind_text(where.text, given[0]->text())
                               : find_text(where.text, given[0]->text(), 0);
  if (at == std::string_view::npos) return -1;
  return Int{where.first_char} + Int{count_chars(where.text.substr(0, at))};
}

Value find(Runtime& rt, const Value& self, const Args& args) {
  return Value(find_in(rt, self, args, false));
}
Value rfind(Runtime& rt, const Value& self, const Args& args) {
  return Value(find_in(rt, self, args, true));
}

Value index_in(Runtime& rt, const Value& self, const Args& args, bool from_right) {
  const Int at = find_in(rt, self, args, from_right);
  if (at < 0) rt.fail("substring not found");
  return Value(at);
}
Value index(Runtime& rt, const Value& self, const Args& args) {
  return index_in(rt, self, args, false);
}
Value rindex(Runtime& rt, const Value& self, const Args& args) {
  return index_in(rt, self, args, true);
}

Value count(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "count", args, {"sub", "start", "end"}, 1);
  if (!given[0]->is_str()) rt.fail("must be str, not " + std::string(type_name(*given[0])));
  const Window where = window(rt, self, given[1], given[2]);
  return Value(where.valid ? static_cast<Int>(count_matches(where.text, given[0]->text()))
                           : Int{0});
}

// startswith and endswith take a str or a tuple of them.
Value matches_edge(Runtime& rt, const Value& self, const Args& args, bool at_start) {
  const char* name = at_start ? "startswith" : "endswith";
  const auto given = bind(rt, name, args, {"prefix", "start", "end"}, 1);
  const Window where = window(rt, self, given[1], given[2]);
  const auto matches = [&](const Value& wanted) {
    if (!wanted.is_str())
      rt.fail(std::string(name) + " first arg must be str or a tuple of str, not " +
              std::string(type_name(wanted)));
    if (!where.valid) return false;
    rt.charge_scan(wanted);
    return at_start ? where.text.starts_with(wanted.text()) : where.text.ends_with(wanted.text());
  };
  if (!given[0]->is_seq(SeqType::kTuple)) return Value(matches(*given[0]));
  const auto& wanted = given[0]->seq().items;
  return Value(std::any_of(wanted.begin(), wanted.end(), matches));
}

Value startswith(Runtime& rt, const Value& self, const Args& args) {
  return matches_edge(rt, self, args, true);
}
Value endswith(Runtime& rt, const Value& self, const Args& args) {
  return matches_edge(rt, self, args, false);
}

// True when the text is not empty and every character is of the class.
template <bool (*Class)(char32_t)>
Value all_of(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "str method", args, {});
  rt.charge_bytes(self.text().size());
  for (size_t at = 0; at < self.text().size();)
    if (!Class(next_char(self.text(), at))) return Value(false);
  return Value(!self.text().empty());
}

// True when there is a cased character and all of them are `wanted`.
Value has_case(Runtime& rt, std::string_view text, bool wants_upper) {
  rt.charge_bytes(text.size());
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (wants_upper ? is_lower(c) : is_upper(c)) return Value(false);
    cased |= wants_upper ? is_upper(c) : is_lower(c);
  }
  return Value(cased);
}

Value isupper(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "isupper", args, {});
  return has_case(rt, self.text(), true);
}
Value islower(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "islower", args, {});
  return has_case(rt, self.text(), false);
}

Value istitle(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "istitle", args, {});
  rt.charge_bytes(self.text().size());
  bool cased = false;
  bool in_word = false;
  for (size_t at = 0; at < self.text().size();) {
    const char32_t c = next_char(self.text(), at);
    if (is_upper(c) ? in_word : is_lower(c) && !in_word) return Value(false);
    in_word = is_upper(c) || is_lower(c);
    cased |= in_word;
  }
  return Value(cased);
}

Value isascii(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "isascii", args, {});
  return Value(is_ascii(self.text()));
}

Value isprintable(Runtime& rt, const Value& self, const Args& args) {
  return self.text().empty() ? Value(true) : all_of<is_printable>(rt, self, args);
}

bool is_name_char(char32_t c) { return is_alnum(c) || c == '_'; }

Value isidentifier(Runtime& rt, const Value& self, const Args& args) {
  if (self.text().empty()) return Value(false);
  size_t at = 0;
  const char32_t first = next_char(self.text(), at);
  return is_alpha(first) || first == '_' ? all_of<is_name_char>(rt, self, args) : Value(false);
}

constexpr std::array kQueries = {
    StrMethod{"find", find},
    StrMethod{"rfind", rfind},
    StrMethod{"index", index},
    StrMethod{"rindex", rindex},
    StrMethod{"count", count},
    StrMethod{"startswith", startswith},
    StrMethod{"endswith", endswith},
    StrMethod{"isalpha", all_of<is_alpha>},
    StrMethod{"isalnum", all_of<is_alnum>},
    StrMethod{"isdigit", all_of<is_digit>},
    StrMethod{"isdecimal", all_of<is_decimal>},
    StrMethod{"isnumeric", all_of<is_numeric>},
    StrMethod{"isspace", all_of<is_space>},
    StrMethod{"isupper", isupper},
    StrMethod{"islower", islower},
    StrMethod{"istitle", istitle},
    StrMethod{"isascii", isascii},
    StrMethod{"isprintable", isprintable},
    StrMethod{"isidentifier", isidentifier},
};

}  // namespace

NativeFn find_str_query(std::string_view name) {
  for (const StrMethod& method : kQueries)
    if (method.name == name) return method.fn;
  return nullptr;
}

}  // namespace tq::models::jinja
