// Matrices of model files as they are packed, against the decodings of the file's own blocks.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "models/packed_weights.h"
#include "models/weights/block_types.h"
#include "models/weights/weight_source.h"

namespace tq::models {
namespace {

std::unique_ptr<WeightSource> golden(const std::string& name) {
  auto source = open_model(std::string(TQ_SOURCE_DIR) + "/tests/golden/weights/" + name);
  REQUIRE(source.ok());
  return std::move(source).value();
}

// A K-quant's scale and minimum are rounded to fp16, by 2^-12 each. Of decoded values of a block:
// what a scale adds is at most their range, where they span that of the codes (these: two thirds of
// it), and a minimum at most range + magnitude.
double rounding_bound(std::span<const float> block) {
  const auto [least, most] = std::minmax_element(block.begin(), block.end());
  const double range = double{*most} - double{*least};
  const double magnitude = std::max(std::fabs(double{*least}), std::fabs(double{*most}));
  return 1.5 * 0x1p-12 * (2 * range + magnitude);
}

}  // namespace

TEST_CASE("packed codes are the file's numbers; K-quants' to the rounding of a scale") {
  std::set<WeightType> seen;
  for (const std::string name : {"tiny_llama.gguf", "tiny_qwen3.gguf"}) {
    const auto source = golden(name);
    for (const std::string& tensor : source->names()) {
      const WeightView view = *source->find(tensor);
      if (view.shape.size() != 2) continue;
      const auto packed_as = packed_type(view.type, ComputeType::kAuto);
      if (!kernels::is_codes(packed_as)) continue;
      INFO(name << ", " << tensor << ", " << to_string(view.type));
      seen.insert(view.type);
      const auto packed = pack({&view, 1}, ComputeType::kAuto);
      REQUIRE(packed.ok());
      REQUIRE(packed->size() == 1);
      CHECK(packed->front().type() == packed_as);
      const bool is_rounded = block_shape(view.type).elements == kSuperBlock;
      const auto n_inputs = static_cast<size_t>(view.shape[1]);
      std::vector<float> got(n_inputs), expected(n_inputs);
      for (int64_t row = 0; row < view.shape[0]; ++row) {
        packed->front().unpack_row(row, got);
        REQUIRE(dequantize(view, row * view.shape[1], expected));
        for (size_t k = 0; k < n_inputs; ++k) {
          const double bound = is_rounded ? rounding_bound(std::span(expected).subspan(
                                                k / kSmallBlock * kSmallBlock, kSmallBlock))
                                          : 0.0;
          REQUIRE(std::fabs(double{got[k]} - double{expected[k]}) <= bound);
        }
      }
    }
  }
  CHECK(seen == std::set{WeightType::kQ4_0, WeightType::kQ4_1, WeightType::kQ8_0, WeightType::kQ4_K,
                         WeightType::kQ5_K, WeightType::kQ6_K});
}

TEST_CASE("neighbours of one packed type are one matrix, in the order given") {
  const auto source = golden("tiny_qwen3.gguf");
  const std::string prefix = "model.layers.0.";
  const auto view = [&](const std::string& name) { return *source->find(prefix + name); };
  using kernels::PackedType;
  const WeightView gate = view("mlp.gate_proj.weight");  // Q4_K
  const WeightView q = view("self_attn.q_proj.weight");  // Q4_K
  const WeightView v = view("self_attn.v_proj.weight");  // Q6_K
  const std::vector<WeightView> stack{gate, q, v, gate};
  const auto parts = pack(stack, ComputeType::kAuto);
  REQUIRE(parts.ok());
  REQUIRE(parts->size() == 3);
  CHECK(parts->at(0).type() == PackedType::kQ4_1);
  CHECK(parts->at(0).n_outputs() == gate.shape[0] + q.shape[0]);
  CHECK(parts->at(1).type() == PackedType::kQ6_K);
  CHECK(parts->at(2).n_outputs() == gate.shape[0]);
  std::vector<float> stacked(256), alone(256);
  const auto only_q = pack({&q, 1}, ComputeType::kAuto);
  REQUIRE(only_q.ok());
  parts->at(0).unpack_row(gate.shape[0] + 3, stacked);
  only_q->front().unpack_row(3, alone);
  CHECK(stacked == alone);
  for (const ComputeType dtype : {ComputeType::kBf16, ComputeType::kF32}) {
    CHECK(pack(stack, dtype)->size() == 1);
  }
}

}  // namespace tq::models
