#include "engine/engine.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "config/check.h"
#include "engine/engine_loop.h"
#include "engine/inbox.h"
#include "engine/job_check.h"

namespace tq::engine {

struct Engine::Impl {
  Impl(const EngineConfig& engine_config,
       std::unique_ptr<StepRunner> step_runner,
       const models::Tokenizer& tokenizer)
      : config(engine_config),
        runner(std::move(step_runner)),
        inbox(config.queue_max),
        loop(config, *runner, tokenizer, inbox, stats),
        limits{.vocab_size = std::min(runner->vocab_size(), tokenizer.vocab_size()),
               .context_max = loop.context_max()},
        thread([this]() noexcept { loop.run(); }) {}

  const EngineConfig config;
  const std::unique_ptr<StepRunner> runner;
  EngineStats stats;
  Inbox inbox;
  EngineLoop loop;  // of the thread, once it runs
  const JobLimits limits;
  std::mutex stop_mutex;
  std::thread thread;  // last: it uses all of the above
};

Engine::Engine(const EngineConfig& config,
               std::unique_ptr<StepRunner> runner,
               const models::Tokenizer& tokenizer)
    : impl_(std::make_unique<Impl>(config, std::move(runner), tokenizer)) {}

Engine::~Engine() { stop(); }

Result<SeqId> Engine::submit(Job job) {
  TQ_TRY(check_job(job, impl_->limits));
  return impl_->inbox.submit(std::move(job));
}

void Engine::cancel(SeqId id) { impl_->inbox.cancel(id); }

void Engine::drain() {
  impl_->inbox.close(
      Error{Code::kUnavailable, "the server is draining and takes no new requests", {}});
}

bool Engine::idle() const noexcept { return impl_->inbox.live() == 0; }

void Engine::stop() {
  impl_->inbox.close(Error{Code::kUnavailable, "the engine has stopped", {}});
  impl_->inbox.shut_down();
  // The second caller waits for the first to have joined.
  const std::lock_guard lock(impl_->stop_mutex);
  if (impl_->thread.joinable()) impl_->thread.join();
}

int64_t Engine::context_max() const noexcept { return impl_->limits.context_max; }

const EngineStats& Engine::stats() const noexcept { return impl_->stats; }

}  // namespace tq::engine
