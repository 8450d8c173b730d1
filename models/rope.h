#pragma once
// Rope: rotary position embedding (RoFormer, arXiv 2104.09864) with the scalings that model files
// name. Immutable; any thread. Angles are computed in fp32 as Hugging Face computes them, so that
// logits agree.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/key_bias.h"
#include "models/model_spec.h"

namespace tq::models {

class Rope {
 public:
  // interleaved: pairs are (2i, 2i + 1), as GGUF's Llama files are permuted for; else (i, i +
  // rope_dim/2).
  Rope(const ModelSpec& spec, bool interleaved);

  // cos and sin of every position and pair, each [positions.size(), rope_dim / 2]; once per step.
  void angles(std::span<const int32_t> positions,
              std::vector<float>& cosines,
              std::vector<float>& sines) const;

  // Rotates rows [n_tokens, n_heads, head_dim] in place; dimensions from rope_dim on stay.
  void rotate(std::span<float> rows,
              int64_t n_heads,
              std::span<const float> cosines,
              std::span<const float> sines) const;

  std::span<const float> inverse_frequencies() const noexcept { return inverse_; }
  float magnitude() const noexcept { return magnitude_; }
  // The same for the attention kernels.
  kernels::RopePairs pairs() const {
    return {.frequencies = inverse_, .magnitude = magnitude_, .interleaved = interleaved_};
  }

 private:
  int head_dim_;
  bool interleaved_;
  float magnitude_ = 1.0f;      // yarn: of cos and sin
  std::vector<float> inverse_;  // [rope_dim / 2]
};

}  // namespace tq::models
