// turboquant-server: settings, log, model, tokenizer, template, runner, engine, io threads, and the
// end.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"
#include "config/log.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "engine/torch_runner.h"
#include "models/device/find_device.h"
#include "models/model_text.h"
#include "models/weights/weight_source.h"
#include "server/app.h"
#include "server/banner.h"
#include "server/machine.h"
#include "server/server.h"
#include "server/shutdown.h"

namespace tq::server {
namespace {

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// The name of the file or folder: what the user typed, and no spaces as general.name may have.
std::string served_name(const EngineConfig& config) {
  if (!config.served_name.empty()) return config.served_name;
  std::filesystem::path path(config.model_path);
  if (path.filename().empty()) path = path.parent_path();  // "folder/"
  return (path.extension() == ".gguf" ? path.stem() : path.filename()).string();
}

Result<engine::MemoryPlan> plan(const EngineConfig& config,
                                const models::WeightSource& source,
                                const models::DeviceFacts& device) {
  TQ_ASSIGN(const quant::BlockLayout layout,
            engine::TorchRunner::plan_layout(config, source.spec()));
  TQ_ASSIGN(const engine::MemoryFacts facts,
            engine::TorchRunner::memory_facts(config, source, device, available_memory()));
  return engine::plan_memory(layout, config, facts);
}

struct Placement {
  models::DeviceFacts device;
  engine::MemoryPlan memory;
};

// Where the model runs, and with how much memory. "auto" takes the CPU where a device cannot hold
// or run the model; kernels of the CPU that are asked for by name leave no choice.
Result<Placement> place(const EngineConfig& config, const models::WeightSource& source) {
  TQ_ASSIGN(models::DeviceFacts device,
            models::find_device(config.backend == "auto" ? config.device : "cpu"));
  Result<engine::MemoryPlan> memory = plan(config, source, device);
  if (!memory.ok() && device.is_cuda && config.device == "auto") {
    print("the model runs on the CPU, not on " + device.name + ": " + memory.error().describe() +
          '\n');
    device = models::DeviceFacts{};
    memory = plan(config, source, device);
  }
  if (!memory.ok()) return std::move(memory).error();
  return Placement{std::move(device), *std::move(memory)};
}

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<void> serve(Settings settings) {
  std::unique_ptr<Server> server;
  if (!settings.dry_run) {
    TQ_ASSIGN(server, Server::create(settings.server));
  }
  TQ_ASSIGN(const auto source, models::open_model(settings.engine.model_path));
  const models::ModelSpec& spec = source->spec();
  settings.engine.served_name = served_name(settings.engine);
  TQ_ASSIGN(const Placement placement, place(settings.engine, *source));
  const engine::MemoryPlan& memory = placement.memory;
  print(memory.describe());
  if (settings.dry_run) return {};
  settings.engine.context_max = memory.context_max;

  TQ_ASSIGN(const auto tokenizer, models::load_tokenizer(settings.engine.model_path));
  TQ_ASSIGN(const auto chat_template, models::load_chat_template(spec.chat_template));
  TQ_ASSIGN(auto runner,
            engine::TorchRunner::create(settings.engine, *source, placement.device, memory));
  const KvFacts kv = kv_facts(runner->layout());
  const std::string backend(runner->backend());
  engine::Engine engine(settings.engine, std::move(runner), *tokenizer);
  App app{.config = settings.server,
          .engine = engine,
          .tokenizer = *tokenizer,
          .chat_template = chat_template.get(),
          .kv = kv,
          .api = make_api_context({settings.engine.served_name, settings.engine.queue_max}, engine,
                                  *tokenizer, chat_template.get()),
          .created = unix_seconds(),
          .http = {}};
  server->start(app);
  serve_until_signal(*server, engine, settings.server, [&] {
    print(ready_banner({.host = settings.server.host,
                        .port = server->port(),
                        .model_name = app.api.model_name,
                        .backend = backend,
                        .needs_key = !settings.server.api_keys.empty(),
                        .is_chat = chat_template != nullptr}));
  });
  return {};
}

int run(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  auto loaded = load_settings(arguments, environment);
  if (!loaded) {
    std::fprintf(stderr, "turboquant-server: %s\n", loaded.error().describe().c_str());
    return 2;
  }
  if (!loaded->early_exit_text.empty()) {
    print(loaded->early_exit_text);
    return 0;
  }
  if (auto ready = init_log(loaded->settings.server.log_level); !ready) {
    std::fprintf(stderr, "turboquant-server: %s\n", ready.error().describe().c_str());
    return 2;
  }
  if (auto served = serve(std::move(loaded->settings)); !served) {
    std::fprintf(stderr, "turboquant-server: %s\n", served.error().describe().c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tq::server

int main(int argc, char** argv) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  try {
    return tq::server::run(std::vector<std::string>(argv + 1, argv + argc), environment);
  } catch (const std::exception& e) {  // of a library, at the start: LibTorch, the allocator
    std::fprintf(stderr, "turboquant-server: %s\n", e.what());
    return 1;
  }
}
