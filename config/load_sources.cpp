#include "config/load_sources.h"

#include <CLI/CLI.hpp>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config/load_table.h"

namespace tq::load {
namespace {

constexpr std::string_view kPrefix = "TURBOQUANT_";
constexpr std::streamoff kFileBytesMax = 1 << 20;

Error bad(std::string message, std::string where) {
  return Error{Code::kInvalidArgument, std::move(message), std::move(where)};
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> out;
  size_t first = 0;
  while (true) {
    const size_t comma = text.find(',', first);
    out.push_back(text.substr(first, comma - first));
    if (comma == std::string::npos) return out;
    first = comma + 1;
  }
}

std::string help_of(const Setting& setting) {
  static const Settings defaults;
  std::string text = setting.help;
  const std::string value = setting.get(defaults);
  if (!value.empty()) text += " [" + value + "]";
  return text;
}

struct RawFlag {
  const Setting* setting;
  std::vector<std::string> values;
  CLI::Option* option = nullptr;
};

// A switch may stand alone: --dry-run is --dry-run on.
void add_flag(CLI::App& app, RawFlag& raw) {
  const Setting& setting = *raw.setting;
  raw.option = app.add_option(flag_name(setting.name), raw.values, help_of(setting));
  // CLI11 takes one value a time only where the maximum is that of its own containers.
  constexpr int kTimesMax = CLI::detail::expected_max_vector_size;
  raw.option->type_name(setting.value_name)
      ->group(std::string(to_string(setting.group)))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (setting.shape == Shape::kSwitch) {
    raw.option->expected(0, 1);
  } else {
    raw.option->expected(1, kTimesMax)->allow_extra_args(false);
  }
}

Result<void> collect(const std::deque<RawFlag>& raws, Flags& flags) {
  for (const RawFlag& raw : raws) {
    if (raw.option->count() == 0) continue;
    const std::string where = flag_name(raw.setting->name);
    std::vector<std::string> values = raw.option->results();
    if (raw.setting->shape == Shape::kSwitch && values.size() == 1 && values[0].empty()) {
      values[0] = "on";
    }
    if (values.size() != 1 && !raw.setting->is_list) return bad("is given more than once", where);
    flags.given.push_back({raw.setting->name, std::move(values), where});
  }
  return {};
}

std::string describe_line(const char* program) {
  return std::string(program) +
         ": serves a language model over an OpenAI-compatible HTTP API, with the KV cache held as "
         "TurboQuant codes.\nEach setting is also read from the environment (--kv-memory: "
         "TURBOQUANT_KV_MEMORY) and from a JSON file (\"kv-memory\"); flags win over the "
         "environment, the environment over the file.";
}

// JSON scalars as the text that a flag would carry. Text that happens to read as a fraction is
// quoted in JSON.
Result<std::string> text_of(const nlohmann::json& value,
                            const Setting& setting,
                            const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return std::string(value.get<bool>() ? "on" : "off");
  const bool takes_fractions = setting.shape == Shape::kNumber;
  if (value.is_number_integer() || (value.is_number() && takes_fractions)) return value.dump();
  return bad(takes_fractions ? "must be a string, a number or a boolean"
                             : "must be a string, a whole number or a boolean",
             where);
}

Result<Given> given_of(const std::string& key,
                       const nlohmann::json& value,
                       const std::string& where) {
  const Setting* setting = find_setting(key);
  if (setting == nullptr) return bad("unknown setting", where);
  Given given{key, {}, where};
  if (value.is_array()) {
    if (!setting->is_list) return bad("takes one value, not an array", where);
    for (const auto& entry : value) {
      TQ_ASSIGN(std::string text, text_of(entry, *setting, where));
      given.values.push_back(std::move(text));
    }
    return given;
  }
  TQ_ASSIGN(std::string text, text_of(value, *setting, where));
  given.values.push_back(std::move(text));
  return given;
}

Result<nlohmann::json> parse_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return Error{Code::kIo, "cannot read the config file '" + path + "'", "--config"};
  if (file.tellg() > kFileBytesMax || file.tellg() < 0) {
    return bad("the config file is not a regular file of at most 1 MiB", path);
  }
  file.seekg(0);
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (depth == 1 && event == nlohmann::json::parse_event_t::key) {
      const std::string key = parsed.get<std::string>();
      if (!keys.insert(key).second) twice = key;
    }
    return true;
  };
  try {
    auto json = nlohmann::json::parse(file, watch, true, true);  // comments are allowed
    if (!twice.empty()) return bad("is given more than once", path + ": " + twice);
    if (!json.is_object()) return bad("must hold one JSON object", path);
    return json;
  } catch (const nlohmann::json::exception& e) {
    return bad(e.what(), path);
  }
}

}  // namespace

Result<Flags> read_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  CLI::App app(describe_line("turboquant-server"), "turboquant-server");
  app.set_help_flag();
  app.allow_extras();
  app.get_formatter()->column_width(34);
  app.add_option("--config", flags.config_path, "JSON file of settings")->type_name("FILE");
  app.add_flag("--help,-h", flags.help, "print this and exit");
  app.add_flag("--version", flags.version, "print the version and exit");
  app.add_flag("--print-config", flags.print_config,
               "print all settings but keys as a config file, and exit");
  std::deque<RawFlag> raws;  // the option keeps a pointer to each
  for (const Setting& setting : settings_table()) {
    add_flag(app, raws.emplace_back(RawFlag{&setting, {}}));
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
    app.parse(std::move(reversed));
  } catch (const CLI::Error& e) {
    return bad(e.what(), "command line");
  }
  if (const auto rest = app.remaining(); !rest.empty()) {
    return bad("unknown flag or argument; see --help", rest.front().substr(0, 200));
  }
  TQ_TRY(collect(raws, flags));
  if (flags.help) flags.help_text = app.help();
  return flags;
}

Result<Environment> read_environment(const std::vector<std::string>& environment) {
  Environment out;
  for (const std::string& entry : environment) {
    if (!entry.starts_with(kPrefix)) continue;
    const size_t equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : entry.substr(equals + 1);
    if (name == "TURBOQUANT_CONFIG") {
      out.config_path = value;
      continue;
    }
    const Setting* found = nullptr;
    for (const Setting& setting : settings_table()) {
      if (environment_name(setting.name) == name) found = &setting;
    }
    if (found == nullptr) return bad("unknown setting in the environment", name);
    auto values = found->is_list ? split_commas(value) : std::vector<std::string>{value};
    out.given.push_back({found->name, std::move(values), name});
  }
  return out;
}

Result<std::vector<Given>> read_file(const std::string& path) {
  TQ_ASSIGN(const nlohmann::json json, parse_file(path));
  std::vector<Given> out;
  for (const auto& [key, value] : json.items()) {
    TQ_ASSIGN(Given given, given_of(key, value, path + ": " + key));
    out.push_back(std::move(given));
  }
  return out;
}

}  // namespace tq::load
