#include "tests/engine/simulation.h"

#include <algorithm>

namespace tq::test {

namespace {

using engine::Scheduler;
using engine::StepPlan;

constexpr size_t kFaultsMax = 5;

struct SimJob {
  std::vector<TokenId> tokens;  // prompt, then what was generated
  size_t n_prompt = 0;
  size_t n_wanted = 0;  // generated tokens
  int priority = 0;
};

class Run {
 public:
  explicit Run(const SimulationOptions& options)
      : options_(options),
        random_(options.seed),
        scheduler_(options.scheduler),
        runner_({.kv = options.scheduler.kv,
                 .pools = options.scheduler.pools,
                 .host_pools = options.scheduler.host_pools,
                 .vocab_size = options.vocab_size}) {
    for (int i = 0; i < options.n_prefixes; ++i) {
      prefixes_.push_back(random_tokens(options.prompt_max));
    }
  }

  SimulationReport go() {
    // Generous: every step advances somebody by one token at least, and recomputation costs at most
    // the whole sequence per preemption.
    const int64_t steps_max = 200'000;
    while ((n_arrived_ < options_.jobs || !live_.empty()) && report_.faults.empty()) {
      if (++report_.steps > steps_max) fault("the jobs do not end");
      arrive();
      cancel();
      if (options_.meddle) options_.meddle(scheduler_);
      step();
    }
    if (report_.faults.empty()) check_end();
    report_.preemptions = scheduler_.n_preemptions();
    report_.swapped_out = scheduler_.n_swapped_out();
    report_.swapped_in = scheduler_.n_swapped_in();
    report_.prefix_hits = scheduler_.n_prefix_hits();
    return report_;
  }

 private:
  void fault(std::string what) {
    if (report_.faults.size() >= kFaultsMax) return;
    report_.faults.push_back("seed " + std::to_string(options_.seed) + ", step " +
                             std::to_string(report_.steps) + ": " + std::move(what));
  }

  std::vector<TokenId> random_tokens(int64_t n) {
    std::vector<TokenId> tokens;
    for (int64_t i = 0; i < n; ++i) {
      tokens.push_back(static_cast<TokenId>(random_.in(0, options_.vocab_size - 1)));
    }
    return tokens;
  }

  void arrive() {
    while (n_arrived_ < options_.jobs && random_.chance(options_.arrival_chance)) {
      const SeqId id{static_cast<uint64_t>(++n_arrived_)};
      SimJob job;
      const int64_t n_prompt = random_.in(1, options_.prompt_max);
      if (!prefixes_.empty() && random_.chance(0.8)) {
        const auto& prefix = prefixes_[static_cast<size_t>(random_.in(0, options_.n_prefixes - 1))];
        job.tokens.assign(prefix.begin(), prefix.begin() + random_.in(1, n_prompt));
      }
      for (const TokenId t : random_tokens(n_prompt - std::ssize(job.tokens)))
        job.tokens.push_back(t);
      job.n_prompt = job.tokens.size();
      job.n_wanted = static_cast<size_t>(random_.in(1, options_.output_max));
      job.priority = static_cast<int>(random_.in(0, options_.n_priorities - 1));
      const bool fits = n_prompt + 1 <= scheduler_.context_max();
      const auto accepted = scheduler_.submit(id, job.tokens, job.priority);
      if (accepted.ok() != fits) fault("submit() decided wrongly about a prompt's length");
      if (!accepted) {
        if (accepted.error().code != Code::kContextLength) fault("wrong error of submit()");
        ++report_.failed;
        continue;
      }
      live_.emplace(id, std::move(job));
    }
  }

  void cancel() {
    if (live_.empty() || !random_.chance(options_.cancel_chance)) return;
    auto it = live_.begin();
    std::advance(it, random_.in(0, std::ssize(live_) - 1));
    const engine::Sequence* sequence = scheduler_.find(it->first);
    report_.cancelled_parked += sequence != nullptr && !sequence->parked.empty();
    scheduler_.remove(it->first);
    live_.erase(it);
    ++report_.cancelled;
    check_invariants();
  }

  void step() {
    const StepPlan& plan = scheduler_.schedule();
    check_plan(plan);
    if (plan.empty()) return;
    report_.computed += plan.n_tokens;
    StepPlan shown = plan;
    if (options_.sabotage) options_.sabotage(shown);
    report_.seals += std::ssize(plan.seals);
    std::vector<SeqId> ids;
    for (const auto& item : plan.items) ids.push_back(item.seq);
    const bool fails = random_.chance(options_.failure_chance);
    const bool does_nothing = fails && random_.chance(0.5);  // else it fails at its end
    const auto logits = does_nothing ? engine::StepLogits{} : runner_.run(shown, [] {});
    if (!logits) {
      fault(logits.error().message);
      return;
    }
    if (fails) {
      scheduler_.abandon();
      for (const SeqId id : ids) report_.failed += static_cast<int64_t>(live_.erase(id));
      check_invariants();
      return;
    }
    commit(plan, logits->values);
    check_invariants();
  }

  // A removal while the step is in flight must wait for its commit.
  void remove_in_flight(const StepPlan& plan) {
    if (!random_.chance(options_.cancel_chance)) return;
    const SeqId id = plan.items.front().seq;
    scheduler_.remove(id);
    if (scheduler_.find(id) == nullptr) fault("freed a sequence that a submitted step names");
    live_.erase(id);
    ++report_.cancelled;
  }

  void commit(const StepPlan& plan, std::span<const float> logits) {
    remove_in_flight(plan);
    std::vector<TokenId> sampled;
    std::vector<SeqId> ends;
    const auto width = static_cast<size_t>(options_.vocab_size);
    size_t row = 0;
    for (const auto& item : plan.items) {
      if (!item.sample) continue;
      const auto values = logits.subspan(row++ * width, width);
      auto token = static_cast<TokenId>(std::ranges::max_element(values) - values.begin());
      const auto found = live_.find(item.seq);
      if (found == live_.end()) {  // removed in flight: its token goes nowhere
        sampled.push_back(token);
        continue;
      }
      if (random_.chance(options_.bad_row_chance)) {
        sampled.push_back(engine::kNoToken);
        live_.erase(found);
        ++report_.failed;
        continue;
      }
      sampled.push_back(token);
      SimJob& job = found->second;
      // The oracle: the next token of this sequence alone, with no batch, no blocks and no cache.
      const TokenId expected = fake_next(chain_of(job.tokens), options_.vocab_size);
      if (token != expected) {
        fault("sequence " + std::to_string(raw(item.seq)) + " got token " + std::to_string(token) +
              ", alone it would get " + std::to_string(expected));
      }
      job.tokens.push_back(token);
      ++report_.tokens;
      const bool is_full = std::ssize(job.tokens) >= scheduler_.context_max();
      if (job.tokens.size() - job.n_prompt >= job.n_wanted || is_full) ends.push_back(item.seq);
    }
    scheduler_.commit(sampled);
    for (const SeqId id : ends) {
      report_.known += std::ssize(live_.at(id).tokens) - 1;
      scheduler_.remove(id);
      live_.erase(id);
      ++report_.completed;
    }
  }

  void check_plan(const StepPlan& plan) {
    if (plan.empty()) {
      if (!live_.empty()) fault("nothing was scheduled while sequences wait: a spin");
      return;
    }
    int32_t n_tokens = 0;
    for (const auto& item : plan.items) {
      n_tokens += static_cast<int32_t>(item.tokens.size());
      const auto job = live_.find(item.seq);
      if (job == live_.end()) {
        fault("an ended sequence was scheduled");
        continue;
      }
      const auto& tokens = job->second.tokens;
      const auto first = static_cast<size_t>(item.first);
      if (first + item.tokens.size() > tokens.size() ||
          !std::equal(item.tokens.begin(), item.tokens.end(), tokens.begin() + item.first)) {
        fault("an item's tokens are not those of its sequence");
      }
      if (item.sample != (first + item.tokens.size() == tokens.size()))
        fault("sample flag is wrong");
    }
    if (n_tokens != plan.n_tokens || n_tokens > options_.scheduler.step_tokens_max) {
      fault("step of " + std::to_string(n_tokens) + " tokens");
    }
    if (std::ssize(plan.items) > options_.scheduler.seqs_max) fault("too many sequences in a step");
    check_progress(plan);
  }

  // No starvation: of the sequences that run, the best-ranked one is in every step.
  void check_progress(const StepPlan& plan) {
    const engine::Sequence* best = nullptr;
    for (const auto& [id, job] : live_) {
      const engine::Sequence* sequence = scheduler_.find(id);
      const bool runs = sequence != nullptr && !sequence->hot_blocks.empty();
      if (runs && (best == nullptr || sequence->before(*best))) best = sequence;
    }
    if (best == nullptr) return fault("a step without a running sequence");
    const bool advances = std::ranges::any_of(
        plan.items, [&](const engine::StepItem& item) { return item.seq == best->id; });
    if (!advances) fault("the best-ranked sequence was left out of a step");
  }

  void check_invariants() {
    const auto sound = scheduler_.check_invariants();
    if (!sound) fault(sound.error().describe());
  }

  void check_end() {
    using engine::Pool;
    for (const Pool pool : {Pool::kHot, Pool::kSealed}) {
      if (scheduler_.pool().used(pool) != 0 || scheduler_.host_pool().used(pool) != 0)
        fault("blocks are referenced after the last sequence ended");
    }
    if (report_.completed + report_.cancelled + report_.failed != options_.jobs) {
      fault("jobs ended " + std::to_string(report_.completed + report_.cancelled + report_.failed) +
            " times, not " + std::to_string(options_.jobs));
    }
    if (scheduler_.n_running() + scheduler_.n_waiting() != 0) fault("sequences are left");
    if (!scheduler_.schedule().empty()) fault("a step without sequences");
  }

  const SimulationOptions& options_;
  Seeded random_;
  Scheduler scheduler_;
  FakeRunner runner_;
  std::vector<std::vector<TokenId>> prefixes_;
  std::map<SeqId, SimJob> live_;
  int n_arrived_ = 0;
  SimulationReport report_;
};

}  // namespace

SimulationReport simulate(const SimulationOptions& options) { return Run(options).go(); }

}  // namespace tq::test
