// Typed access to GGUF metadata. Lengths were checked by GgufFile::parse().

#include <cmath>
#include <cstring>
#include <limits>

#include "models/weights/gguf.h"

namespace tq::models {
namespace {

template <class T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

struct Integer {
  bool ok = false;
  int64_t value = 0;
};

// Element `index` as an integer; not ok where the type is none or a u64 exceeds int64.
Integer integer_at(const GgufValue& value, uint64_t index) noexcept {
  const std::byte* base = value.payload.data();
  switch (value.element) {
    case GgufType::kU8: return {true, load<uint8_t>(base + index)};
    case GgufType::kI8: return {true, load<int8_t>(base + index)};
    case GgufType::kU16: return {true, load<uint16_t>(base + 2 * index)};
    case GgufType::kI16: return {true, load<int16_t>(base + 2 * index)};
    case GgufType::kU32: return {true, load<uint32_t>(base + 4 * index)};
    case GgufType::kI32: return {true, load<int32_t>(base + 4 * index)};
    case GgufType::kI64: return {true, load<int64_t>(base + 8 * index)};
    case GgufType::kU64: {
      const uint64_t wide = load<uint64_t>(base + 8 * index);
      return {wide <= static_cast<uint64_t>(INT64_MAX), static_cast<int64_t>(wide)};
    }
    default: return {};
  }
}

struct Number {
  bool ok = false;
  double value = 0;
};

Number number_at(const GgufValue& value, uint64_t index) noexcept {
  const std::byte* base = value.payload.data();
  if (value.element == GgufType::kF32) return {true, load<float>(base + 4 * index)};
  if (value.element == GgufType::kF64) return {true, load<double>(base + 8 * index)};
  const Integer integer = integer_at(value, index);
  return {integer.ok, static_cast<double>(integer.value)};
}

}  // namespace

std::string_view to_string(GgufType type) noexcept {
  switch (type) {
    case GgufType::kU8: return "u8";
    case GgufType::kI8: return "i8";
    case GgufType::kU16: return "u16";
    case GgufType::kI16: return "i16";
    case GgufType::kU32: return "u32";
    case GgufType::kI32: return "i32";
    case GgufType::kF32: return "f32";
    case GgufType::kBool: return "bool";
    case GgufType::kString: return "string";
    case GgufType::kArray: return "array";
    case GgufType::kU64: return "u64";
    case GgufType::kI64: return "i64";
    case GgufType::kF64: return "f64";
  }
  return "?";
}

std::string shown(std::string_view name) {
  constexpr size_t kShown = 80;
  constexpr char kHex[] = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : name.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text + (name.size() > kShown ? "…\"" : "\"");
}

Error GgufFile::wrong(std::string_view key,
                      const GgufValue& value,
                      std::string_view expected) const {
  return Error{Code::kCorrupt,
               "metadata key " + shown(key) + " at byte " + std::to_string(value.offset) +
                   " must be " + std::string(expected) + ", it is " +
                   (value.is_array ? "an array of " : "") + std::string(to_string(value.element)),
               path_};
}

Result<const GgufValue*> GgufFile::look_up(std::string_view key, bool array) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) {
    return Error{Code::kNotFound, "metadata key " + shown(key) + " is missing", path_};
  }
  const GgufValue& value = found->second;
  if (value.is_array != array) return wrong(key, value, array ? "an array" : "a single value");
  return &value;
}

Result<int64_t> GgufFile::get_int(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, false));
  const Integer integer = integer_at(*value, 0);
  if (!integer.ok) return wrong(key, *value, "an integer below 2^63");
  return integer.value;
}

Result<double> GgufFile::get_float(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, false));
  const Number number = number_at(*value, 0);
  if (!number.ok || !std::isfinite(number.value)) return wrong(key, *value, "a finite number");
  return number.value;
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, false));
  if (value->element != GgufType::kBool) return wrong(key, *value, "a bool");
  return load<uint8_t>(value->payload.data()) != 0;
}

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, false));
  if (value->element != GgufType::kString) return wrong(key, *value, "a string");
  const std::byte* text = value->payload.data() + sizeof(uint64_t);
  return std::string_view(reinterpret_cast<const char*>(text),
                          value->payload.size() - sizeof(uint64_t));
}

Result<std::vector<std::string_view>> GgufFile::get_strings(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, true));
  if (value->element != GgufType::kString) return wrong(key, *value, "an array of strings");
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  const std::byte* at = value->payload.data();
  for (uint64_t i = 0; i < value->count; ++i) {
    const uint64_t length = load<uint64_t>(at);
    strings.emplace_back(reinterpret_cast<const char*>(at + sizeof(uint64_t)), length);
    at += sizeof(uint64_t) + length;
  }
  return strings;
}

Result<std::vector<int32_t>> GgufFile::get_ints(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, true));
  std::vector<int32_t> integers;
  integers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const Integer integer = integer_at(*value, i);
    if (!integer.ok || integer.value != static_cast<int32_t>(integer.value)) {
      return wrong(key, *value, "an array of 32-bit integers");
    }
    integers.push_back(static_cast<int32_t>(integer.value));
  }
  return integers;
}

Result<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  TQ_ASSIGN(const GgufValue* value, look_up(key, true));
  std::vector<float> floats;
  floats.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const Number number = number_at(*value, i);
    if (!number.ok) return wrong(key, *value, "an array of numbers");
    floats.push_back(static_cast<float>(number.value));
  }
  return floats;
}

Result<int64_t> GgufFile::get_int_or(std::string_view key, int64_t missing) const {
  return has(key) ? get_int(key) : Result<int64_t>(missing);
}

Result<double> GgufFile::get_float_or(std::string_view key, double missing) const {
  return has(key) ? get_float(key) : Result<double>(missing);
}

Result<bool> GgufFile::get_bool_or(std::string_view key, bool missing) const {
  return has(key) ? get_bool(key) : Result<bool>(missing);
}

}  // namespace tq::models
