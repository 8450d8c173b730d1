#pragma once
// WeightSource: the tensors and metadata of a model on disk, memory-mapped. No LibTorch. Immutable
// after opening; any thread. gguf.h and hf_folder.h implement it; open_model() picks by what the
// path holds.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.h"
#include "models/model_spec.h"

namespace tq::models {

// On-disk element types. Block types store 32 or 256 values per block (ggml's layouts).
enum class WeightType { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4_K, kQ5_K, kQ6_K };

std::string_view to_string(WeightType type) noexcept;

// A tensor as it lies in the file: `shape` outermost first (rows, columns), so a linear layer is
// [out_features, in_features]. bytes.size() was checked against shape and type.
struct WeightView {
  std::string name;  // Hugging Face's ("model.layers.0.self_attn.q_proj.weight"), also for GGUF
  WeightType type = WeightType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // valid as long as the source lives

  int64_t n_elements() const noexcept;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual const ModelSpec& spec() const noexcept = 0;
  virtual const std::string& path() const noexcept = 0;

  // nullopt where the model has no tensor of that (Hugging Face) name.
  virtual std::optional<WeightView> find(std::string_view name) const = 0;
  virtual std::vector<std::string> names() const = 0;
  // The tensor is not needed for now, a hint: a mapped file gives its pages back to the system, so
  // that a model that is packed does not take its memory twice. It can still be read.
  virtual void release(const WeightView& /*weight*/) const noexcept {}

  // GGUF stores q and k rows of Llama models permuted for its own RoPE pairing; true where the
  // decoder has to use adjacent pairs (2i, 2i+1) instead of halves (i, i + d/2).
  virtual bool rope_is_interleaved() const noexcept = 0;
};

// path: a .gguf file or a Hugging Face folder. A corrupt or hostile file is kCorrupt naming what is
// wrong.
Result<std::unique_ptr<WeightSource>> open_model(const std::string& path);

// Decodes elements [first, first + out.size()) of the tensor to fp32; first and out.size() must be
// multiples of the type's block. The decoding equals ggml's reference for each type.
Result<void> dequantize(const WeightView& weight, int64_t first, std::span<float> out);

}  // namespace tq::models
