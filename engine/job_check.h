#pragma once
// What the engine relies on in a job, checked before it is queued, so that a bad one is an error to
// its sender and never a surprise on the engine thread. Pure; any thread.

#include "config/result.h"
#include "engine/job.h"

namespace tq::engine {

struct JobLimits {
  int vocab_size = 0;
  int64_t context_max = 0;
};

Result<void> check_job(const Job& job, const JobLimits& limits);

}  // namespace tq::engine
