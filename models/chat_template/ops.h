#pragma once
// Operators of Python on Values: truth, equality, order, text form, arithmetic, subscripts,
// iteration. They charge the Runtime's budget and throw TemplateError where Python would raise. One
// render's thread.

#include <string>
#include <string_view>

#include "models/chat_template/runtime.h"
#include "models/chat_template/value.h"

namespace tq::models::jinja {

enum class CompareOp { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };
enum class BinaryOp { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };

std::string_view type_name(const Value& value);  // "str", "dict", "NoneType", "Undefined", ...

// Throws the value's undefined message; for operations that undefined does not support.
[[noreturn]] void fail_undefined(Runtime& rt, const Value& value);

bool truthy(const Value& value);
bool equal(Runtime& rt, const Value& a, const Value& b);
int order(Runtime& rt, const Value& a, const Value& b, std::string_view op);  // -1, 0, 1; 2: NaN
bool less(Runtime& rt, const Value& a, const Value& b);
bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b);
bool contains(Runtime& rt, const Value& container, const Value& item);

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b);
Value negate(Runtime& rt, const Value& value);
Value plus(Runtime& rt, const Value& value);

// str(value) and repr(value), appended; bounded by limits::kTemplateOutputBytesMax.
void append_str(Runtime& rt, std::string& out, const Value& value);
void append_repr(Runtime& rt, std::string& out, const Value& value);
std::string to_string(Runtime& rt, const Value& value);
std::string repr(Runtime& rt, const Value& value);
Value as_str(Runtime& rt, const Value& value);  // the value itself when it is a str

std::string int_text(Int value);
std::string float_text(double value);       // repr(float)
std::string quoted(std::string_view text);  // repr(str)

bool has_length(const Value& value);
Int length(Runtime& rt, const Value& value);
bool is_iterable(const Value& value);
// The items in order; consumes a generator. Returned by reference into the heap: valid for the
// render.
Seq& iterate(Runtime& rt, const Value& value);

// value[index], value.name: undefined when absent, as jinja2's sandbox resolves them.
Value get_item(Runtime& rt, const Value& value, const Value& index);
Value get_attribute(Runtime& rt, const Value& value, std::string_view name);
Value slice(
    Runtime& rt, const Value& value, const Value& start, const Value& stop, const Value& step);

const Value* dict_find(Runtime& rt, const Dict& dict, const Value& key);
const Value* dict_find(Runtime& rt, const Dict& dict, std::string_view key);
void dict_set(Runtime& rt,
              Dict& dict,
              const Value& key,
              const Value& value);  // unhashable key throws
void check_hashable(Runtime& rt, const Value& key);

// The number as double; exact conversion is not promised beyond 2^53.
double as_double(const Value& value);
// A Python index or count argument: an int or bool, else a TypeError naming `what`.
Int as_index(Runtime& rt, const Value& value, std::string_view what);

}  // namespace tq::models::jinja
