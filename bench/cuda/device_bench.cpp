#include "bench/cuda/device_bench.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "bench/cuda/device_contest.h"
#include "bench/cuda/device_report.h"
#include "bench/cuda/sdpa_case.h"
#include "bench/machine.h"
#include "bench/results.h"
#include "kernels/cuda/recording.h"
#include "models/device/find_device.h"
#include "models/device/torch_device.h"

namespace tq::bench {
namespace {

using nlohmann::json;

void print_head(const DeviceBenchOptions& options, const kernels::cuda::DeviceFacts& device) {
  std::printf("%s; seed: %llu\n", provenance().c_str(),
              static_cast<unsigned long long>(options.seed));
  std::printf(
      "device: %s, %d multiprocessors, L2 %d MiB, driver %d; head_dim: %d, KV heads: %d, query "
      "heads per KV head: %d, sequences: %d, runs: %d\n\n",
      device.name.c_str(), device.n_processors, device.l2_bytes >> 20, device.driver,
      options.head_dim, options.n_kv_heads, options.group, options.n_seqs, options.n_runs);
  std::puts(
      "One attend(), one row per sequence, as the device times it, of CUDA graphs; medians. A "
      "token is one cached token of one sequence, layer and KV head, K and V.\nSinks (64) and "
      "window (128 to 255) are bf16 in every format. Copy: the device's own, bytes read and "
      "written. SDPA: LibTorch's attention in bf16, enable_gqa; x SDPA: over its fastest "
      "kernel.\n");
  std::fputs(device_table_head().c_str(), stdout);
}

double copy_gb_per_s(const DeviceContest& contest) {
  return static_cast<double>(contest.copy.bytes) / quantile(contest.copy.seconds, 0.5) / 1e9;
}

}  // namespace

Result<json> measure_on_device(const DeviceBenchOptions& options) {
  TQ_TRY(models::find_device("cuda"));
  TQ_ASSIGN(const auto device, models::make_cuda_device());
  TQ_ASSIGN(const kernels::cuda::DeviceFacts facts, kernels::cuda::device_facts());
  print_head(options, facts);
  json out{{"benchmark", "attention"},
           {"device", facts.name},
           {"multiprocessors", facts.n_processors},
           {"driver", facts.driver},
           {"head_dim", options.head_dim},
           {"group", options.group},
           {"n_kv_heads", options.n_kv_heads},
           {"batch", options.n_seqs},
           {"runs", options.n_runs},
           {"copy_gb_per_s", json::array()},
           {"attend", json::array()}};
  std::string copies;
  for (const int context : options.contexts) {
    const ContestOptions contest{
        .shape = {.head_dim = options.head_dim,
                  .n_kv_heads = options.n_kv_heads,
                  .group = options.group,
                  .n_seqs = options.n_seqs,
                  .context = context,
                  .read_bytes_min = 4ull * static_cast<uint64_t>(facts.l2_bytes),
                  .seed = options.seed},
        .formats = options.formats,
        .n_rounds = options.n_runs};
    TQ_ASSIGN(const DeviceContest measured, measure_contest(contest, [&](const SdpaShape& shape) {
                return make_sdpa_cases(shape, *device);
              }));
    const std::vector<DeviceRow> rows = summarise(measured);
    std::fputs(to_markdown(rows).c_str(), stdout);
    std::fflush(stdout);
    copies += format(" %.0f", copy_gb_per_s(measured));
    out["copy_gb_per_s"].push_back(copy_gb_per_s(measured));
    for (json& row : to_json(rows)) out["attend"].push_back(std::move(row));
  }
  std::printf("\nCopy, GB/s, context by context:%s\n", copies.c_str());
  return out;
}

}  // namespace tq::bench
