#pragma once
// AttributePath: the `attribute` argument of map, sort, sum ...: "a.b.0", an integer, or nothing
// (the item itself). One render's thread.

#include <vector>

#include "models/chat_template/runtime.h"

namespace tq::models::jinja {

class AttributePath {
 public:
  AttributePath(Runtime& rt, const Value* attribute);  // null or None: the item itself

  // A missing part gives `fallback` when there is one.
  Value get(Runtime& rt, const Value& item, const Value* fallback = nullptr) const;

  // "age,name" is two paths.
  static std::vector<AttributePath> split(Runtime& rt, const Value* attributes);

 private:
  std::vector<Value> parts_;
};

// The value sorted and compared by: text in lower case unless case matters.
Value sort_key(Runtime& rt, const Value& value, bool case_sensitive);

}  // namespace tq::models::jinja
