#pragma once
// Settings: every choice of the process, from (weakest first) defaults, a JSON config file,
// environment variables TURBOQUANT_<FLAG>, and command-line flags. An unknown key, a value out of
// range or two that contradict each other is an error that names it and where it came from. Main
// thread, once.

#include <string>
#include <vector>

#include "config/engine_config.h"
#include "config/result.h"
#include "config/server_config.h"

namespace tq {

struct Settings {
  EngineConfig engine;
  ServerConfig server;
  bool dry_run = false;  // print the memory plan and exit
};

struct LoadOutcome {
  Settings settings;
  std::string
      early_exit_text;  // --help, --version, --print-config: print it and exit 0; else empty
};

// environment: "NAME=value" entries, as environ has them.
Result<LoadOutcome> load_settings(const std::vector<std::string>& arguments,
                                  const std::vector<std::string>& environment);

// Ranges and contradictions; load_settings() calls it, so do tests and embedders that fill structs
// by hand.
Result<void> validate(const Settings& settings);

}  // namespace tq
