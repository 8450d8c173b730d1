#include "models/chat_template/json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "config/limits.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

using Json = nlohmann::ordered_json;

void check_depth(Runtime& rt, int depth, const char* what) {
  if (depth > limits::kTemplateDepthMax)
    rt.fail(Code::kTooLarge, std::string(what) + " is nested deeper than " +
                                 std::to_string(limits::kTemplateDepthMax));
}

Value convert(Runtime& rt, const Json& json, int depth) {
  check_depth(rt, depth, "a variable of the chat template");
  switch (json.type()) {
    case Json::value_t::boolean: return Value(json.get<bool>());
    case Json::value_t::number_integer: return Value(Int{json.get<int64_t>()});
    case Json::value_t::number_unsigned: return Value(Int{json.get<uint64_t>()});
    case Json::value_t::number_float: return Value(json.get<double>());
    case Json::value_t::string: return rt.str_view(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(convert(rt, item, depth + 1));
      return rt.list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> items;
      items.reserve(json.size());
      for (const auto& [key, value] : json.items())
        items.emplace_back(rt.str_view(key), convert(rt, value, depth + 1));
      return rt.dict(std::move(items));
    }
    default: return Value::none();
  }
}

}  // namespace

Value from_json(Runtime& rt, const Json& json) { return convert(rt, json, 0); }

namespace {

void append_unicode_escape(std::string& out, unsigned unit) {
  std::array<char, 8> buffer;
  std::snprintf(buffer.data(), buffer.size(), "\\u%04x", unit);
  out += buffer.data();
}

void append_json_char(std::string& out, char32_t c, bool ensure_ascii) {
  static constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
  static constexpr std::string_view kLetters = "\"\\nrtbf";
  const size_t at = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
  if (at != std::string_view::npos) {
    out.push_back('\\');
    out.push_back(kLetters[at]);
  } else if (c < 0x20) {
    append_unicode_escape(out, c);
  } else if (!ensure_ascii || c < 0x80 || c >= kRawByte) {
    append_char(out, c);
  } else if (c < 0x10000) {
    append_unicode_escape(out, c);
  } else {
    append_unicode_escape(out, 0xD800 + ((c - 0x10000) >> 10));
    append_unicode_escape(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
  }
}

class Dumper {
 public:
  Dumper(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style) {}

  std::string take() { return std::move(out_); }

  void dump(const Value& value, int depth) {
    rt_.charge(1);
    rt_.check_size(out_.size());
    check_depth(rt_, depth, "the value given to tojson");
    switch (value.kind()) {
      case Kind::kNone: out_ += "null"; return;
      case Kind::kBool: out_ += value.boolean() ? "true" : "false"; return;
      case Kind::kInt: out_ += int_text(value.integer()); return;
      case Kind::kFloat: out_ += number(value.real()); return;
      case Kind::kStr: return dump_text(value.text());
      case Kind::kDict: return dump_dict(value.dict(), depth);
      case Kind::kSeq:
        if (value.is_seq(SeqType::kList) || value.is_seq(SeqType::kTuple))
          return dump_list(value.seq(), depth);
        [[fallthrough]];
      default:
        rt_.fail("Object of type " + std::string(type_name(value)) + " is not JSON serializable");
    }
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void dump_text(std::string_view text) {
    rt_.charge_bytes(text.size());
    out_.push_back('"');
    for (size_t at = 0; at < text.size();)
      append_json_char(out_, next_char(text, at), style_.ensure_ascii);
    out_.push_back('"');
  }

  void new_line(int depth) {
    if (!style_.indented) return;
    out_.push_back('\n');
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void dump_list(const Seq& seq, int depth) {
    if (seq.items.empty()) {
      out_ += "[]";
      return;
    }
    out_.push_back('[');
    for (size_t i = 0; i < seq.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(depth + 1);
      dump(seq.items[i], depth + 1);
    }
    new_line(depth);
    out_.push_back(']');
  }

  std::string key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kStr: return std::string(key.text());
      case Kind::kNone: return "null";
      case Kind::kBool: return key.boolean() ? "true" : "false";
      case Kind::kInt: return int_text(key.integer());
      case Kind::kFloat: return number(key.real());
      default:
        rt_.fail("keys must be str, int, float, bool or None, not " + std::string(type_name(key)));
    }
  }

  void dump_dict(const Dict& dict, int depth) {
    if (dict.items.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<std::pair<Value, Value>> items = dict.items;
    if (style_.sort_keys)
      std::stable_sort(items.begin(), items.end(), [this](const auto& a, const auto& b) {
        return less(rt_, a.first, b.first);
      });
    out_.push_back('{');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(depth + 1);
      dump_text(key_text(items[i].first));
      out_ += style_.key_separator;
      dump(items[i].second, depth + 1);
    }
    new_line(depth);
    out_.push_back('}');
  }

  Runtime& rt_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string dump_json(Runtime& rt, const Value& value, const JsonStyle& style) {
  Dumper dumper(rt, style);
  dumper.dump(value, 0);
  std::string text = dumper.take();
  rt.check_size(text.size());
  return text;
}

}  // namespace tq::models::jinja
