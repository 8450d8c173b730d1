#pragma once
// The kernels behind DeviceSelect (select.cu), put on a stream. Their arguments have been checked
// (cuda_select.cpp). No CUDA header is needed here. Engine thread only.

#include <cstdint>

#include "config/result.h"
#include "kernels/cuda/launch.h"
#include "kernels/device_select.h"

namespace tq::kernels::cuda {

inline constexpr int kSelectThreads = 256;
inline constexpr int kSelectParts = 8;  // blocks to a row
inline constexpr int kSelectLoads = 8;  // of a thread, on their way at once
// Tokens whose ids differ by multiples of it are a group. The n-th largest of the groups' maxima is
// not above the n-th largest logit, and seldom far below: tokens side by side are in many groups.
inline constexpr int kSelectGroups = kSelectParts * kSelectThreads;
// Tokens side by side whose weights are summed by a warp.
inline constexpr int kGranule = 32 * kSelectLoads;
static_assert(kSelectTopMax <= kSelectGroups);

// A RowQuery, and where its answer's tokens go.
struct SelectQuery {
  RowQuery asked;
  int32_t top_first = 0;
  int32_t top_size = 0;
};

// A RowAnswer as kernels write it.
struct SelectFacts {
  double total = 0.0;
  float max = kExcludedLogit;
  int32_t n_top = 0;  // that were found, whether there was room or not
  TokenId drawn = -1;
  float drawn_logit = 0.0f;
};

struct SelectParams {
  float* logits;
  int32_t row_size;
  int32_t n_tokens;
  int32_t n_granules;
  const SelectQuery* queries;
  const LogitChange* changes;
  int32_t n_changes;
  SelectFacts* facts;  // [queries], as above
  int32_t* bad_rows;   // [n_rows], zero; 1 of one that is not finite
  float* raw;          // [changes], logits before them
  TokenLogit* top;
  float* maxima;  // [queries, kSelectGroups]
  double* sums;   // [queries, n_granules]
};

Result<void> launch_change(const SelectParams& params, Stream stream);
// Of so many queries from params.queries on, whose facts, maxima and sums are the first too.
Result<void> launch_select(const SelectParams& params, int32_t n_queries, Stream stream);

}  // namespace tq::kernels::cuda
