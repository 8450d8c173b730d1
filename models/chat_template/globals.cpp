// Global functions: those of jinja2, and raise_exception and strftime_now, which transformers adds.

#include <array>
#include <ctime>

#include "config/limits.h"
#include "models/chat_template/builtins.h"
#include "models/chat_template/ops.h"

namespace tq::models::jinja {

namespace {

constexpr Int kRangeItemsMax = 100000;  // jinja2's sandbox.MAX_RANGE

Value range(Runtime& rt, const Value&, const Args& args) {
  const size_t n_args = args.positional.size();
  if (!args.named.empty() || n_args < 1 || n_args > 3)
    rt.fail("range expected 1 to 3 arguments, got " + std::to_string(n_args));
  Int bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < n_args; ++i) {
    const Int value = as_index(rt, args.positional[i], "a range argument");
    if (value > INT64_MAX || value < INT64_MIN) rt.fail("a range argument does not fit 64 bits");
    bounds[n_args == 1 ? 1 : i] = value;
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) rt.fail("range() arg 3 must not be zero");
  const Int span = step > 0 ? stop - start : start - stop;
  const Int stride = step > 0 ? step : -step;
  const Int n = span > 0 ? (span + stride - 1) / stride : Int{0};
  if (n > kRangeItemsMax)
    rt.fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (" +
            int_text(kRangeItemsMax) + ").");
  rt.charge(static_cast<uint64_t>(n));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(n));
  for (Int i = 0; i < n; ++i) items.emplace_back(start + i * step);
  const Value made = rt.seq(SeqType::kRange, std::move(items));
  for (size_t i = 0; i < 3; ++i) made.seq().range[i] = bounds[i];
  return made;
}

// dict(mapping or pairs, **named), which namespace() shares.
std::vector<std::pair<Value, Value>> dict_items(Runtime& rt, const Args& args) {
  if (args.positional.size() > 1)
    rt.fail("dict expected at most 1 argument, got " + std::to_string(args.positional.size()));
  Dict made;
  if (!args.positional.empty() && args.positional[0].is(Kind::kDict)) {
    made.items = args.positional[0].dict().items;
  } else if (!args.positional.empty()) {
    for (const Value& item : iterate(rt, args.positional[0]).items) {
      const Seq& pair = iterate(rt, item);
      if (pair.items.size() != 2) rt.fail("a dictionary element must be a pair");
      dict_set(rt, made, pair.items[0], pair.items[1]);
    }
  }
  for (const auto& [name, value] : args.named) dict_set(rt, made, rt.str(name), value);
  return std::move(made.items);
}

Value dict(Runtime& rt, const Value&, const Args& args) { return rt.dict(dict_items(rt, args)); }

Value name_space(Runtime& rt, const Value&, const Args& args) {
  return rt.name_space(Dict{dict_items(rt, args)});
}

Value raise_exception(Runtime& rt, const Value&, const Args& args) {
  const auto given = bind(rt, "raise_exception", args, {"message"}, 1);
  rt.fail(to_string(rt, *given[0]));
}

Value strftime_now(Runtime& rt, const Value&, const Args& args) {
  const auto given = bind(rt, "strftime_now", args, {"format"}, 1);
  if (!given[0]->is_str()) rt.fail("strftime_now() needs a format string");
  const std::string format(given[0]->text());
  if (format.empty()) return rt.str("");
  if (format.size() > 1000) rt.fail("strftime_now: a format above 1000 bytes is not supported");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::string text(64 * 1024, '\0');
  // A format that gives nothing is told from one that does not fit by the space in front.
  text.resize(std::strftime(text.data(), text.size(), (" " + format).c_str(), &local));
  if (text.empty()) rt.fail("strftime_now: the format gives too long a text");
  return rt.str(text.substr(1));
}

Value joiner_call(Runtime& rt, const Value& self, const Args& args) {
  bind(rt, "joiner", args, {});
  Seq& state = self.seq();
  return state.taken++ == 0 ? rt.str("") : state.items[0];
}

Value joiner(Runtime& rt, const Value&, const Args& args) {
  const auto given = bind(rt, "joiner", args, {"sep"});
  const Value separator = given[0] != nullptr ? *given[0] : rt.str(", ");
  return rt.native("joiner", joiner_call, rt.list({separator}));
}

Value cycler(Runtime& rt, const Value&, const Args& args) {
  if (args.positional.empty() || !args.named.empty())
    rt.fail("at least one item has to be provided");
  Callable* made = rt.new_callable();
  made->name = "cycler";
  made->type = Callable::Type::kCycler;
  made->self = rt.list(args.positional);
  return Value(static_cast<const Callable*>(made));
}

struct GlobalEntry {
  std::string_view name;
  NativeFn fn;
};

constexpr std::array kGlobals = {
    GlobalEntry{"range", range},
    GlobalEntry{"dict", dict},
    GlobalEntry{"namespace", name_space},
    GlobalEntry{"raise_exception", raise_exception},
    GlobalEntry{"strftime_now", strftime_now},
    GlobalEntry{"joiner", joiner},
    GlobalEntry{"cycler", cycler},
};

}  // namespace

bool find_global(Runtime& rt, std::string_view name, Value& out) {
  for (const GlobalEntry& entry : kGlobals) {
    if (entry.name != name) continue;
    out = rt.native(std::string(name), entry.fn, Value());
    return true;
  }
  return false;
}

}  // namespace tq::models::jinja
