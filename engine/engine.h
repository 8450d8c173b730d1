#pragma once
// Engine: one thread that owns the scheduler, the sequences, the block pools and the runner, and
// turns jobs into events. submit(), cancel(), drain() and stats() may be called from any thread;
// everything else happens on the engine's own.

#include <memory>

#include "config/engine_config.h"
#include "config/ids.h"
#include "config/result.h"
#include "engine/job.h"
#include "engine/stats.h"
#include "engine/step_runner.h"
#include "models/tokenizer/tokenizer.h"

namespace tq::engine {

class Engine {
 public:
  // tokenizer outlives the engine. Starts the thread.
  Engine(const EngineConfig& config,
         std::unique_ptr<StepRunner> runner,
         const models::Tokenizer& tokenizer);
  ~Engine();  // stop()
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Bounded and non-blocking. Errors, at once and with no event: kOverloaded (queue full),
  // kUnavailable (draining, stopped, unhealthy), kContextLength (prompt + 1 over the context, or a
  // prompt that the pools could never hold). On success the sink gets exactly one on_finish().
  Result<SeqId> submit(Job job);

  // Ends the sequence with kCancelled at the next step; unknown or finished ids are ignored. Never
  // refused.
  void cancel(SeqId id);

  void drain();                // refuse new jobs, finish the accepted ones
  bool idle() const noexcept;  // nothing running, waiting, or in the inbox
  void stop();                 // cancel what is left, join; idempotent

  int64_t context_max() const noexcept;  // tokens of prompt + completion that one sequence may have
  const EngineStats& stats() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tq::engine
