// str() and repr() of every kind of value, as Python prints them.

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "config/limits.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

std::string int_text(Int value) {
  if (value == 0) return "0";
  std::string digits;
  // Negative remainders keep the most negative value in range.
  for (Int rest = value; rest != 0; rest /= 10) {
    const int digit = static_cast<int>(rest % 10);
    digits.insert(digits.begin(), static_cast<char>('0' + (digit < 0 ? -digit : digit)));
  }
  return value < 0 ? "-" + digits : digits;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific);
  const std::string_view shortest(buffer.data(), static_cast<size_t>(end.ptr - buffer.data()));
  const size_t e = shortest.find('e');
  int exponent = 0;
  const size_t digits_of_exponent = e + (shortest[e + 1] == '+' ? 2 : 1);
  std::from_chars(shortest.data() + digits_of_exponent, end.ptr, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(shortest);  // repr's own rule
  const bool negative = shortest[0] == '-';
  std::string digits;
  for (char c : shortest.substr(0, e))
    if (c >= '0' && c <= '9') digits.push_back(c);
  std::string text = negative ? "-" : "";
  if (exponent < 0) {
    text += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    return text;
  }
  const size_t n_whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < n_whole) digits.append(n_whole - digits.size(), '0');
  text += digits.substr(0, n_whole) + ".";
  text += digits.size() > n_whole ? digits.substr(n_whole) : "0";
  return text;
}

namespace {

void append_escape(std::string& out, char32_t c) {
  std::array<char, 12> buffer;
  const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
  if (c >= kRawByte) {  // shown as Python shows an undecodable byte
    c = c - kRawByte;
    format = "\\udc%02x";
  }
  std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(c));
  out += buffer.data();
}

}  // namespace

std::string quoted(std::string_view text) {
  const bool single =
      text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_char(out, c);
    } else {
      append_escape(out, c);
    }
  }
  out.push_back(quote);
  return out;
}

namespace {

class Printer {
 public:
  Printer(Runtime& rt, std::string& out) : rt_(rt), out_(out) {}

  void repr(const Value& value, int depth) {
    rt_.charge(1);
    rt_.check_size(out_.size());
    if (depth > limits::kTemplateDepthMax)
      rt_.fail(Code::kTooLarge, "a value in the chat template is nested deeper than " +
                                    std::to_string(limits::kTemplateDepthMax));
    switch (value.kind()) {
      case Kind::kUndefined: out_ += "Undefined"; return;
      case Kind::kNone: out_ += "None"; return;
      case Kind::kBool: out_ += value.boolean() ? "True" : "False"; return;
      case Kind::kInt: out_ += int_text(value.integer()); return;
      case Kind::kFloat: out_ += float_text(value.real()); return;
      case Kind::kStr:
        rt_.charge_bytes(value.text().size());
        out_ += value.str().markup ? "Markup(" + quoted(value.text()) + ")" : quoted(value.text());
        return;
      case Kind::kSeq: return repr_seq(value, depth);
      case Kind::kDict: return repr_dict(value.dict(), depth);
      case Kind::kNamespace:
        out_ += "<Namespace ";
        repr_dict(value.name_space().attributes, depth);
        out_ += ">";
        return;
      case Kind::kLoop:
        out_ += "<LoopContext " + std::to_string(value.loop().index0 + 1) + "/" +
                std::to_string(value.loop().length()) + ">";
        return;
      case Kind::kCallable: return repr_callable(value.callable());
    }
  }

 private:
  void repr_items(const Seq& seq, int depth) {
    for (size_t i = 0; i < seq.items.size(); ++i) {
      if (i > 0) out_ += ", ";
      repr(seq.items[i], depth + 1);
    }
  }

  void repr_range(const Seq& seq) {
    out_ += "range(" + int_text(seq.range[0]) + ", " + int_text(seq.range[1]);
    if (seq.range[2] != 1) out_ += ", " + int_text(seq.range[2]);
    out_ += ")";
  }

  void repr_seq(const Value& value, int depth) {
    const Seq& seq = value.seq();
    switch (seq.type) {
      case SeqType::kRange: return repr_range(seq);
      case SeqType::kGenerator: out_ += "<generator>"; return;
      case SeqType::kTuple:
        out_ += "(";
        repr_items(seq, depth);
        out_ += seq.items.size() == 1 ? ",)" : ")";
        return;
      case SeqType::kList:
        out_ += "[";
        repr_items(seq, depth);
        out_ += "]";
        return;
      default:
        out_ += type_name(value);
        out_ += "([";
        repr_items(seq, depth);
        out_ += "])";
    }
  }

  void repr_dict(const Dict& dict, int depth) {
    out_ += "{";
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out_ += ", ";
      repr(dict.items[i].first, depth + 1);
      out_ += ": ";
      repr(dict.items[i].second, depth + 1);
    }
    out_ += "}";
  }

  void repr_callable(const Callable& callable) {
    if (callable.macro != nullptr)
      out_ += "<Macro " + (callable.name.empty() ? "anonymous" : quoted(callable.name)) + ">";
    else
      out_ += "<function " + callable.name + ">";
  }

  Runtime& rt_;
  std::string& out_;
};

}  // namespace

void append_repr(Runtime& rt, std::string& out, const Value& value) {
  Printer(rt, out).repr(value, 0);
  rt.check_size(out.size());
}

void append_str(Runtime& rt, std::string& out, const Value& value) {
  if (value.is_undefined()) return;
  if (!value.is_str()) return append_repr(rt, out, value);
  rt.charge_bytes(value.text().size());
  rt.check_size(out.size() + value.text().size());
  out += value.text();
}

std::string to_string(Runtime& rt, const Value& value) {
  std::string out;
  append_str(rt, out, value);
  return out;
}

std::string repr(Runtime& rt, const Value& value) {
  std::string out;
  append_repr(rt, out, value);
  return out;
}

Value as_str(Runtime& rt, const Value& value) {
  return value.is_str() ? value : rt.str(to_string(rt, value));
}

}  // namespace tq::models::jinja
