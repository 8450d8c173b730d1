#pragma once
// EngineConfig: limits and choices of the engine. Plain value, filled by config/load.h, read-only
// afterwards.

#include <cstdint>
#include <string>

#include "config/kv_config.h"

namespace tq {

// Of weights in memory. kAuto: the file's own codes of 4 and 8 bits, where it has them, else bf16.
enum class ComputeType : uint8_t { kAuto, kF32, kBf16 };

struct EngineConfig {
  std::string model_path;        // a .gguf file or a Hugging Face folder
  std::string served_name;       // what /v1/models lists; default: the name of the file or folder
  std::string device = "auto";   // "auto", "cpu", "cuda"
  std::string backend = "auto";  // kernels on the CPU: "scalar", "avx2", "avx512", "neon"
  double gpu_memory_utilization = 0.9;  // share of the device's memory that may be taken
  // Of ordinary memory, for blocks of sequences that are preempted on a device; 0: none.
  uint64_t swap_bytes = uint64_t{4} << 30;
  ComputeType dtype = ComputeType::kAuto;
  int threads = 0;  // compute threads; 0: the cores this process may use

  int64_t context_max = 0;    // tokens of prompt + completion; 0: the model's own
  int seqs_max = 64;          // sequences that run at once
  int queue_max = 256;        // requests that wait; more are refused with 429
  int step_tokens_max = 512;  // token budget of one step, prefill and decode together
  int queue_ms_max = 60'000;  // a request that waited longer ends with 503
  KvConfig kv;
};

}  // namespace tq
