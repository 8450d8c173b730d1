#include "engine/inbox.h"

#include <string>
#include <utility>

namespace tq::engine {

Result<SeqId> Inbox::submit(Job job) {
  SeqId id{};
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return *closed_;
    if (n_queued_ >= queue_max_) {
      return Error{Code::kOverloaded,
                   "the queue is full: " + std::to_string(queue_max_) + " requests wait already",
                   {}};
    }
    ++n_queued_;
    id = SeqId{++n_ids_};
    live_.emplace(id, Live{});
    submissions_.push_back({id, std::move(job), Clock::now()});
  }
  wake_.notify_one();
  return id;
}

void Inbox::cancel(SeqId id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(id);
    if (found == live_.end() || std::exchange(found->second.cancelled, true)) return;
    cancels_.push_back(id);
  }
  wake_.notify_one();
}

void Inbox::close(Error reason) {
  const std::lock_guard lock(mutex_);
  if (!closed_) closed_ = std::move(reason);
}

void Inbox::shut_down() {
  {
    const std::lock_guard lock(mutex_);
    shut_down_ = true;
  }
  wake_.notify_one();
}

size_t Inbox::live() const {
  const std::lock_guard lock(mutex_);
  return live_.size();
}

void Inbox::take(Batch& batch) {
  batch.submissions.clear();
  batch.cancels.clear();
  const std::lock_guard lock(mutex_);
  batch.submissions.swap(submissions_);
  batch.cancels.swap(cancels_);
  batch.shut_down = shut_down_;
}

void Inbox::wait() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return !submissions_.empty() || !cancels_.empty() || shut_down_; });
}

void Inbox::started(SeqId id) {
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(id);
  if (found != live_.end() && std::exchange(found->second.queued, false)) --n_queued_;
}

void Inbox::ended(SeqId id) {
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(id);
  if (found == live_.end()) return;
  if (found->second.queued) --n_queued_;
  live_.erase(found);
}

}  // namespace tq::engine
