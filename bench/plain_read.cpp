#include "bench/plain_read.h"

#include <cstddef>
#include <thread>

namespace tq::bench {

PlainRead::PlainRead(uint64_t n_bytes, int n_threads)
    : words_(static_cast<size_t>(n_bytes / sizeof(uint64_t)), 1), n_threads_(n_threads) {}

void PlainRead::run(int repeats) {
  const auto read_part = [&](int part) {
    for (int r = 0; r < repeats; ++r) read(part);
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < n_threads_; ++i) threads.emplace_back(read_part, i);
  read_part(0);
  for (std::thread& thread : threads) thread.join();
}

void PlainRead::read(int part) {
  const size_t n = words_.size() / static_cast<size_t>(n_threads_);
  const uint64_t* const begin = words_.data() + static_cast<size_t>(part) * n;
  uint64_t sum[8] = {};
  for (size_t i = 0; i + 8 <= n; i += 8) {
    for (size_t j = 0; j < 8; ++j) sum[j] += begin[i + j];
  }
  for (const uint64_t value : sum) sink_.fetch_add(value, std::memory_order_relaxed);
}

}  // namespace tq::bench
