#pragma once
// PlainRead: a plain sum over memory, on as many threads as the kernels get: what the machine's
// memory gives a loop that does nothing else. Main thread only.

#include <atomic>
#include <cstdint>
#include <vector>

namespace tq::bench {

class PlainRead {
 public:
  PlainRead(uint64_t n_bytes, int n_threads);

  // Threads are started once for all repeats: a buffer that fits the cache is read sooner than one
  // starts.
  void run(int repeats);
  uint64_t bytes() const { return words_.size() * sizeof(uint64_t); }

 private:
  void read(int part);

  std::vector<uint64_t> words_;
  int n_threads_;
  std::atomic<uint64_t> sink_{0};  // keeps the loop
};

}  // namespace tq::bench
