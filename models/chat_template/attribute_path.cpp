#include "models/chat_template/attribute_path.h"

#include <algorithm>

#include "models/chat_template/numbers.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

AttributePath::AttributePath(Runtime& rt, const Value* attribute) {
  if (attribute == nullptr || attribute->is_none()) return;
  if (!attribute->is_str()) {
    parts_.push_back(*attribute);
    return;
  }
  for (std::string_view part : split_by(attribute->text(), ".", -1)) {
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    Int index = 0;
    if (number && parse_python_int(part, 10, index) == ParseNumber::kOk)
      parts_.push_back(Value(index));
    else
      parts_.push_back(rt.str_view(part));
  }
}

Value AttributePath::get(Runtime& rt, const Value& item, const Value* fallback) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = get_item(rt, value, part);
    if (value.is_undefined() && fallback != nullptr && !fallback->is_none()) value = *fallback;
  }
  return value;
}

std::vector<AttributePath> AttributePath::split(Runtime& rt, const Value* attributes) {
  std::vector<AttributePath> paths;
  if (attributes == nullptr || !attributes->is_str()) {
    paths.emplace_back(rt, attributes);
    return paths;
  }
  for (std::string_view one : split_by(attributes->text(), ",", -1)) {
    const Value name = rt.str_view(one);
    paths.emplace_back(rt, &name);
  }
  return paths;
}

Value sort_key(Runtime& rt, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_str()) return value;
  return rt.str(to_lower(value.text()));
}

}  // namespace tq::models::jinja
