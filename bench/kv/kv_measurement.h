#pragma once
// Runs one sequence per format, context and round through the model, as the engine would: chunks
// that end at seal points, blocks sealed as they leave the window, then tokens one by one. Main
// thread only.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/kv/kv_report.h"
#include "bench/quality/subject.h"
#include "config/kv_config.h"
#include "config/result.h"

namespace tq::bench {

struct KvSpeedOptions {
  std::vector<std::string> kv{"bf16", "tq8", "tq4", "tq3", "tq2"};
  std::vector<int64_t> contexts;  // empty: chosen by the model
  int64_t output = 128;           // tokens decoded: one seal stride, so one seal is among them
  int n_rounds = 3;
  KvConfig config;  // formats are ignored
};

// Rows by context, then by format.
Result<std::vector<KvRow>> measure_kv(const KvSpeedOptions& options, Subject& subject);

}  // namespace tq::bench
