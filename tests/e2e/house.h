#pragma once
// House: a whole server in this process: real sockets, sessions, engine, scheduler and block pools;
// only the model is a fake one (tests/support/fake_runner.h). Each test builds its own, on a free
// port. The test's thread is the main thread of the house.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "config/engine_config.h"
#include "config/server_config.h"
#include "engine/engine.h"
#include "models/chat_template/chat_template.h"
#include "server/app.h"
#include "server/server.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_runner.h"

namespace tq::test {

// Lets a test decide how many steps the runner may take.
class Gate {
 public:
  void allow(int64_t n_steps);  // so many more
  void open();                  // for good
  void pass();                  // runner: blocks until a step is allowed

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t allowed_ = 0;
  bool open_ = false;
};

struct HouseOptions {
  ServerConfig server;
  EngineConfig engine;
  int hot_blocks = 256;
  int sealed_blocks = 512;
  bool gated = false;  // steps wait for Gate::allow()
  HouseOptions();
};

class House {
 public:
  explicit House(HouseOptions options = {});
  ~House();  // opens the gate, shuts down, checks that the runner saw no violation

  uint16_t port() const { return server_->port(); }
  engine::Engine& engine() { return *engine_; }
  server::App& app() { return *app_; }
  server::Server& server() { return *server_; }
  const ServerConfig& config() const { return options_.server; }
  Gate& gate() { return *gate_; }
  FakeControls& controls() { return *controls_; }

  bool shut_down(bool hurry = false);  // as SIGTERM does; true: all requests finished

  // Waits until `condition` holds; false: it did not within 20 s.
  static bool eventually(const std::function<bool()>& condition);
  // No sequence is left in the engine, and no block is in use.
  bool is_empty() const;
  int64_t running() const { return engine_->stats().running.load(); }

 private:
  HouseOptions options_;
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::shared_ptr<FakeControls> controls_ = std::make_shared<FakeControls>();
  ByteTokenizer tokenizer_;
  std::unique_ptr<models::ChatTemplate> template_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<server::App> app_;
  std::unique_ptr<server::Server> server_;
  bool is_down_ = false;
};

// A chat body that answers "aaaa..." for n_tokens tokens (logit_bias leaves the fake model no
// choice), with further fields that start with a comma or are empty.
std::string chat_of(int n_tokens, const std::string& fields = "");
std::string streamed_chat_of(int n_tokens, const std::string& fields = "");

}  // namespace tq::test
