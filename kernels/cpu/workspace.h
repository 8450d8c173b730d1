#pragma once
// Workspace: one thread's scratch of the CPU backend: a block of queries in all its forms, and
// partial softmax states. One allocation, at start or in plan(). Used by one thread at a time.

#include <cstddef>
#include <memory>

#include "kernels/cpu/isa_kernels.h"

namespace tq::kernels::cpu {

// Floats in cache-line aligned memory, cut into arrays in order.
class FloatArena {
 public:
  explicit FloatArena(size_t n_floats);
  float* take(size_t n_floats) noexcept;  // 64-byte aligned

  static size_t rounded(size_t n_floats) noexcept { return (n_floats + 15) / 16 * 16; }

 private:
  struct Free {
    void operator()(float* p) const noexcept;
  };
  std::unique_ptr<float, Free> floats_;
  size_t size_ = 0;
  size_t used_ = 0;
};

class Workspace {
 public:
  // q_stride: QueryBlock's.
  Workspace(int head_dim, int q_stride);

  float* q() noexcept { return q_; }              // [kQueriesMax, head_dim]
  float* q_plain() noexcept { return q_plain_; }  // the same size
  // Which SplitGroup's queries are in here, prepared; -1: none that a part may use.
  int32_t prepared_split = -1;
  // Points the scratch members of `queries` here.
  void lend(QueryBlock& queries) const noexcept;
  const PartState& part() const noexcept { return part_; }    // of the part being computed
  const PartState& total() const noexcept { return total_; }  // of the parts folded so far

 private:
  int q_stride_ = 0;
  FloatArena arena_;
  float* q_ = nullptr;
  float* q_plain_ = nullptr;
  float* q_float_ = nullptr;
  float* q_unit_ = nullptr;
  std::unique_ptr<int32_t[]> q_words_;
  std::unique_ptr<int32_t[]> q_offset_;
  PartState part_;
  PartState total_;
};

// States of split parts: [n_states][kQueriesMax] queries. Grows in plan() only.
class SplitStates {
 public:
  explicit SplitStates(int head_dim) : head_dim_(head_dim) {}
  void reserve(int n_states, int n_queries);
  PartState at(int index) const noexcept;

 private:
  size_t state_floats() const noexcept;
  int head_dim_;
  int n_queries_ = 0;
  size_t capacity_floats_ = 0;
  std::unique_ptr<FloatArena> arena_;
  float* floats_ = nullptr;
};

// into <- into + part, exactly as if the tiles had been walked in one go up to rounding; the fixed
// order of calls makes it reproducible. Empty states (m = -infinity) change nothing.
void fold(const PartState& into, const PartState& part, int n_queries, int head_dim) noexcept;

// o / l of query `q`, or zeros where it saw no key.
void finish(const PartState& state, int q, int head_dim, float* out) noexcept;

}  // namespace tq::kernels::cpu
