#pragma once
// Harness: a model with its store, driven step by step, and what tests of decoders read from files.
// Test code only; one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/engine_config.h"
#include "kernels/kv_arena.h"
#include "kernels/paged_attention.h"
#include "models/decoder.h"
#include "models/weights/weight_source.h"

namespace tq::models::test {

inline constexpr int kBlockTokens = 32;

std::vector<float> read_floats(const std::string& path);
std::vector<TokenId> read_tokens(const std::string& path);
std::unique_ptr<WeightSource> opened(const std::string& path);
// Of finite numbers.
double relative_rms(const std::vector<float>& got, const std::vector<float>& want);

// A chunk of one sequence in one step; `base` is the first of the sequence's own hot blocks.
struct Chunk {
  const std::vector<TokenId>* tokens;
  int32_t first;
  int32_t n;
  int32_t base;
};

struct StoreOptions {
  KvFormats formats{KvFormat::kBf16, KvFormat::kBf16};
  float key_bias_min = DecoderOptions{}.key_bias_min;
};
kernels::AttentionOptions attention_options(const ModelSpec& spec, const StoreOptions& store);

// What runs a model; `others` outlive the rest.
struct Machine {
  std::shared_ptr<void> others;
  std::unique_ptr<kernels::PagedAttention> attention;
  std::unique_ptr<Decoder> decoder;
};
using MachineMaker = std::function<Machine(const WeightSource&)>;

MachineMaker on_cpu(const std::string& backend,
                    int threads,
                    ComputeType dtype,
                    const StoreOptions& store);

class Harness {
 public:
  Harness(std::unique_ptr<WeightSource> source, const MachineMaker& make);

  int64_t vocab() const { return machine_.decoder->spec().vocab_size; }
  uint64_t weight_bytes() const { return machine_.decoder->weight_bytes(); }
  long n_allocations() const { return n_allocations_; }  // of the last step, in forward()

  // Codes the first blocks of the sequence at base 0, the only one from then on.
  void seal(int32_t n_blocks);
  // Logits of every row of the step, [n_tokens, vocab].
  std::vector<float> run(const std::vector<Chunk>& chunks);

 private:
  std::unique_ptr<WeightSource> source_;
  Machine machine_;
  std::unique_ptr<kernels::KvArena> arena_;
  int32_t n_sealed_ = 0;
  long n_allocations_ = 0;
};

}  // namespace tq::models::test
