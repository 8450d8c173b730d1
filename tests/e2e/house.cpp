#include "tests/e2e/house.h"

#include <catch2/catch.hpp>
#include <thread>
#include <utility>

#include "config/log.h"
#include "server/shutdown.h"

namespace tq::test {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

class GatedRunner final : public engine::StepRunner {
 public:
  GatedRunner(FakeRunnerOptions options, std::shared_ptr<Gate> gate)
      : inner_(std::move(options)), gate_(std::move(gate)) {}

  int vocab_size() const noexcept override { return inner_.vocab_size(); }
  const quant::BlockLayout& layout() const noexcept override { return inner_.layout(); }
  kernels::PoolSizes pools() const noexcept override { return inner_.pools(); }
  kernels::PoolSizes host_pools() const noexcept override { return inner_.host_pools(); }
  Result<engine::StepLogits> run(const engine::StepPlan& plan,
                                 const Meanwhile& meanwhile) override {
    meanwhile();
    gate_->pass();
    return inner_.run(plan, [] {});
  }

 private:
  FakeRunner inner_;
  std::shared_ptr<Gate> gate_;
};

}  // namespace

void Gate::allow(int64_t n_steps) {
  const std::lock_guard lock(mutex_);
  allowed_ += n_steps;
  changed_.notify_all();
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Gate::pass() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return open_ || allowed_ > 0; });
  if (!open_) --allowed_;
}

HouseOptions::HouseOptions() {
  server.port = 0;
  server.log_level = "error";
  engine.served_name = "fake";
  engine.context_max = 1024;
  engine.seqs_max = 32;
  engine.queue_max = 64;
}

House::House(HouseOptions options) : options_(std::move(options)) {
  REQUIRE(init_log(options_.server.log_level).ok());
  if (!options_.gated) gate_->open();
  auto parsed = models::ChatTemplate::parse(kTemplate);
  REQUIRE(parsed.ok());
  template_ = std::make_unique<models::ChatTemplate>(std::move(*parsed));
  FakeRunnerOptions runner;
  runner.kv = options_.engine.kv;
  runner.pools = {.hot_blocks = options_.hot_blocks, .sealed_blocks = options_.sealed_blocks};
  runner.vocab_size = ByteTokenizer::kVocab;
  runner.controls = controls_;
  auto gated = std::make_unique<GatedRunner>(runner, gate_);
  const server::KvFacts kv = server::kv_facts(gated->layout());
  auto created = server::Server::create(options_.server);
  REQUIRE(created.ok());
  server_ = std::move(*created);
  engine_ = std::make_unique<engine::Engine>(options_.engine, std::move(gated), tokenizer_);
  app_ = std::unique_ptr<server::App>(new server::App{.config = options_.server,
                                                      .engine = *engine_,
                                                      .tokenizer = tokenizer_,
                                                      .chat_template = template_.get(),
                                                      .kv = kv,
                                                      .api = {},
                                                      .http = {}});
  app_->api = server::make_api_context({options_.engine.served_name, options_.engine.queue_max},
                                       *engine_, tokenizer_, template_.get());
  server_->start(*app_);
}

House::~House() {
  gate_->open();
  shut_down(true);
  CHECK(controls_->n_violations.load() == 0);
}

bool House::shut_down(bool hurry) {
  if (is_down_) return true;
  is_down_ = true;
  const std::atomic<bool> hurries{hurry};
  return server::shut_down(*server_, *engine_, options_.server, hurries);
}

bool House::eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

bool House::is_empty() const {
  const auto& stats = engine_->stats();
  return engine_->idle() && stats.running.load() == 0 && stats.waiting.load() == 0 &&
         stats.hot_blocks_used.load() == 0 && stats.sealed_blocks_used.load() == 0;
}

std::string chat_of(int n_tokens, const std::string& fields) {
  return R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"temperature":0,)"
         R"("ignore_eos":true,"logit_bias":{"97":100},"max_tokens":)" +
         std::to_string(n_tokens) + fields + "}";
}

std::string streamed_chat_of(int n_tokens, const std::string& fields) {
  return chat_of(n_tokens, R"(,"stream":true)" + fields);
}

}  // namespace tq::test
