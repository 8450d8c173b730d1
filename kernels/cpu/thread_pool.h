#pragma once
// ThreadPool: a fixed set of threads that share the items of one job at a time. No allocation per
// job. run() is called by one thread (the engine's), which works too; with one thread in all,
// everything runs inline.
//
// Each thread has a run of neighbouring items, since neighbours often lie side by side in memory:
// it reads on where it was, and what it fetched ahead is its own. One that is done takes the last
// items of the others.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace tq::kernels::cpu {

class ThreadPool {
 public:
  // fn(context, item, thread): thread is 0 for the caller, 1 .. n_threads - 1 for the pool's own.
  using Function = void (*)(void* context, int item, int thread);

  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const noexcept { return static_cast<int>(workers_.size()) + 1; }

  // Runs fn for items 0 .. n_items - 1, each once; returns when all are done. A thread takes its
  // own in ascending order, mostly one after the other; nothing else is promised of the order. It
  // never waits for a thread that has not started: on a busy machine the caller does the work
  // itself.
  void run(int n_items, Function fn, void* context) noexcept;

 private:
  enum class End { kFirst, kLast };

  // What is left of a thread's items, [first, last) in the halves of a word.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};

    void assign(uint32_t first, uint32_t last) noexcept;
    int take(End end) noexcept;  // an item; -1 where none is left
  };

  void worker_main(int thread) noexcept;
  void take_items(int thread) noexcept;

  std::mutex mutex_;
  std::condition_variable wake_;  // workers: a job has opened, or the pool stops
  std::condition_variable done_;  // the caller: the last joined worker has left the job
  Function fn_ = nullptr;         // written only while no worker is in a job
  void* context_ = nullptr;
  bool open_ = false;                 // workers may join; guarded by mutex_
  bool stopping_ = false;             // guarded by mutex_
  uint64_t job_ = 0;                  // guarded by mutex_
  std::atomic<int> joined_{0};        // workers inside the job; changed under mutex_
  std::atomic<uint64_t> posted_{0};   // copy of job_ that idle workers look at before they sleep
  std::vector<Share> shares_;         // one per thread
  std::vector<std::thread> workers_;  // last: started when the rest is ready
};

}  // namespace tq::kernels::cpu
