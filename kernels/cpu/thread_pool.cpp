#include "kernels/cpu/thread_pool.h"

#include <sched.h>

#include <chrono>

namespace tq::kernels::cpu {
namespace {

// How long a thread looks for what it waits for before it sleeps. Layers follow one another within
// a few microseconds, and waking a thread takes tens of them; but other work needs the core too.
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr int kLooksPerClock = 32;

void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once holds() does, or after kSpin. A thread that waits for this core gets it.
template <class Condition>
void spin_until(Condition holds) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (holds()) return;
      pause_core();
    }
    sched_yield();
  } while (std::chrono::steady_clock::now() < deadline);
}

}  // namespace

void ThreadPool::Share::assign(uint32_t first, uint32_t last) noexcept {
  left.store(uint64_t{last} << 32 | first, std::memory_order_relaxed);
}

int ThreadPool::Share::take(End end) noexcept {
  constexpr uint64_t kOneLast = uint64_t{1} << 32;
  uint64_t seen = left.load(std::memory_order_relaxed);
  while (true) {
    const auto first = static_cast<uint32_t>(seen);
    const auto last = static_cast<uint32_t>(seen >> 32);
    if (first >= last) return -1;
    const uint64_t rest = end == End::kFirst ? seen + 1 : seen - kOneLast;
    if (left.compare_exchange_weak(seen, rest, std::memory_order_relaxed)) {
      return static_cast<int>(end == End::kFirst ? first : last - 1);
    }
  }
}

ThreadPool::ThreadPool(int n_threads) : shares_(static_cast<size_t>(n_threads)) {
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
  const size_t own = static_cast<size_t>(thread);
  for (int item; (item = shares_[own].take(End::kFirst)) >= 0;) fn_(context_, item, thread);
  for (size_t i = 1; i < shares_.size(); ++i) {
    Share& other = shares_[(own + i) % shares_.size()];
    for (int item; (item = other.take(End::kLast)) >= 0;) fn_(context_, item, thread);
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
    const auto n = static_cast<uint64_t>(n_items);
    for (size_t i = 0; i < shares_.size(); ++i) {
      shares_[i].assign(static_cast<uint32_t>(n * i / shares_.size()),
                        static_cast<uint32_t>(n * (i + 1) / shares_.size()));
    }
    open_ = true;
    posted_.store(++job_, std::memory_order_release);
  }
  wake_.notify_all();
  take_items(0);
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  const auto all_left = [this] { return joined_.load(std::memory_order_acquire) == 0; };
  spin_until(all_left);
  if (all_left()) return;
  std::unique_lock lock(mutex_);
  done_.wait(lock, all_left);
}

void ThreadPool::worker_main(int thread) noexcept {
  uint64_t seen = 0;
  while (true) {
    spin_until([&] { return posted_.load(std::memory_order_acquire) != seen; });
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stopping_ || job_ != seen; });
    if (stopping_) return;
    seen = job_;
    if (!open_) continue;  // too late for that one: look for the next before sleeping
    joined_.fetch_add(1, std::memory_order_relaxed);
    lock.unlock();
    take_items(thread);
    lock.lock();
    if (joined_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_one();
  }
}

}  // namespace tq::kernels::cpu
