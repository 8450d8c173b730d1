#pragma once
// Simulation: a scheduler with a fake runner, driven by a seeded stream of arrivals, cancels and
// endings, and everything that can be checked about it after every step.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "tests/support/fake_runner.h"
#include "tests/support/seeded.h"

namespace tq::test {

struct SimulationOptions {
  uint64_t seed = 1;
  engine::SchedulerOptions scheduler;
  int vocab_size = 97;
  int jobs = 40;
  int64_t prompt_max = 100;
  int64_t output_max = 60;
  double arrival_chance = 0.3;  // per step
  double cancel_chance = 0.01;
  double failure_chance = 0.0;  // of a step
  double bad_row_chance = 0.0;  // a sampled row cannot be sampled
  int n_prefixes = 3;           // prompts begin with one of them, mostly
  int n_priorities = 3;
  // Changes what the runner is shown; the checks must notice.
  std::function<void(engine::StepPlan&)> sabotage;
  // Runs before each schedule().
  std::function<void(engine::Scheduler&)> meddle;
};

struct SimulationReport {
  std::vector<std::string> faults;  // none, or the checks found something
  int64_t steps = 0;
  int64_t completed = 0;
  int64_t cancelled = 0;
  int64_t failed = 0;
  int64_t tokens = 0;
  int64_t computed = 0;  // tokens of all steps
  int64_t known = 0;     // of completed sequences, but the last one of each
  uint64_t preemptions = 0;
  uint64_t swapped_out = 0;  // blocks
  uint64_t swapped_in = 0;
  int64_t cancelled_parked = 0;
  uint64_t prefix_hits = 0;
  int64_t seals = 0;
  int64_t longest_wait = 0;  // steps between two advances of the best-ranked running sequence
};

SimulationReport simulate(const SimulationOptions& options);

}  // namespace tq::test
