#include "kernels/cpu/workspace.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "config/check.h"

namespace tq::kernels::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kLanesMax = 16;

size_t query_floats(size_t n_queries, int head_dim) {
  return FloatArena::rounded(n_queries * static_cast<size_t>(head_dim));
}

size_t state_size(size_t n_queries, int head_dim) {
  return query_floats(n_queries, head_dim) + 2 * FloatArena::rounded(n_queries) +
         FloatArena::rounded(n_queries * kLanesMax);
}

PartState take_state(FloatArena& arena, size_t n_queries, int head_dim) {
  PartState state;
  state.o = arena.take(n_queries * static_cast<size_t>(head_dim));
  state.m = arena.take(n_queries);
  state.l = arena.take(n_queries);
  state.l_lanes = arena.take(n_queries * kLanesMax);
  return state;
}

}  // namespace

void FloatArena::Free::operator()(float* p) const noexcept { ::operator delete(p, kAlignment); }

FloatArena::FloatArena(size_t n_floats)
    : floats_(static_cast<float*>(::operator new(rounded(n_floats) * sizeof(float), kAlignment))),
      size_(rounded(n_floats)) {
  std::memset(floats_.get(), 0, size_ * sizeof(float));
}

float* FloatArena::take(size_t n_floats) noexcept {
  float* const p = floats_.get() + used_;
  used_ += rounded(n_floats);
  TQ_CHECK(used_ <= size_, "workspace too small", used_, size_);
  return p;
}

Workspace::Workspace(int head_dim, int q_stride)
    : q_stride_(q_stride),
      arena_(3 * query_floats(kQueriesMax, head_dim) + FloatArena::rounded(kQueriesMax) +
             2 * state_size(kQueriesMax, head_dim)) {
  q_ = arena_.take(static_cast<size_t>(kQueriesMax) * static_cast<size_t>(head_dim));
  q_plain_ = arena_.take(static_cast<size_t>(kQueriesMax) * static_cast<size_t>(head_dim));
  q_float_ = arena_.take(static_cast<size_t>(kQueriesMax) * static_cast<size_t>(head_dim));
  q_unit_ = arena_.take(kQueriesMax);
  part_ = take_state(arena_, kQueriesMax, head_dim);
  total_ = take_state(arena_, kQueriesMax, head_dim);
  // Words are written up to 16 at a time: the last query's may run on behind it.
  const size_t n_words =
      static_cast<size_t>(kQueriesMax) * static_cast<size_t>(q_stride) + kTile / 2;
  q_words_ = std::make_unique<int32_t[]>(n_words);
  q_offset_ =
      std::make_unique<int32_t[]>(static_cast<size_t>(kQueriesMax) * kHeadDimMax / kKeyGroup);
}

void Workspace::lend(QueryBlock& queries) const noexcept {
  queries.q = q_;
  queries.q_plain = q_plain_;
  queries.q_float = q_float_;
  queries.q_words = q_words_.get();
  queries.q_offset = q_offset_.get();
  queries.q_unit = q_unit_;
  queries.q_stride = q_stride_;
}

size_t SplitStates::state_floats() const noexcept {
  return state_size(static_cast<size_t>(n_queries_), head_dim_);
}

void SplitStates::reserve(int n_states, int n_queries) {
  n_queries_ = n_queries;
  const size_t want = static_cast<size_t>(n_states) * state_floats();
  if (want <= capacity_floats_) return;
  capacity_floats_ = want + want / 2;  // contexts grow from step to step
  arena_ = std::make_unique<FloatArena>(capacity_floats_);
  floats_ = arena_->take(capacity_floats_);
}

PartState SplitStates::at(int index) const noexcept {
  const auto n = static_cast<size_t>(n_queries_);
  PartState state;
  state.o = floats_ + static_cast<size_t>(index) * state_floats();
  state.m = state.o + query_floats(n, head_dim_);
  state.l = state.m + FloatArena::rounded(n);
  state.l_lanes = state.l + FloatArena::rounded(n);
  return state;
}

void fold(const PartState& into, const PartState& part, int n_queries, int head_dim) noexcept {
  constexpr float kEmpty = -std::numeric_limits<float>::infinity();
  for (int q = 0; q < n_queries; ++q) {
    if (part.m[q] == kEmpty) continue;
    float* const o = into.o + q * head_dim;
    const float* const add = part.o + q * head_dim;
    if (into.m[q] == kEmpty) {
      std::memcpy(o, add, static_cast<size_t>(head_dim) * sizeof(float));
      into.m[q] = part.m[q];
      into.l[q] = part.l[q];
      continue;
    }
    const float m = std::fmax(into.m[q], part.m[q]);
    const float a = std::exp2(into.m[q] - m);
    const float b = std::exp2(part.m[q] - m);
    for (int j = 0; j < head_dim; ++j) o[j] = o[j] * a + add[j] * b;
    into.l[q] = into.l[q] * a + part.l[q] * b;
    into.m[q] = m;
  }
}

void finish(const PartState& state, int q, int head_dim, float* out) noexcept {
  const float l = state.l[q];
  const float inverse = l > 0.0f ? 1.0f / l : l == 0.0f ? 0.0f : l;  // a NaN stays one
  for (int j = 0; j < head_dim; ++j) out[j] = state.o[q * head_dim + j] * inverse;
}

}  // namespace tq::kernels::cpu
