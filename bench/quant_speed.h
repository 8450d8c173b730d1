#pragma once
// How fast the quantisers of quant/ encode, decode and score on one thread. Main thread only.

#include <cstdint>
#include <vector>

#include "config/result.h"

namespace tq::bench {

struct SpeedOptions {
  int dim = 128;
  int bits = 4;
  int n_runs = 11;  // the median counts
  uint64_t seed = 1;
};

struct SpeedRow {
  const char* what = "";
  int dim = 0;
  int bits = 0;
  double encode_per_s = 0.0;  // medians
  double decode_per_s = 0.0;
  double score_per_s = 0.0;
  double row_bytes = 0.0;
};

// TurboMse, the KV store's reference coder of keys and values, and TurboIp over the same rows [n,
// dim], rotation included, in interleaved runs.
Result<std::vector<SpeedRow>> measure_speed(const SpeedOptions& options,
                                            const std::vector<float>& rows);

}  // namespace tq::bench
