#include "engine/engine_loop.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "config/check.h"
#include "config/log.h"

namespace tq::engine {

namespace {

// Positions are 32 bit in a step; and no model's context comes near it.
constexpr int64_t kPositionsMax = std::numeric_limits<int32_t>::max() / 2;

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

SchedulerOptions scheduler_options(const EngineConfig& config, const StepRunner& runner) {
  return {.kv = config.kv,
          .pools = runner.pools(),
          .host_pools = runner.host_pools(),
          .seqs_max = config.seqs_max,
          .step_tokens_max = config.step_tokens_max,
          .context_max =
              config.context_max > 0 ? std::min(config.context_max, kPositionsMax) : kPositionsMax};
}

}  // namespace

EngineLoop::EngineLoop(const EngineConfig& config,
                       StepRunner& runner,
                       const models::Tokenizer& tokenizer,
                       Inbox& inbox,
                       EngineStats& stats)
    : config_(config),
      runner_(runner),
      tokenizer_(tokenizer),
      inbox_(inbox),
      stats_(stats),
      scheduler_(scheduler_options(config, runner)),
      seed_base_(random_seed()) {
  TQ_CHECK(runner.layout().block_tokens() == config.kv.block_tokens,
           "the runner's blocks have another size", runner.layout().block_tokens(),
           config.kv.block_tokens);
  stats_.hot_blocks_total = scheduler_.pool().total(Pool::kHot);
  stats_.sealed_blocks_total = scheduler_.pool().total(Pool::kSealed);
}

void EngineLoop::run() noexcept {
  while (true) {
    const bool computed = turn();
    if (batch_.shut_down) break;
    if (!computed) inbox_.wait();
  }
  end_all(FinishReason::kCancelled, Error{Code::kUnavailable, "the engine was stopped", {}});
  tell();
}

bool EngineLoop::turn() {
  take_inbox();
  if (batch_.shut_down) return false;
  end_late(Clock::now());
  const StepPlan& plan = scheduler_.schedule();
  mark_started(Clock::now());
  if (plan.empty()) {
    // The scheduler always finds work if there is any; should that ever be wrong, the requests
    // learn of it instead of waiting for ever.
    if (!requests_.empty()) {
      end_all(FinishReason::kError, Error{Code::kInternal, "nothing could be scheduled", {}});
    }
    refresh_gauges();
    tell();
    return false;
  }
  const bool computed = run_step(plan);
  refresh_gauges();
  if (!computed) tell();
  return computed || !requests_.empty();
}

// ---- Into the engine.

void EngineLoop::take_inbox() {
  inbox_.take(batch_);
  for (Submission& submission : batch_.submissions) accept(std::move(submission));
  for (const SeqId id : batch_.cancels) end(id, {.reason = FinishReason::kCancelled});
}

void EngineLoop::accept(Submission submission) {
  const SeqId id = submission.id;
  Job& job = submission.job;
  const auto [entry, is_new] = requests_.emplace(id, make_request(id, job, submission.arrived));
  TQ_CHECK(is_new, "sequence id came twice", raw(id));
  if (unhealthy_) {
    end(id, {.reason = FinishReason::kError, .error = *unhealthy_});
    return;
  }
  const auto accepted = scheduler_.submit(id, std::move(job.prompt), job.priority);
  if (!accepted) end(id, {.reason = FinishReason::kError, .error = accepted.error()});
}

Request EngineLoop::make_request(SeqId id, Job& job, Clock::time_point arrived) const {
  std::vector<TokenId> stop_tokens = std::move(job.stop.token_ids);
  if (!job.stop.ignore_eos) {
    const auto& special = tokenizer_.special().stop;
    stop_tokens.insert(stop_tokens.end(), special.begin(), special.end());
  }
  // The text after a prompt is what the prompt's text grows by. A sentencepiece model's first space
  // is dropped only where text begins: after no text at all, or after a control token (a new turn).
  const bool begins_text =
      tokenizer_.is_control(job.prompt.back()) || std::ranges::all_of(job.prompt, [&](TokenId t) {
        return tokenizer_.piece(t, false).empty();
      });
  // Golden-ratio steps keep the seeds of neighbouring ids apart; the generator mixes them further.
  const uint64_t own_seed = seed_base_ + raw(id) * 0x9e3779b97f4a7c15ull;
  const uint64_t seed = job.sampling.seed.value_or(own_seed);
  return Request{
      .id = id,
      .sampling = std::move(job.sampling),
      .seed = seed,
      .stop_tokens = std::move(stop_tokens),
      .max_tokens = job.stop.max_tokens,
      .min_tokens = job.stop.min_tokens,
      .deadline = job.deadline,
      .sink = std::move(job.sink),
      .text = TextStream({.stop_strings = std::move(job.stop.strings),
                          .include_stop_string = job.stop.include_stop_string,
                          .drop_leading_space = tokenizer_.strips_leading_space() && begins_text}),
      .usage = {.prompt_tokens = static_cast<int64_t>(job.prompt.size())},
      .arrived = arrived,
      .started = {},
      .first_token = {},
      .last_token = {}};
}

void EngineLoop::end_late(Clock::time_point now) {
  ids_.clear();
  const auto queue_max = std::chrono::milliseconds(config_.queue_ms_max);
  for (const auto& [id, request] : requests_) {
    const bool late = request.deadline && now >= *request.deadline;
    const bool waited = !request.started && now - request.arrived >= queue_max;
    if (late || waited) ids_.push_back(id);
  }
  for (const SeqId id : ids_) {
    const Request& request = requests_.at(id);
    if (request.deadline && now >= *request.deadline) {
      end(id, {.reason = FinishReason::kError,
               .error = Error{Code::kDeadline, "the request's time limit passed", {}}});
    } else {
      end(id, {.reason = FinishReason::kError,
               .error = Error{Code::kUnavailable,
                              "the request waited longer than queue_ms_max = " +
                                  std::to_string(config_.queue_ms_max) + " ms",
                              {}}});
    }
  }
}

void EngineLoop::mark_started(Clock::time_point now) {
  for (const SeqId id : scheduler_.admitted()) {
    Request& request = requests_.at(id);
    request.started = now;
    request.usage.cached_tokens = scheduler_.find(id)->n_cached;
    stats_.queue_s.observe(seconds(now - request.arrived));
    inbox_.started(id);
  }
}

// ---- One step.

// The wall of the engine step: what a library below throws ends here, as an error.
Result<void> EngineLoop::run_guarded(const StepPlan& plan) {
  try {
    TQ_ASSIGN(const StepLogits logits, runner_.run(plan, [this] { tell(); }));
    return sample(plan, logits);
  } catch (const std::exception& e) {
    return Error{Code::kInternal, std::string("the step failed: ") + e.what(), "runner"};
  }
}

bool EngineLoop::run_step(const StepPlan& plan) {
  const int32_t n_tokens = plan.n_tokens;
  const Result<void> done = run_guarded(plan);
  if (!done) {
    fail_step(plan, done.error());
    return false;
  }
  stats_.steps.fetch_add(1, std::memory_order_relaxed);
  stats_.step_tokens.observe(n_tokens);
  sampled_.clear();
  for (const Outcome& outcome : outcomes_) sampled_.push_back(outcome.token);
  scheduler_.commit(sampled_);
  const auto now = Clock::now();
  for (Outcome& outcome : outcomes_) deliver(outcome, now);
  return true;
}

Result<void> EngineLoop::sample(const StepPlan& plan, const StepLogits& logits) {
  outcomes_.clear();
  contexts_.clear();
  for (const StepItem& item : plan.items) {
    if (!item.sample) continue;
    outcomes_.push_back({.id = item.seq, .token = kNoToken, .logprob = {}, .error = {}});
    contexts_.push_back(context_of(item.seq));
  }
  // Models pad their vocabulary; a token that the tokenizer does not know has no text, so none is
  // drawn.
  const int width = runner_.vocab_size();
  return sampler_.sample(
      logits, contexts_, {.row = width, .n_tokens = std::min(width, tokenizer_.vocab_size())},
      [&](size_t i, const Result<Sampled>& sampled) { note_sampled(sampled, outcomes_[i]); });
}

RowContext EngineLoop::context_of(SeqId id) const {
  const Sequence& sequence = *scheduler_.find(id);
  const Request& request = requests_.at(id);
  const bool too_early = request.usage.completion_tokens < request.min_tokens;
  return {.params = &request.sampling,
          .seed = request.seed,
          .tokens = sequence.tokens,
          .n_prompt = sequence.n_prompt,
          .banned = too_early ? std::span<const TokenId>(request.stop_tokens)
                              : std::span<const TokenId>()};
}

void EngineLoop::note_sampled(const Result<Sampled>& sampled, Outcome& outcome) const {
  if (!sampled) {
    outcome.error = sampled.error();
    return;
  }
  outcome.token = sampled->token;
  if (!requests_.at(outcome.id).sampling.logprobs) return;
  TokenLogprob logprob{.token = sampled->token,
                       .logprob = sampled->logprob,
                       .bytes = std::string(tokenizer_.piece(sampled->token, true)),
                       .top = {}};
  for (const RankedToken& top : sampled->top) {
    logprob.top.push_back({.token = top.token,
                           .logprob = top.logprob,
                           .bytes = std::string(tokenizer_.piece(top.token, true))});
  }
  outcome.logprob = std::move(logprob);
}

// ---- Out of the engine.

void EngineLoop::deliver(Outcome& outcome, Clock::time_point now) {
  const SeqId id = outcome.id;
  Request& request = requests_.at(id);
  if (outcome.error) {
    end(id, {.reason = FinishReason::kError, .error = std::move(outcome.error)});
    return;
  }
  note_token(request, now);
  if (std::ranges::find(request.stop_tokens, outcome.token) != request.stop_tokens.end()) {
    end(id, {.reason = FinishReason::kStop, .stop_token = outcome.token});
    return;
  }
  TokenDelta delta;
  delta.tokens.push_back(outcome.token);
  if (outcome.logprob) delta.logprobs.push_back(std::move(*outcome.logprob));
  const int64_t n_generated = request.usage.completion_tokens;
  const bool stops = request.text.push(tokenizer_.piece(outcome.token, false),
                                       n_generated >= request.min_tokens, delta.text);
  const bool is_full = n_generated >= request.max_tokens ||
                       scheduler_.find(id)->n_known() >= scheduler_.context_max();
  if (is_full && !stops) request.text.flush(delta.text);
  events_.push_back({.id = id, .sink = request.sink, .what = std::move(delta)});
  if (stops) {
    end(id, {.reason = FinishReason::kStop, .stop_string = std::string(request.text.matched())});
  } else if (is_full) {
    end(id, {.reason = FinishReason::kLength});
  }
}

void EngineLoop::fail_step(const StepPlan& plan, const Error& error) {
  log().error("engine step failed: {}", error.describe());
  ids_.clear();
  for (const StepItem& item : plan.items) ids_.push_back(item.seq);
  scheduler_.abandon();
  if (error.code == Code::kUnavailable) {
    unhealthy_ = error;
    stats_.healthy.store(false, std::memory_order_relaxed);
    inbox_.close(error);
    end_all(FinishReason::kError, error);
    return;
  }
  const std::vector<SeqId> failed = ids_;
  for (const SeqId id : failed) end(id, {.reason = FinishReason::kError, .error = error});
}

void EngineLoop::end(SeqId id, Finish finish) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  Request& request = found->second;
  scheduler_.remove(id);
  TokenDelta rest;
  request.text.flush(rest.text);
  if (!rest.text.empty()) {
    events_.push_back({.id = id, .sink = request.sink, .what = std::move(rest)});
  }
  finish.usage = request.usage;
  note_end(request, finish.reason);
  refresh_gauges();
  events_.push_back({.id = id, .sink = std::move(request.sink), .what = std::move(finish)});
  requests_.erase(found);
}

// Waking those who wait for them costs more than all else that the engine does for a step.
void EngineLoop::tell() noexcept {
  for (Event& event : events_) {
    if (auto* const delta = std::get_if<TokenDelta>(&event.what)) {
      event.sink->on_delta(std::move(*delta));
    } else {
      event.sink->on_finish(std::move(std::get<Finish>(event.what)));
      inbox_.ended(event.id);
    }
  }
  events_.clear();
}

void EngineLoop::end_all(FinishReason reason, const Error& error) {
  std::vector<SeqId> ids;
  for (const auto& [id, request] : requests_) ids.push_back(id);
  std::ranges::sort(ids);
  for (const SeqId id : ids) end(id, {.reason = reason, .error = error});
}

void EngineLoop::note_token(Request& request, Clock::time_point now) {
  ++request.usage.completion_tokens;
  if (!request.first_token) {
    request.first_token = now;
    stats_.time_to_first_token_s.observe(seconds(now - request.arrived));
    stats_.prefill_s.observe(seconds(now - *request.started));
    stats_.prompt_tokens.fetch_add(static_cast<uint64_t>(request.usage.prompt_tokens),
                                   std::memory_order_relaxed);
  } else {
    stats_.inter_token_latency_s.observe(seconds(now - request.last_token));
  }
  request.last_token = now;
  stats_.generation_tokens.fetch_add(1, std::memory_order_relaxed);
}

void EngineLoop::note_end(const Request& request, FinishReason reason) {
  const auto now = Clock::now();
  stats_.e2e_latency_s.observe(seconds(now - request.arrived));
  if (request.started) stats_.inference_s.observe(seconds(now - *request.started));
  if (request.first_token)
    stats_.decode_s.observe(seconds(request.last_token - *request.first_token));
  stats_.request_prompt_tokens.observe(static_cast<double>(request.usage.prompt_tokens));
  stats_.request_generation_tokens.observe(static_cast<double>(request.usage.completion_tokens));
  switch (reason) {
    case FinishReason::kStop: ++stats_.finished_stop; break;
    case FinishReason::kLength: ++stats_.finished_length; break;
    case FinishReason::kCancelled: ++stats_.finished_cancelled; break;
    case FinishReason::kError: ++stats_.finished_error; break;
  }
}

void EngineLoop::refresh_gauges() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const BlockPool& pool = scheduler_.pool();
  stats_.running.store(static_cast<int64_t>(scheduler_.n_running()), kRelaxed);
  stats_.waiting.store(static_cast<int64_t>(scheduler_.n_waiting()), kRelaxed);
  stats_.hot_blocks_used.store(pool.used(Pool::kHot), kRelaxed);
  stats_.sealed_blocks_used.store(pool.used(Pool::kSealed), kRelaxed);
  stats_.tokens_held.store(scheduler_.n_tokens_held(), kRelaxed);
  stats_.preemptions.store(scheduler_.n_preemptions(), kRelaxed);
  stats_.blocks_swapped_out.store(scheduler_.n_swapped_out(), kRelaxed);
  stats_.blocks_swapped_in.store(scheduler_.n_swapped_in(), kRelaxed);
  stats_.prefix_queries.store(scheduler_.n_prefix_queries(), kRelaxed);
  stats_.prefix_hits.store(scheduler_.n_prefix_hits(), kRelaxed);
}

}  // namespace tq::engine
