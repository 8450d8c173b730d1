#pragma once
// The one table of settings: name, group, help, range, how to set, read back and check. Flags,
// environment, file, --help and --print-config are all made from it. Built once; any thread
// afterwards.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"

namespace tq::load {

enum class Group { kModel, kKv, kEngine, kServer, kLimits, kLogging };

std::string_view to_string(Group group) noexcept;  // "Model", "KV cache" ...: headings of --help

enum class Shape {
  kText,    // a string in JSON
  kNumber,  // a bare number in JSON
  kSwitch,  // on or off: a boolean in JSON, and as a flag
};

struct Setting {
  std::string name{};  // "kv-memory": --kv-memory, "kv-memory" in the file, TURBOQUANT_KV_MEMORY
  Group group = Group::kModel;
  std::string value_name{};  // "SIZE", for --help
  std::string help{};        // a sentence without a full stop, with its range
  Shape shape = Shape::kText;
  bool is_list =
      false;  // may be given more than once; an array in the file; commas in the environment
  bool is_secret = false;  // never printed

  std::function<Result<void>(Settings&, const std::string&)> set{};
  std::function<std::string(const Settings&)> get{};  // text that set() reads back; empty: unset
  std::function<Result<void>(const Settings&)>
      check_range{};  // empty: every value of its type is fine
};

const std::vector<Setting>& settings_table();

const Setting* find_setting(std::string_view name);  // nullptr where there is none

std::string flag_name(std::string_view name);         // "--kv-memory"
std::string environment_name(std::string_view name);  // "TURBOQUANT_KV_MEMORY"

}  // namespace tq::load
