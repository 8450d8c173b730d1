#pragma once
// CodedSource: a model whose matrices are random blocks of codes, where their rows are whole
// blocks; the rest is the original's. Test code only.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/weights/block_types.h"
#include "models/weights/weight_source.h"

namespace tq::models {

class CodedSource final : public WeightSource {
 public:
  // types: those of the matrices, in turn; all of blocks of kSmallBlock.
  CodedSource(std::unique_ptr<WeightSource> original,
              const std::vector<WeightType>& types,
              uint32_t seed)
      : original_(std::move(original)) {
    std::mt19937 rng(seed);
    for (const std::string& name : original_->names()) {
      const auto shape = original_->find(name)->shape;
      if (shape.size() != 2 || shape[1] % kSmallBlock != 0) continue;
      const WeightType type = types[matrices_.size() % types.size()];
      const BlockShape block = block_shape(type);
      std::vector<std::byte> bytes(static_cast<size_t>(*tensor_bytes(type, shape)));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
      for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(block.bytes)) {
        put_half(bytes, at, 0x0c00 + rng() % 0x1000);  // 2^-12 to 2^-8
        if (type == WeightType::kQ4_1 || type == WeightType::kQ5_1) {
          put_half(bytes, at + 2, 0xa000 + rng() % 0x800);
        }
      }
      matrices_[name] = {type, std::move(bytes)};
    }
  }

  const ModelSpec& spec() const noexcept override { return original_->spec(); }
  const std::string& path() const noexcept override { return original_->path(); }
  std::optional<WeightView> find(std::string_view name) const override {
    auto view = original_->find(name);
    const auto found = matrices_.find(name);
    if (found == matrices_.end()) return view;
    return WeightView{view->name, found->second.type, view->shape, found->second.bytes};
  }
  std::vector<std::string> names() const override { return original_->names(); }
  bool rope_is_interleaved() const noexcept override { return original_->rope_is_interleaved(); }

 private:
  struct Matrix {
    WeightType type;
    std::vector<std::byte> bytes;
  };
  static void put_half(std::vector<std::byte>& bytes, size_t at, uint32_t half) {
    bytes[at] = static_cast<std::byte>(half);
    bytes[at + 1] = static_cast<std::byte>(half >> 8);
  }

  std::unique_ptr<WeightSource> original_;
  std::map<std::string, Matrix, std::less<>> matrices_;
};

}  // namespace tq::models
