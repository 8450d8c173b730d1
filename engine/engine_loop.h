#pragma once
// EngineLoop: the body of the engine thread. One turn takes the inbox, ends what is cancelled or
// late, schedules, runs, samples, commits, and tells the sinks: beside the next step, if a device
// runs that. Engine thread only (tests call it on theirs).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <variant>
#include <vector>

#include "config/engine_config.h"
#include "config/ids.h"
#include "config/result.h"
#include "engine/event_sink.h"
#include "engine/inbox.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/stats.h"
#include "engine/step_runner.h"
#include "engine/step_sampler.h"
#include "models/tokenizer/tokenizer.h"

namespace tq::engine {

class EngineLoop {
 public:
  // All references outlive the loop.
  EngineLoop(const EngineConfig& config,
             StepRunner& runner,
             const models::Tokenizer& tokenizer,
             Inbox& inbox,
             EngineStats& stats);

  void run() noexcept;  // until the inbox is shut down; then everything has ended
  bool turn();          // one round; false: nothing was computed, so wait for the inbox

  int64_t context_max() const noexcept { return scheduler_.context_max(); }
  const Scheduler& scheduler() const noexcept { return scheduler_; }

 private:
  struct Outcome {  // of one sampled item
    SeqId id{};
    TokenId token = kNoToken;
    std::optional<TokenLogprob> logprob;
    std::optional<Error> error;
  };

  struct Event {  // that a sink is to be told
    SeqId id{};
    std::shared_ptr<EventSink> sink;
    std::variant<TokenDelta, Finish> what;
  };

  void take_inbox();
  void accept(Submission submission);
  Request make_request(SeqId id, Job& job, Clock::time_point arrived) const;
  void end_late(Clock::time_point now);
  void mark_started(Clock::time_point now);

  bool run_step(const StepPlan& plan);
  Result<void> run_guarded(const StepPlan& plan);
  Result<void> sample(const StepPlan& plan, const StepLogits& logits);  // sets outcomes_
  RowContext context_of(SeqId id) const;
  void note_sampled(const Result<Sampled>& sampled, Outcome& outcome) const;
  void deliver(Outcome& outcome, Clock::time_point now);

  void fail_step(const StepPlan& plan, const Error& error);
  void end(SeqId id, Finish finish);
  void tell() noexcept;  // the sinks; events_ is empty then
  void end_all(FinishReason reason, const Error& error);
  void note_token(Request& request, Clock::time_point now);
  void note_end(const Request& request, FinishReason reason);
  void refresh_gauges();

  const EngineConfig& config_;
  StepRunner& runner_;
  const models::Tokenizer& tokenizer_;
  Inbox& inbox_;
  EngineStats& stats_;

  Scheduler scheduler_;
  StepSampler sampler_;
  uint64_t seed_base_;  // of requests without a seed
  std::unordered_map<SeqId, Request> requests_;
  std::optional<Error> unhealthy_;

  Inbox::Batch batch_;
  std::vector<Outcome> outcomes_;
  std::vector<Event> events_;
  std::vector<RowContext> contexts_;
  std::vector<TokenId> sampled_;
  std::vector<SeqId> ids_;  // workspace
};

}  // namespace tq::engine
