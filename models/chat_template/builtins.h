#pragma once
// The names a template finds without defining them: filters, tests and global functions. Tables are
// constant; the functions run on one render's thread.

#include <string_view>

#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

using FilterFn = NativeFn;  // self is the filtered value
using TestFn = bool (*)(Runtime&, const Value& self, const Args&);

FilterFn find_filter(std::string_view name);  // null when there is none
TestFn find_test(std::string_view name);      // null when there is none
bool find_global(Runtime& rt, std::string_view name, Value& out);

// One table per file of filters; find_filter looks through all of them.
struct FilterEntry {
  std::string_view name;
  FilterFn fn;
};
struct FilterTable {
  const FilterEntry* entries;
  size_t n_entries;
};
FilterTable text_filters();
FilterTable number_filters();
FilterTable sequence_filters();
FilterTable selection_filters();

}  // namespace tq::models::jinja
