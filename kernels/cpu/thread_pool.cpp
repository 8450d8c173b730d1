#include "kernels/cpu/thread_pool.h"

#include <chrono>

namespace tq::kernels::cpu {
namespace {

// An idle worker looks for the next job this long before it sleeps: layers follow one another
// closely, but the matrix products between them need the core.
constexpr auto kSpin = std::chrono::microseconds(20);

void spin_until_changed(const std::atomic<uint64_t>& value, uint64_t seen) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  while (value.load(std::memory_order_acquire) == seen &&
         std::chrono::steady_clock::now() < deadline) {
  }
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) {
  workers_.reserve(static_cast<size_t>(n_threads - 1));
  for (int thread = 1; thread < n_threads; ++thread) {
    workers_.emplace_back([this, thread] { worker_main(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    posted_.store(++job_, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_items(int thread) noexcept {
  for (int item = next_.fetch_add(1, std::memory_order_relaxed); item < n_items_;
       item = next_.fetch_add(1, std::memory_order_relaxed)) {
    fn_(context_, item, thread);
  }
}

void ThreadPool::run(int n_items, Function fn, void* context) noexcept {
  if (workers_.empty() || n_items <= 1) {
    for (int item = 0; item < n_items; ++item) fn(context, item, 0);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    fn_ = fn;
    context_ = context;
    n_items_ = n_items;
    next_.store(0, std::memory_order_relaxed);
    open_ = true;
    posted_.store(++job_, std::memory_order_release);
  }
  wake_.notify_all();
  take_items(0);
  std::unique_lock lock(mutex_);
  open_ = false;
  done_.wait(lock, [this] { return joined_ == 0; });
}

void ThreadPool::worker_main(int thread) noexcept {
  uint64_t seen = 0;
  while (true) {
    spin_until_changed(posted_, seen);
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stopping_ || (open_ && job_ != seen); });
    if (stopping_) return;
    seen = job_;
    ++joined_;
    lock.unlock();
    take_items(thread);
    lock.lock();
    if (--joined_ == 0) done_.notify_one();
  }
}

}  // namespace tq::kernels::cpu
