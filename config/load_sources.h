#pragma once
// The three sources of settings, each turned into the same list of texts. Main thread, once.

#include <string>
#include <vector>

#include "config/result.h"

namespace tq::load {

struct Given {
  std::string name;                 // of a Setting
  std::vector<std::string> values;  // one, unless the setting is a list
  std::string where;                // "--port", "TURBOQUANT_PORT", "server.json: port"
};

// Flags that are no settings.
struct Flags {
  std::vector<Given> given;
  std::string config_path;
  bool help = false;
  bool version = false;
  bool print_config = false;
  std::string help_text;  // where help is set
};

Result<Flags> read_flags(const std::vector<std::string>& arguments);

struct Environment {
  std::vector<Given> given;
  std::string config_path;  // TURBOQUANT_CONFIG
};

Result<Environment> read_environment(const std::vector<std::string>& environment);

Result<std::vector<Given>> read_file(const std::string& path);

}  // namespace tq::load
