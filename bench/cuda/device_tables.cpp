#include "bench/cuda/device_tables.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/cuda/device_report.h"
#include "bench/machine.h"
#include "bench/results.h"
#include "kernels/cuda/recording.h"

namespace tq::bench {
namespace {

using kernels::cuda::DeviceFacts;
using nlohmann::json;

void print_head(const DeviceBenchOptions& options,
                const DeviceFacts& device,
                const char* libtorch) {
  std::printf("%s; seed: %llu\n", provenance().c_str(),
              static_cast<unsigned long long>(options.seed));
  std::printf("device: %s, %d multiprocessors, L2 %d MiB, driver %d; LibTorch %s\n",
              device.name.c_str(), device.n_processors, device.l2_bytes >> 20, device.driver,
              libtorch);
  std::printf(
      "head_dim: %d, KV heads: %d, query heads per KV head: %d, sequences: %d, runs: %d\n\n",
      options.head_dim, options.n_kv_heads, options.group, options.n_seqs, options.n_runs);
  const KvConfig kv;
  std::printf(
      "One attend(), one row per sequence, in CUDA graphs, as the device times it; medians.\n"
      "A token is one cached token of one sequence, layer and KV head, K and V. Sinks (%d) and\n"
      "window (%d to %d) are bf16 in every format. Copy: the device's own, bytes read and "
      "written.\n"
      "SDPA: LibTorch's attention in bf16, enable_gqa; x SDPA: over its fastest kernel.\n\n",
      kv.sink_tokens, kv.window_tokens, kv.window_tokens + kv.seal_stride_tokens - 1);
  std::fputs(device_table_head().c_str(), stdout);
}

json describe(const DeviceBenchOptions& options, const DeviceFacts& device, const char* libtorch) {
  return {{"benchmark", "attention"},
          {"device", device.name},
          {"multiprocessors", device.n_processors},
          {"driver", device.driver},
          {"libtorch", libtorch},
          {"head_dim", options.head_dim},
          {"group", options.group},
          {"n_kv_heads", options.n_kv_heads},
          {"batch", options.n_seqs},
          {"runs", options.n_runs},
          {"copy_gb_per_s", json::array()},
          {"attend", json::array()}};
}

double copy_gb_per_s(const DeviceContest& contest) {
  return static_cast<double>(contest.copy.bytes) / quantile(contest.copy.seconds, 0.5) / 1e9;
}

}  // namespace

Result<json> measure_contexts(const DeviceBenchOptions& options, const DevicePeer& peer) {
  TQ_ASSIGN(const DeviceFacts device, kernels::cuda::device_facts());
  print_head(options, device, peer.libtorch);
  json out = describe(options, device, peer.libtorch);
  const auto l2_bytes = static_cast<uint64_t>(device.l2_bytes);
  std::string copies;
  for (const int context : options.contexts) {
    const ContestOptions contest{.shape = {.head_dim = options.head_dim,
                                           .n_kv_heads = options.n_kv_heads,
                                           .group = options.group,
                                           .n_seqs = options.n_seqs,
                                           .context = context,
                                           .read_bytes_min = 4 * l2_bytes,
                                           .seed = options.seed},
                                 .formats = options.formats,
                                 .copy_bytes = 16 * l2_bytes,
                                 .n_rounds = options.n_runs};
    TQ_ASSIGN(const DeviceContest measured, measure_contest(contest, peer.make_sdpa));
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
