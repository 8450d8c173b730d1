#pragma once
// What sampling takes of a device: DeviceSelect on rows of random logits, beside the copy of the
// rows to the host that it saves. One thread.

#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

struct SelectCaseOptions {
  int n_rows = 1;
  int vocab = 0;
  std::string kind;  // of kSelectKinds
  uint64_t seed = 1;
};

// The largest logit; a draw from all; what top_p and min_p ask for.
inline constexpr const char* kSelectKinds[] = {"greedy", "draw", "top_p"};

// Seconds of a call, one number for each run.
struct SelectSeconds {
  std::vector<double> select;  // copies of questions and answers included
  std::vector<double> copy;
};
Result<SelectSeconds> measure_select(const SelectCaseOptions& options, int n_runs);

}  // namespace tq::bench
