// map, select, reject, selectattr and rejectattr; and find_filter, which looks through all tables.
// They give generators, which are filled at once here: only an error inside them shows the
// difference.

#include <array>

#include "models/chat_template/attribute_path.h"
#include "models/chat_template/builtins.h"
#include "models/chat_template/ops.h"

namespace tq::models::jinja {

namespace {

Args without_first(const Args& args, size_t n) {
  Args rest;
  rest.named = args.named;
  if (args.positional.size() > n)
    rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(n),
                           args.positional.end());
  return rest;
}

std::string name_of(Runtime& rt, const Value& value, const char* what) {
  if (!value.is_str()) rt.fail(std::string("the name of a ") + what + " must be a string");
  return std::string(value.text());
}

Value map_attribute(Runtime& rt, const Value& self, const Args& args) {
  const auto given = bind(rt, "map", args, {"attribute", "default"});
  const AttributePath path(rt, given[0]);
  std::vector<Value> mapped;
  for (const Value& item : iterate(rt, self).items) mapped.push_back(path.get(rt, item, given[1]));
  return rt.generator(std::move(mapped));
}

Value map(Runtime& rt, const Value& self, const Args& args) {
  if (!truthy(self)) return rt.generator({});
  bool has_attribute = false;
  for (const auto& named : args.named) has_attribute |= named.first == "attribute";
  if (args.positional.empty() && has_attribute) return map_attribute(rt, self, args);
  if (args.positional.empty()) rt.fail("map requires a filter argument");
  const std::string name = name_of(rt, args.positional[0], "filter");
  const FilterFn filter = find_filter(name);
  if (filter == nullptr) rt.fail("No filter named " + quoted(name) + ".");
  const Args rest = without_first(args, 1);
  std::vector<Value> mapped;
  for (const Value& item : iterate(rt, self).items) {
    rt.charge_scan(item);
    mapped.push_back(filter(rt, item, rest));
  }
  return rt.generator(std::move(mapped));
}

Value select_if(Runtime& rt, const Value& self, const Args& args, bool by_attribute, bool wanted) {
  if (!truthy(self)) return rt.generator({});
  const size_t n_skipped = by_attribute ? 1 : 0;
  if (args.positional.size() < n_skipped) rt.fail("Missing parameter for attribute name");
  const AttributePath path(rt, by_attribute ? &args.positional[0] : nullptr);
  TestFn test = nullptr;
  if (args.positional.size() > n_skipped) {
    const std::string name = name_of(rt, args.positional[n_skipped], "test");
    test = find_test(name);
    if (test == nullptr) rt.fail("No test named " + quoted(name) + ".");
  }
  const Args rest = without_first(args, n_skipped + 1);
  std::vector<Value> kept;
  for (const Value& item : iterate(rt, self).items) {
    const Value value = path.get(rt, item);
    rt.charge_scan(value);
    if ((test != nullptr ? test(rt, value, rest) : truthy(value)) == wanted) kept.push_back(item);
  }
  return rt.generator(std::move(kept));
}

Value select(Runtime& rt, const Value& self, const Args& args) {
  return select_if(rt, self, args, false, true);
}
Value reject(Runtime& rt, const Value& self, const Args& args) {
  return select_if(rt, self, args, false, false);
}
Value selectattr(Runtime& rt, const Value& self, const Args& args) {
  return select_if(rt, self, args, true, true);
}
Value rejectattr(Runtime& rt, const Value& self, const Args& args) {
  return select_if(rt, self, args, true, false);
}

constexpr std::array kFilters = {
    FilterEntry{"map", map},
    FilterEntry{"select", select},
    FilterEntry{"reject", reject},
    FilterEntry{"selectattr", selectattr},
    FilterEntry{"rejectattr", rejectattr},
};

}  // namespace

FilterTable selection_filters() { return {kFilters.data(), kFilters.size()}; }

FilterFn find_filter(std::string_view name) {
  for (const FilterTable& table :
       {text_filters(), number_filters(), sequence_filters(), selection_filters()})
    for (size_t i = 0; i < table.n_entries; ++i)
      if (table.entries[i].name == name) return table.entries[i].fn;
  return nullptr;
}

}  // namespace tq::models::jinja
