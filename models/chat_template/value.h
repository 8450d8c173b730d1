#pragma once
// Value: what a template computes with, as Python would. A small tag plus a pointer into the Heap
// of one render (or into the immutable Program, for literals): a Value never owns. One render's
// thread only.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tq::models::jinja {

// Python's int is unbounded; 128 bits hold every JSON integer exactly and overflow is an error.
__extension__ typedef __int128 Int;

class Value;
class Runtime;
struct Scope;
struct MacroDef;

// Immutable text; n_chars counts code points (a byte that is not UTF-8 counts as one).
struct Str {
  std::string owned;      // empty when the text lives elsewhere (a literal, the request's JSON)
  std::string_view text;  // valid UTF-8 unless the input was not
  size_t n_chars = 0;
  std::string* buffer = nullptr;  // of a joined text: what `text` is the beginning of
  bool markup =
      false;  // marked safe: `+` escapes what is joined to it, as markupsafe's Markup does
};

// Which of Python's sequence-like types a Seq stands for: they print, index and test differently.
enum class SeqType : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };

struct Seq;
struct Dict;
struct Namespace;
struct Loop;
struct Callable;
struct Undefined;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kStr,
  kSeq,
  kDict,
  kNamespace,
  kLoop,
  kCallable
};

class Value {
 public:
  Value() : kind_(Kind::kUndefined), undefined_(nullptr) {}
  explicit Value(bool b) : kind_(Kind::kBool), bool_(b) {}
  explicit Value(Int i) : kind_(Kind::kInt), int_(i) {}
  explicit Value(double f) : kind_(Kind::kFloat), float_(f) {}
  explicit Value(const Str* s) : kind_(Kind::kStr), str_(s) {}
  explicit Value(Seq* s) : kind_(Kind::kSeq), seq_(s) {}
  explicit Value(Dict* d) : kind_(Kind::kDict), dict_(d) {}
  explicit Value(Namespace* n) : kind_(Kind::kNamespace), namespace_(n) {}
  explicit Value(Loop* l) : kind_(Kind::kLoop), loop_(l) {}
  explicit Value(const Callable* c) : kind_(Kind::kCallable), callable_(c) {}
  explicit Value(const Undefined* u) : kind_(Kind::kUndefined), undefined_(u) {}
  static Value none() {
    Value value;
    value.kind_ = Kind::kNone;
    return value;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_str() const { return kind_ == Kind::kStr; }
  bool is_seq(SeqType type) const;
  bool is_number() const {
    return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat;
  }
  bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }

  // Each is legal only for its kind; integer() also takes a bool, as Python does.
  bool boolean() const { return bool_; }
  Int integer() const { return kind_ == Kind::kBool ? Int{bool_} : int_; }
  double real() const { return float_; }
  const Str& str() const { return *str_; }
  std::string_view text() const { return str_->text; }
  Seq& seq() const { return *seq_; }
  Dict& dict() const { return *dict_; }
  Namespace& name_space() const { return *namespace_; }
  Loop& loop() const { return *loop_; }
  const Callable& callable() const { return *callable_; }
  const Undefined* undefined() const { return undefined_; }  // may be null
  const void* identity() const { return str_; }              // any heap kind, for sameas

 private:
  Kind kind_;
  union {
    bool bool_;
    Int int_;
    double float_;
    const Str* str_;
    Seq* seq_;
    Dict* dict_;
    Namespace* namespace_;
    Loop* loop_;
    const Callable* callable_;
    const Undefined* undefined_;
  };
};

struct Seq {
  SeqType type = SeqType::kList;
  bool appendable = false;  // a list that the template itself wrote, so append() may change it
  size_t taken = 0;         // kGenerator only: items already consumed
  std::vector<Value> items;
  Int range[3] = {0, 0, 1};  // kRange only: start, stop, step, for repr()
};

inline bool Value::is_seq(SeqType type) const { return kind_ == Kind::kSeq && seq_->type == type; }

// Insertion-ordered. Look-ups scan and are charged to the step budget; real templates hold few
// keys.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
};

struct Namespace {
  Dict attributes;
};

struct Loop {
  Seq* items = nullptr;  // with a condition: those that passed so far
  size_t index0 = 0;
  std::function<bool()> more;      // appends the next passing item; false at the end. May be empty.
  bool has_changed_value = false;  // changed() was called before
  std::vector<Value> changed_value;

  bool has(size_t at) const {
    while (at >= items->items.size())
      if (!more || !more()) return false;
    return true;
  }
  size_t length() const {
    while (more && more()) {
    }
    return items->items.size();
  }
};

// Why a value is undefined; becomes the error text when it is used for more than printing.
struct Undefined {
  std::string message;
};

// Arguments of a call, evaluated.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

using NativeFn = Value (*)(Runtime&, const Value& self, const Args&);

struct Callable {
  std::string name;
  NativeFn native = nullptr;  // a global, or a method bound to self
  Value self;                 // what a method is bound to; a joiner's or cycler's state
  const MacroDef* macro = nullptr;
  Scope* closure = nullptr;  // where the macro was defined
  enum class Type : uint8_t { kNative, kMacro, kCycler } type = Type::kNative;
};

}  // namespace tq::models::jinja
