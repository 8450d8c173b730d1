#include "models/chat_template/lexer.h"

#include <algorithm>
#include <array>

#include "models/chat_template/literals.h"
#include "models/chat_template/ops.h"
#include "models/chat_template/template_error.h"
#include "models/chat_template/text.h"

namespace tq::models::jinja {

namespace {

constexpr size_t kNone = std::string_view::npos;

// Longest first.
constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text.push_back(source[i]);
      continue;
    }
    text.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_root();
    add(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw TemplateError(Code::kInvalidArgument, line_, message);
  }

  bool starts(std::string_view text) const { return source_.substr(at_, text.size()) == text; }
  char peek() const { return at_ < source_.size() ? source_[at_] : '\0'; }

  void advance_to(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  void skip_space() {
    const std::string_view rest = source_.substr(at_);
    advance_to(at_ + rest.size() - strip(rest, Side::kLeft).size());
  }

  Token& add(TokenType type, std::string text) {
    Token& token = tokens_.emplace_back();
    token.type = type;
    token.line = line_;
    token.text = std::move(text);
    return token;
  }

  // Text up to the next tag, trimmed as the tag asks; then the tag itself.
  void lex_root() {
    size_t tag = at_;
    while (tag + 1 < source_.size() &&
           !(source_[tag] == '{' && std::string_view("{%#").find(source_[tag + 1]) != kNone))
      ++tag;
    if (tag + 1 >= source_.size()) {
      add(TokenType::kData, std::string(source_.substr(at_)));
      return advance_to(source_.size());
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool starts_line = at_ == 0 || source_[at_ - 1] == '\n';
    add_data(source_.substr(at_, tag - at_), sign, kind == '{', starts_line);
    advance_to(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (kind == '#') return lex_comment();
    if (kind == '%' && lex_raw()) return;
    add(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, "");
    lex_code(kind == '{');
  }

  void add_data(std::string_view text, char sign, bool is_variable, bool starts_line) {
    if (sign == '-') {
      text = strip(text, Side::kRight);
    } else if (sign != '+' && !is_variable) {  // lstrip_blocks
      const size_t newline = text.rfind('\n');
      const size_t line_start = newline == kNone ? 0 : newline + 1;
      if ((newline != kNone || starts_line) && strip(text.substr(line_start), Side::kLeft).empty())
        text = text.substr(0, line_start);
    }
    if (!text.empty()) add(TokenType::kData, std::string(text));
  }

  // Consumes "-%}", "+%}" or "%}" (or the comment's "#}") and what its sign trims; false if not at
  // one.
  bool skip_end(std::string_view end, bool plus_allowed) {
    const bool minus = peek() == '-';
    const bool plus = plus_allowed && peek() == '+';
    const size_t at = at_ + (minus || plus ? 1 : 0);
    if (source_.substr(at, end.size()) != end) return false;
    advance_to(at + end.size());
    if (minus) skip_space();
    if (!minus && !plus && plus_allowed && peek() == '\n') advance_to(at_ + 1);  // trim_blocks
    return true;
  }

  void lex_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == kNone && at_ >= source_.size()) return;  // jinja2 lets "{#" end the source
    if (end == kNone) fail("Missing end of comment tag");
    const bool has_sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance_to(has_sign ? end - 1 : end);
    skip_end("#}", true);
  }

  // After "{%" and its sign: "raw %}" ... "{% endraw %}".
  bool lex_raw() {
    size_t at = skipped(at_);
    if (source_.substr(at, 3) != "raw") return false;
    at = skipped(at + 3);
    const bool minus = source_.substr(at, 1) == "-";
    if (source_.substr(at + (minus ? 1 : 0), 2) != "%}") return false;
    advance_to(at + (minus ? 3 : 2));
    if (minus) skip_space();
    for (size_t tag = source_.find("{%", at_); tag != kNone; tag = source_.find("{%", tag + 1)) {
      size_t inside = tag + 2;
      const char sign = inside < source_.size() ? source_[inside] : '\0';
      if (sign == '-' || sign == '+') ++inside;
      inside = skipped(inside);
      if (source_.substr(inside, 6) != "endraw") continue;
      const size_t end = skipped(inside + 6);
      const bool signed_end = end < source_.size() && (source_[end] == '-' || source_[end] == '+');
      if (source_.substr(end + (signed_end ? 1 : 0), 2) != "%}") continue;
      add_data(source_.substr(at_, tag - at_), sign, false, at_ == 0 || source_[at_ - 1] == '\n');
      advance_to(end);
      return skip_end("%}", true);
    }
    if (at_ >= source_.size()) return true;  // as with comments
    fail("Missing end of raw directive");
  }

  size_t skipped(size_t at) const {
    if (at >= source_.size()) return at;
    const std::string_view rest = source_.substr(at);
    return at + rest.size() - strip(rest, Side::kLeft).size();
  }

  // Tokens inside a tag, through its end.
  void lex_code(bool is_variable) {
    std::string open;  // brackets that wait for their partner
    while (true) {
      skip_space();
      if (at_ >= source_.size()) return;  // the parser reports the unexpected end
      if (open.empty() && at_tag_end(is_variable)) {
        Token end;
        end.type = is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd;
        end.line = line_;
        skip_end(is_variable ? "}}" : "%}", !is_variable);
        tokens_.push_back(std::move(end));
        return;
      }
      lex_token(open);
    }
  }

  bool at_tag_end(bool is_variable) const {
    if (is_variable) return starts("}}") || starts("-}}");
    return starts("%}") || starts("-%}") || starts("+%}");
  }

  void lex_token(std::string& open) {
    const char c = peek();
    if (c >= '0' && c <= '9') return lex_number();
    if (is_name_char(c)) {
      size_t end = at_;
      while (end < source_.size() && is_name_char(source_[end])) ++end;
      add(TokenType::kName, std::string(source_.substr(at_, end - at_)));
      return advance_to(end);
    }
    if (c == '\'' || c == '"') return lex_string(c);
    for (std::string_view candidate : kOperators) {
      if (!starts(candidate)) continue;
      balance(candidate[0], open);
      add(TokenType::kOperator, std::string(candidate));
      return advance_to(at_ + candidate.size());
    }
    fail("unexpected char " + quoted(source_.substr(at_, 1)));
  }

  static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  }

  void balance(char c, std::string& open) const {
    if (c == '(') open.push_back(')');
    if (c == '[') open.push_back(']');
    if (c == '{') open.push_back('}');
    if (c != ')' && c != ']' && c != '}') return;
    if (open.empty()) fail(std::string("unexpected '") + c + "'");
    if (open.back() != c)
      fail(std::string("unexpected '") + c + "', expected '" + open.back() + "'");
    open.pop_back();
  }

  void lex_string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string is not closed");
    std::string problem;
    std::string text = unescape(source_.substr(at_ + 1, end - at_ - 1), problem);
    if (!problem.empty()) fail(problem);
    add(TokenType::kString, std::move(text));
    advance_to(end + 1);
  }

  void lex_number() {
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (const size_t n = after_dot ? 0 : float_length(source_.substr(at_)); n > 0) {
      Token& token = add(TokenType::kFloat, std::string(source_.substr(at_, n)));
      token.real = parse_float(token.text);
      return advance_to(at_ + n);
    }
    const size_t n = integer_length(source_.substr(at_));
    Token& token = add(TokenType::kInteger, std::string(source_.substr(at_, n)));
    if (!parse_integer(token.text, token.integer))
      fail("the integer " + token.text + " is too large");
    advance_to(at_ + n);
  }

  std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  const std::string text = normalized(source);
  return Lexer(text).run();
}

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData: return "template data / text";
    case TokenType::kVariableBegin: return "begin of print statement";
    case TokenType::kVariableEnd: return "end of print statement";
    case TokenType::kBlockBegin: return "begin of statement block";
    case TokenType::kBlockEnd: return "end of statement block";
    case TokenType::kString: return "string";
    case TokenType::kInteger: return "integer";
    case TokenType::kFloat: return "float";
    case TokenType::kEnd: return "end of template";
    default: return token.text;
  }
}

}  // namespace tq::models::jinja
