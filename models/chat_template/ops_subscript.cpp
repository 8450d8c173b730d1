// Length, iteration, subscripts, attributes, slices and dictionaries.

#include <algorithm>

#include "models/chat_template/methods.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kStr:
    case Kind::kDict:
    case Kind::kLoop: return true;
    case Kind::kSeq: return !value.is_seq(SeqType::kGenerator);
    default: return false;
  }
}

Int length(Runtime& rt, const Value& value) {
  if (!has_length(value))
    rt.fail("object of type '" + std::string(type_name(value)) + "' has no len()");
  switch (value.kind()) {
    case Kind::kStr: return static_cast<Int>(value.str().n_chars);
    case Kind::kDict: return static_cast<Int>(value.dict().items.size());
    case Kind::kLoop: return static_cast<Int>(value.loop().length());
    case Kind::kSeq: return static_cast<Int>(value.seq().items.size());
    default: return 0;
  }
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_str() || value.is(Kind::kSeq) || value.is(Kind::kDict) ||
         value.is(Kind::kLoop);
}

namespace {

std::vector<Value> characters(Runtime& rt, std::string_view text) {
  std::vector<Value> items;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    next_char(text, at);
    items.push_back(rt.str_view(text.substr(start, at - start)));
  }
  return items;
}

}  // namespace

Seq& iterate(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return rt.list({}).seq();
    case Kind::kStr: return rt.list(characters(rt, value.text())).seq();
    case Kind::kDict: {
      std::vector<Value> keys;
      for (const auto& item : value.dict().items) keys.push_back(item.first);
      return rt.list(std::move(keys)).seq();
    }
    case Kind::kSeq: {
      Seq& seq = value.seq();
      if (seq.type != SeqType::kGenerator) return seq;
      std::vector<Value> rest(seq.items.begin() + static_cast<std::ptrdiff_t>(seq.taken),
                              seq.items.end());
      seq.taken = seq.items.size();
      return rt.list(std::move(rest)).seq();
    }
    case Kind::kLoop: rt.fail("a chat template cannot iterate over 'loop'");
    default: rt.fail("'" + std::string(type_name(value)) + "' object is not iterable");
  }
}

const Value* dict_find(Runtime& rt, const Dict& dict, const Value& key) {
  if (key.is_str()) return dict_find(rt, dict, key.text());
  rt.charge(1 + dict.items.size() / 8);
  for (const auto& [held, value] : dict.items)
    if (!held.is_str() && equal(rt, held, key)) return &value;
  return nullptr;
}

const Value* dict_find(Runtime& rt, const Dict& dict, std::string_view key) {
  rt.charge(1 + dict.items.size() / 8);
  for (const auto& [held, value] : dict.items)
    if (held.is_str() && held.text() == key) return &value;
  return nullptr;
}

void check_hashable(Runtime& rt, const Value& key) {
  if (key.is(Kind::kDict) || key.is_seq(SeqType::kList))
    rt.fail("unhashable type: '" + std::string(type_name(key)) + "'");
  if (!key.is_seq(SeqType::kTuple)) return;
  for (const Value& item : key.seq().items) check_hashable(rt, item);
}

void dict_set(Runtime& rt, Dict& dict, const Value& key, const Value& value) {
  check_hashable(rt, key);
  rt.charge(1 + dict.items.size() / 8);
  for (auto& [held_key, held] : dict.items) {
    if (!equal(rt, held_key, key)) continue;
    held = value;
    return;
  }
  dict.items.emplace_back(key, value);
}

namespace {

// How jinja2 names the owner of a missing attribute.
std::string owner_name(const Value& value) {
  if (value.is_none()) return "None";
  return std::string(type_name(value)) + " object";
}

Value missing(Runtime& rt, const Value& owner, const Value& name) {
  if (name.is_str())
    return rt.undefined(quoted(owner_name(owner)) + " has no attribute " + quoted(name.text()));
  return rt.undefined(owner_name(owner) + " has no element " + repr(rt, name));
}

Value missing_attribute(Runtime& rt, const Value& owner, std::string_view name) {
  return rt.undefined(quoted(owner_name(owner)) + " has no attribute " + quoted(name));
}

Value char_at(Runtime& rt, const Str& text, size_t char_idx) {
  const bool ascii = text.n_chars == text.text.size();
  if (!ascii) rt.charge_bytes(text.text.size());
  size_t at = ascii ? char_idx : byte_of_char(text.text, char_idx);
  const size_t start = at;
  next_char(text.text, at);
  return rt.str_view(text.text.substr(start, at - start));
}

// value[i] for the types that Python can index by integer; missing where it raises.
Value item_at(Runtime& rt, const Value& value, const Value& index) {
  const bool indexable = value.is_str() || value.is_seq(SeqType::kList) ||
                         value.is_seq(SeqType::kTuple) || value.is_seq(SeqType::kRange);
  if (!indexable || !index.is_integral()) return missing(rt, value, index);
  const Int n = length(rt, value);
  Int i = index.integer();
  if (i < 0) i += n;
  if (i < 0 || i >= n) return missing(rt, value, index);
  const size_t at = static_cast<size_t>(i);
  if (!value.is_str()) return value.seq().items[at];
  const Value made = char_at(rt, value.str(), at);
  return value.str().markup ? rt.as_markup(made) : made;
}

}  // namespace

Value get_item(Runtime& rt, const Value& value, const Value& index) {
  if (value.is_undefined()) fail_undefined(rt, value);
  if (value.is(Kind::kDict)) {
    if (const Value* held = dict_find(rt, value.dict(), index)) return *held;
  }
  if (!index.is_str()) return item_at(rt, value, index);
  Value attribute;
  if (find_attribute(rt, value, index.text(), attribute)) return attribute;
  return missing(rt, value, index);
}

Value get_attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is_undefined()) fail_undefined(rt, value);
  Value attribute;
  if (find_attribute(rt, value, name, attribute)) return attribute;
  if (value.is(Kind::kDict)) {
    if (const Value* held = dict_find(rt, value.dict(), name)) return *held;
  }
  return missing_attribute(rt, value, name);
}

Int as_index(Runtime& rt, const Value& value, std::string_view what) {
  if (value.is_undefined()) fail_undefined(rt, value);
  if (!value.is_integral())
    rt.fail(std::string(what) + " must be an integer, not '" + std::string(type_name(value)) + "'");
  return value.integer();
}

namespace {

struct SliceBounds {
  Int start;
  Int stop;
  Int step;
};

// PySlice_Unpack and PySlice_AdjustIndices for a sequence of n items.
SliceBounds slice_bounds(
    Runtime& rt, Int n, const Value& start, const Value& stop, const Value& step) {
  SliceBounds bounds{};
  bounds.step = step.is_none() ? Int{1} : as_index(rt, step, "a slice index");
  if (bounds.step == 0) rt.fail("slice step cannot be zero");
  bounds.step = std::clamp(bounds.step, -(Int{1} << 60), Int{1} << 60);  // sums stay in range
  const bool forward = bounds.step > 0;
  const auto clamp = [&](const Value& value, Int missing_value) {
    if (value.is_none()) return missing_value;
    Int i = as_index(rt, value, "a slice index");
    if (i < 0) i += n;
    return std::clamp(i, forward ? Int{0} : Int{-1}, forward ? n : n - 1);
  };
  bounds.start = clamp(start, forward ? Int{0} : n - 1);
  bounds.stop = clamp(stop, forward ? n : Int{-1});
  return bounds;
}

Value slice_str(Runtime& rt, const Str& text, const SliceBounds& bounds) {
  rt.charge_bytes(text.text.size());
  const bool ascii = text.n_chars == text.text.size();
  if (bounds.step == 1) {
    if (bounds.start >= bounds.stop) return rt.str_view({});
    const auto start = static_cast<size_t>(bounds.start);
    const auto n = static_cast<size_t>(bounds.stop - bounds.start);
    if (ascii) return rt.str_view(text.text.substr(start, n));
    const std::string_view rest = text.text.substr(byte_of_char(text.text, start));
    return rt.str_view(rest.substr(0, byte_of_char(rest, n)));
  }
  const std::u32string chars = decode(text.text);
  std::string out;
  for (Int i = bounds.start; bounds.step > 0 ? i < bounds.stop : i > bounds.stop; i += bounds.step)
    append_char(out, chars[static_cast<size_t>(i)]);
  return rt.str(std::move(out));
}

}  // namespace

Value slice(
    Runtime& rt, const Value& value, const Value& start, const Value& stop, const Value& step) {
  if (value.is_undefined()) fail_undefined(rt, value);
  const bool sliceable = value.is_str() || value.is_seq(SeqType::kList) ||
                         value.is_seq(SeqType::kTuple) || value.is_seq(SeqType::kRange);
  if (!sliceable) rt.fail("'" + std::string(type_name(value)) + "' object is not subscriptable");
  const SliceBounds bounds = slice_bounds(rt, length(rt, value), start, stop, step);
  if (value.is_str()) {
    const Value made = slice_str(rt, value.str(), bounds);
    return value.str().markup ? rt.as_markup(made) : made;
  }
  const Seq& seq = value.seq();
  std::vector<Value> items;
  for (Int i = bounds.start; bounds.step > 0 ? i < bounds.stop : i > bounds.stop; i += bounds.step)
    items.push_back(seq.items[static_cast<size_t>(i)]);
  const Value made = rt.seq(seq.type, std::move(items));
  made.seq().appendable = seq.type == SeqType::kList;
  made.seq().range[0] = seq.range[0] + bounds.start * seq.range[2];
  made.seq().range[1] = seq.range[0] + bounds.stop * seq.range[2];
  made.seq().range[2] = seq.range[2] * bounds.step;
  return made;
}

}  // namespace tq::models::jinja
