#pragma once
// AttentionCase: one format's KV store of random rows, ready to be timed. Main thread only.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/kv_config.h"
#include "config/result.h"
#include "kernels/paged_attention.h"
#include "quant/random.h"

namespace tq::bench {

struct CaseOptions {
  std::string backend = "auto";
  KvFormats formats;
  int head_dim = 128;
  int group = 4;  // query heads per KV head
  int n_kv_heads = 8;
  int n_layers = 1;
  int context = 2048;  // cached tokens, the step's own rows included
  int n_rows = 1;      // of the step: 1 is a decode
  int n_threads = 1;
  bool scatter = false;  // blocks in any order, not one after the other
  uint64_t seed = 1;
};

// Bytes of one layer's keys and values: sinks and window in bf16, the rest in the format.
uint64_t layer_bytes(const CaseOptions& options);

class AttentionCase {
 public:
  static Result<std::unique_ptr<AttentionCase>> create(const CaseOptions& options);

  void attend();  // all layers, one after the other
  void append();  // the step's rows, all layers
  void seal();    // one block, all layers

  const CaseOptions& options() const noexcept { return options_; }
  uint64_t bytes_read() const noexcept { return bytes_read_; }  // by one attend()
  std::string_view backend_name() const noexcept { return backend_->name(); }

 private:
  AttentionCase(const CaseOptions& options,
                std::unique_ptr<kernels::PagedAttention> backend,
                kernels::KvArena arena);
  Result<void> plan();
  void fill();
  void fill_scales(quant::Rng& rng);

  CaseOptions options_;
  std::unique_ptr<kernels::PagedAttention> backend_;
  kernels::KvArena arena_;
  const kernels::AttnPlan* plan_ = nullptr;
  uint64_t bytes_read_ = 0;
  std::vector<float> q_;
  std::vector<float> k_;
  std::vector<float> v_;
  std::vector<float> out_;
};

}  // namespace tq::bench
