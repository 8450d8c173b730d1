// Filters on sequences and mappings.

#include <algorithm>
#include <array>
#include <utility>

#include "config/limits.h"
#include "models/chat_template/attribute_path.h"
#include "models/chat_template/builtins.h"
#include "models/chat_template/methods.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

bool flag(const Value* given) { return given != nullptr && truthy(*given); }

Value count(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "length", args, {});
  return Value(length(rt, self));
}

Value first(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "first", args, {});
  if (self.is_seq(SeqType::kGenerator)) {  // takes one item and leaves the rest
    Seq& seq = self.seq();
    if (seq.taken < seq.items.size()) return seq.items[seq.taken++];
  } else if (const Seq& seq = iterate(rt, self); !seq.items.empty()) {
    return seq.items.front();
  }
  return rt.undefined("No first item, sequence was empty.");
}

Value last(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "last", args, {});
  if (self.is_seq(SeqType::kGenerator)) rt.fail("'generator' object is not reversible");
  const Seq& seq = iterate(rt, self);
  return seq.items.empty() ? rt.undefined("No last item, sequence was empty.") : seq.items.back();
}

Value list(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "list", args, {});
  const Value made = rt.list(iterate(rt, self).items);
  made.seq().appendable = true;
  return made;
}

Value pair(Runtime& rt, const std::pair<Value, Value>& item) {
  return rt.tuple({item.first, item.second});
}

Value items(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "items", args, {});
  if (self.is_undefined()) return rt.generator({});
  if (!self.is(Kind::kDict)) rt.fail("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const auto& item : self.dict().items) pairs.push_back(pair(rt, item));
  return rt.generator(std::move(pairs));
}

struct Keyed {
  std::vector<Value> keys;
  Value item;
};

// Sorts by keys in order; stable in both directions, as sorted(reverse=True) is.
std::vector<Value> sorted(Runtime& rt, std::vector<Keyed> keyed, bool reverse) {
  const auto before = [&rt](const Keyed& a, const Keyed& b) {
    for (size_t i = 0; i < a.keys.size(); ++i)
      if (i + 1 == a.keys.size() || !equal(rt, a.keys[i], b.keys[i]))
        return less(rt, a.keys[i], b.keys[i]);
    return false;
  };
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? before(b, a) : before(a, b);
  });
  std::vector<Value> result;
  result.reserve(keyed.size());
  for (const Keyed& entry : keyed) result.push_back(entry.item);
  return result;
}

Value dictsort(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = given[1] != nullptr ? to_string(rt, *given[1]) : "key";
  if (by != "key" && by != "value") rt.fail("You can only sort by either \"key\" or \"value\"");
  if (self.is_undefined()) fail_undefined(rt, self);
  if (!self.is(Kind::kDict)) rt.fail("dictsort() needs a mapping");
  std::vector<Keyed> keyed;
  for (const auto& item : self.dict().items) {
    const Value& key = by == "key" ? item.first : item.second;
    keyed.push_back({{sort_key(rt, key, flag(given[0]))}, pair(rt, item)});
  }
  return rt.list(sorted(rt, std::move(keyed), flag(given[2])));
}

Value sort(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "sort", args, {"reverse", "case_sensitive", "attribute"});
  const std::vector<AttributePath> paths = AttributePath::split(rt, given[2]);
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(rt, self).items) {
    Keyed entry{{}, item};
    for (const AttributePath& path : paths)
      entry.keys.push_back(sort_key(rt, path.get(rt, item), flag(given[1])));
    keyed.push_back(std::move(entry));
  }
  return rt.list(sorted(rt, std::move(keyed), flag(given[0])));
}

Value unique(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "unique", args, {"case_sensitive", "attribute"});
  const AttributePath path(rt, given[1]);
  std::vector<Value> kept;
  std::vector<Value> seen;
  for (const Value& item : iterate(rt, self).items) {
    const Value key = sort_key(rt, path.get(rt, item), flag(given[0]));
    check_hashable(rt, key);
    const bool known = std::any_of(seen.begin(), seen.end(),
                                   [&](const Value& held) { return equal(rt, held, key); });
    if (known) continue;
    seen.push_back(key);
    kept.push_back(item);
  }
  return rt.generator(std::move(kept));
}

Value extreme(Runtime& rt, const Value& self, const Args& args, bool want_max) {
  const auto given = bind(rt, want_max ? "max" : "min", args, {"case_sensitive", "attribute"});
  const Seq& seq = iterate(rt, self);
  if (seq.items.empty()) return rt.undefined("No aggregated item, sequence was empty.");
  const AttributePath path(rt, given[1]);
  const auto key_of = [&](const Value& item) {
    return sort_key(rt, path.get(rt, item), flag(given[0]));
  };
  Value best = seq.items.front();
  Value best_key = key_of(best);
  for (size_t i = 1; i < seq.items.size(); ++i) {
    const Value key = key_of(seq.items[i]);
    if (!compare(rt, want_max ? CompareOp::kGt : CompareOp::kLt, key, best_key)) continue;
    best = seq.items[i];
    best_key = key;
  }
  return best;
}

Value minimum(Runtime& rt, const Value& self, const Args& args) {
  return extreme(rt, self, args, false);
}

Value maximum(Runtime& rt, const Value& self, const Args& args) {
  return extreme(rt, self, args, true);
}

Value reverse(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "reverse", args, {});
  if (self.is_str()) {
    std::u32string chars = decode(self.text());
    std::reverse(chars.begin(), chars.end());
    return rt.str(encode(chars));
  }
  std::vector<Value> reversed = iterate(rt, self).items;
  std::reverse(reversed.begin(), reversed.end());
  // A generator cannot be reversed in place, so jinja2 makes a list of it.
  return self.is_seq(SeqType::kGenerator) ? rt.list(std::move(reversed))
                                          : rt.generator(std::move(reversed));
}

Value join(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "join", args, {"d", "attribute"});
  const std::string separator = given[0] != nullptr ? to_string(rt, *given[0]) : "";
  const AttributePath path(rt, given[1]);
  std::string out;
  bool is_first = true;
  for (const Value& item : iterate(rt, self).items) {
    if (!is_first) out += separator;
    is_first = false;
    rt.charge_bytes(separator.size());
    append_str(rt, out, path.get(rt, item));
    rt.check_size(out.size());
  }
  return rt.str(std::move(out));
}

Value batch(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "batch", args, {"linecount", "fill_with"}, 1);
  const Int n = as_index(rt, *given[0], "linecount");
  std::vector<Value> batches;
  std::vector<Value> current;
  for (const Value& item : iterate(rt, self).items) {
    if (static_cast<Int>(current.size()) == n) {
      batches.push_back(rt.list(std::move(current)));
      current = {};
    }
    current.push_back(item);
  }
  if (current.empty()) return rt.generator(std::move(batches));
  if (given[1] != nullptr && !given[1]->is_none())
    while (static_cast<Int>(current.size()) < n) {
      rt.charge(1);
      current.push_back(*given[1]);
    }
  batches.push_back(rt.list(std::move(current)));
  return rt.generator(std::move(batches));
}

Value slices(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "slice", args, {"slices", "fill_with"}, 1);
  const Seq& seq = iterate(rt, self);
  const Int n = as_index(rt, *given[0], "slices");
  if (n == 0) rt.fail("integer division or modulo by zero");
  const Int n_items = static_cast<Int>(seq.items.size());
  std::vector<Value> made;
  Int start = 0;
  for (Int i = 0; i < n; ++i) {
    const Int size = n_items / n + (i < n_items % n ? 1 : 0);
    std::vector<Value> part(seq.items.begin() + static_cast<std::ptrdiff_t>(start),
                            seq.items.begin() + static_cast<std::ptrdiff_t>(start + size));
    start += size;
    if (given[1] != nullptr && !given[1]->is_none() && i >= n_items % n) part.push_back(*given[1]);
    made.push_back(rt.list(std::move(part)));
  }
  return rt.generator(std::move(made));
}

Value fallback(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "default", args, {"default_value", "boolean"});
  if (!self.is_undefined() && !(flag(given[1]) && !truthy(self))) return self;
  return given[0] != nullptr ? *given[0] : rt.str_view("");
}

Value attribute(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "attr", args, {"name"}, 1);
  if (!given[0]->is_str()) rt.fail("attribute name must be string");
  if (self.is_undefined()) fail_undefined(rt, self);
  Value found;
  if (find_attribute(rt, self, given[0]->text(), found)) return found;
  return rt.undefined(quoted(std::string(type_name(self)) + " object") + " has no attribute " +
                      quoted(given[0]->text()));
}

constexpr std::array kFilters = {
    FilterEntry{"length", count},      FilterEntry{"count", count}, FilterEntry{"first", first},
    FilterEntry{"last", last},         FilterEntry{"list", list},   FilterEntry{"items", items},
    FilterEntry{"dictsort", dictsort}, FilterEntry{"sort", sort},   FilterEntry{"unique", unique},
    FilterEntry{"min", minimum},       FilterEntry{"max", maximum}, FilterEntry{"reverse", reverse},
    FilterEntry{"join", join},         FilterEntry{"batch", batch}, FilterEntry{"slice", slices},
    FilterEntry{"default", fallback},  FilterEntry{"d", fallback},  FilterEntry{"attr", attribute},
};

}  // namespace

FilterTable sequence_filters() { return {kFilters.data(), kFilters.size()}; }

}  // namespace tq::models::jinja
