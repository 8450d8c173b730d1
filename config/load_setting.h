#pragma once
// Builders of Settings by their kind, for load_table.cpp. `access` is a generic lambda, Settings&
// -> field&, so that one serves set() and get(). Pure; any thread.

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/load_table.h"
#include "config/load_values.h"

namespace tq::load {

inline constexpr int64_t kIntMax = std::numeric_limits<int32_t>::max();

inline Error bad(std::string message) {
  return Error{Code::kInvalidArgument, std::move(message), ""};
}

template <class Access>
Setting number(const char* name, Group group, const char* help, IntRange range, Access access) {
  Setting s{.name = name, .group = group, .value_name = "N", .help = help};
  s.help += " (" + std::to_string(range.min) + ".." +
            (range.max == kIntMax ? std::string() : std::to_string(range.max)) + ")";
  s.shape = Shape::kNumber;
  s.set = [=](Settings& settings, const std::string& text) -> Result<void> {
    TQ_ASSIGN(const int64_t value, parse_int(text, range));
    auto& field = access(settings);
    field = static_cast<std::remove_reference_t<decltype(field)>>(value);
    return {};
  };
  s.get = [=](const Settings& settings) { return std::to_string(access(settings)); };
  s.check_range = [=](const Settings& settings) -> Result<void> {
    TQ_TRY(parse_int(std::to_string(access(settings)), range));
    return {};
  };
  return s;
}

// A share: a decimal fraction above 0, at most 1.
template <class Access>
Setting fraction(const char* name, Group group, const char* help, Access access) {
  Setting s{.name = name, .group = group, .value_name = "X", .help = help};
  s.help += " (above 0, up to 1)";
  s.shape = Shape::kNumber;
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    TQ_ASSIGN(access(settings), parse_fraction(value));
    return {};
  };
  s.get = [=](const Settings& settings) { return format_fraction(access(settings)); };
  s.check_range = [=](const Settings& settings) -> Result<void> {
    TQ_TRY(parse_fraction(format_fraction(access(settings))));
    return {};
  };
  return s;
}

template <class Access>
Setting text(
    const char* name, Group group, const char* value_name, const char* help, Access access) {
  Setting s{.name = name, .group = group, .value_name = value_name, .help = help};
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    if (value.empty()) return bad("must not be empty");
    access(settings) = value;
    return {};
  };
  s.get = [=](const Settings& settings) { return access(settings); };
  return s;
}

template <class Access>
Setting toggle(const char* name, Group group, const char* help, Access access) {
  Setting s{.name = name, .group = group, .value_name = "on|off", .help = help};
  s.shape = Shape::kSwitch;
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    TQ_ASSIGN(access(settings), parse_switch(value));
    return {};
  };
  s.get = [=](const Settings& settings) { return access(settings) ? "on" : "off"; };
  return s;
}

template <class Access>
Setting size(const char* name, Group group, const char* help, IntRange range, Access access) {
  Setting s{.name = name, .group = group, .value_name = "SIZE", .help = help};
  const auto check = [=](uint64_t bytes) -> Result<void> {
    if (bytes >= static_cast<uint64_t>(range.min) && bytes <= static_cast<uint64_t>(range.max)) {
      return {};
    }
    return bad(std::to_string(bytes) + " bytes is out of range; it must be " +
               std::to_string(range.min) + " to " + std::to_string(range.max));
  };
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    TQ_ASSIGN(const uint64_t bytes, parse_bytes(value));
    TQ_TRY(check(bytes));
    access(settings) = bytes;
    return {};
  };
  s.get = [=](const Settings& settings) { return format_bytes(access(settings)); };
  s.check_range = [=](const Settings& settings) { return check(access(settings)); };
  return s;
}

template <class Value>
struct Choice {
  std::string name;
  Value value;
};

// One of a short list of words; the field may be an enumerator or the word itself.
template <class Value, class Access>
Setting choice(const char* name,
               Group group,
               const char* help,
               std::vector<Choice<Value>> known,
               Access access) {
  Setting s{.name = name, .group = group, .help = help};
  for (const auto& entry : known) s.value_name += (s.value_name.empty() ? "" : "|") + entry.name;
  const std::string names = s.value_name;
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    for (const auto& entry : known) {
      if (entry.name != value) continue;
      access(settings) = entry.value;
      return {};
    }
    return bad("unknown value '" + value.substr(0, 80) + "'; one of " + names);
  };
  s.get = [=](const Settings& settings) -> std::string {
    for (const auto& entry : known) {
      if (entry.value == access(settings)) return entry.name;
    }
    return "";
  };
  s.check_range = [=](const Settings& settings) -> Result<void> {
    for (const auto& entry : known) {
      if (entry.value == access(settings)) return {};
    }
    return bad("unknown value; one of " + names);
  };
  return s;
}

inline std::vector<Choice<std::string>> words(std::initializer_list<const char*> names) {
  std::vector<Choice<std::string>> out;
  for (const char* name : names) out.push_back({name, name});
  return out;
}

template <class Access>
Setting list(const char* name, const char* value_name, const char* help, Access access) {
  Setting s{.name = name, .group = Group::kServer, .value_name = value_name, .help = help};
  s.is_list = true;
  s.set = [=](Settings& settings, const std::string& value) -> Result<void> {
    if (value.empty()) return bad("must not be empty");
    access(settings).push_back(value);
    return {};
  };
  s.get = [](const Settings&) { return std::string(); };
  return s;
}

}  // namespace tq::load
