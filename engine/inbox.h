#pragma once
// Inbox: the one way into the engine. A bounded queue of jobs and a set of cancelled ids under one
// mutex, held for a push or a swap. submit(), cancel(), close(), shut_down() and live() may be
// called from any thread; take(), wait(), started() and ended() by the engine thread.
//
// What bounds it: jobs that have not started yet, in here or already taken, are at most queue_max;
// cancels are at most one per live id.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "engine/job.h"

namespace tq::engine {

using Clock = std::chrono::steady_clock;

struct Submission {
  SeqId id{};
  Job job;
  Clock::time_point arrived;
};

class Inbox {
 public:
  explicit Inbox(int queue_max) : queue_max_(queue_max) {}

  // kOverloaded: queue_max jobs wait already. The error of close(), after it.
  Result<SeqId> submit(Job job);
  void cancel(SeqId id);  // never refused; an unknown or ended id is ignored

  void close(Error reason);  // refuse jobs from now on; the first reason stays
  void shut_down();          // the engine thread is to end; close() comes first
  size_t live() const;       // ids submitted and not ended

  struct Batch {
    std::vector<Submission> submissions;  // oldest first
    std::vector<SeqId> cancels;
    bool shut_down = false;
  };
  void take(Batch& batch);  // what came since; never waits. Submissions before their cancels
  void wait();              // until there is something to take

  void started(SeqId id);  // it leaves the queue; calling it again is harmless
  void ended(SeqId id);    // its id is no longer live

 private:
  struct Live {
    bool queued = true;
    bool cancelled = false;
  };

  const int queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Submission> submissions_;
  std::vector<SeqId> cancels_;
  std::unordered_map<SeqId, Live> live_;
  int n_queued_ = 0;
  uint64_t n_ids_ = 0;
  std::optional<Error> closed_;
  bool shut_down_ = false;
};

}  // namespace tq::engine
