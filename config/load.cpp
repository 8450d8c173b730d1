#include "config/load.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "config/load_sources.h"
#include "config/load_table.h"
#include "config/version.h"

namespace tq {
namespace {

using load::Given;
using load::Setting;

// --bits is another spelling of --kv: where both stand in one source they contradict each other.
std::string subject(const std::string& name) { return name == "bits" ? "kv" : name; }

bool names_subject(const std::vector<Given>& source, const std::string& of) {
  for (const Given& given : source) {
    if (subject(given.name) == of) return true;
  }
  return false;
}

Result<void> check_spellings(const std::vector<Given>& source) {
  const Given* bits = nullptr;
  const Given* kv = nullptr;
  for (const Given& given : source) {
    if (given.name == "bits") bits = &given;
    if (given.name == "kv") kv = &given;
  }
  if (bits == nullptr || kv == nullptr) return {};
  return Error{Code::kInvalidArgument,
               "contradicts " + kv->where + ": both choose the KV format; give one of them",
               bits->where};
}

Result<void> apply(const Given& given, Settings& settings) {
  const Setting* setting = load::find_setting(given.name);
  TQ_CHECK(setting != nullptr, "a source gave a setting that is in no table", given.name);
  for (const std::string& value : given.values) {
    if (auto set = setting->set(settings, value); !set) {
      Error error = std::move(set).error();
      error.where = given.where;
      return error;
    }
  }
  return {};
}

// sources: strongest first. A setting is taken from the strongest source that names it.
Result<void> apply_all(const std::vector<const std::vector<Given>*>& sources, Settings& settings) {
  for (size_t i = 0; i < sources.size(); ++i) {
    TQ_TRY(check_spellings(*sources[i]));
    for (const Given& given : *sources[i]) {
      bool stronger = false;
      for (size_t j = 0; j < i; ++j) {
        stronger = stronger || names_subject(*sources[j], subject(given.name));
      }
      if (!stronger) TQ_TRY(apply(given, settings));
    }
  }
  return {};
}

std::string print_config(const Settings& settings) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const Setting& setting : load::settings_table()) {
    const std::string value = setting.get(settings);
    if (value.empty() || setting.is_secret) continue;
    switch (setting.shape) {
      case load::Shape::kText: out[setting.name] = value; break;
      case load::Shape::kNumber: out[setting.name] = nlohmann::ordered_json::parse(value); break;
      case load::Shape::kSwitch: out[setting.name] = value == "on"; break;
    }
  }
  if (!settings.server.cors_origins.empty()) out["cors-origin"] = settings.server.cors_origins;
  return out.dump(2) + "\n";
}

}  // namespace

Result<LoadOutcome> load_settings(const std::vector<std::string>& arguments,
                                  const std::vector<std::string>& environment) {
  TQ_ASSIGN(const load::Flags flags, load::read_flags(arguments));
  LoadOutcome out;
  if (flags.help) {
    out.early_exit_text = flags.help_text;
    return out;
  }
  if (flags.version) {
    out.early_exit_text = "turboquant-server " + std::string(version()) + "\n";
    return out;
  }
  TQ_ASSIGN(const load::Environment from_environment, load::read_environment(environment));
  std::vector<Given> from_file;
  const std::string& path =
      flags.config_path.empty() ? from_environment.config_path : flags.config_path;
  if (!path.empty()) {
    TQ_ASSIGN(from_file, load::read_file(path));
  }
  TQ_TRY(apply_all({&flags.given, &from_environment.given, &from_file}, out.settings));
  TQ_TRY(validate(out.settings));
  if (flags.print_config) {
    out.early_exit_text = print_config(out.settings);
    return out;
  }
  if (out.settings.engine.model_path.empty()) {
    return Error{Code::kInvalidArgument, "is required: a .gguf file or a Hugging Face folder",
                 "--model"};
  }
  return out;
}

}  // namespace tq
