#include "models/packed_weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "models/weights/block_types.h"
#include "models/weights/tensor_check.h"

namespace tq::models {
namespace {

using kernels::CodeBlock;
using kernels::PackedLinear;
using kernels::PackedType;

static_assert(kSmallBlock == kernels::kCodeInputs);

void read_nibbles(const uint8_t* from, CodeBlock& to) {
  constexpr int kHalf = kSmallBlock / 2;
  for (size_t i = 0; i < kHalf; ++i) {
    to.codes[i] = static_cast<int8_t>(from[i] & 15);
    to.codes[i + kHalf] = static_cast<int8_t>(from[i] >> 4);
  }
}

CodeBlock codes_of(const BlockQ4_0& block) {
  CodeBlock codes{.d = block.d};
  read_nibbles(block.q, codes);
  return codes;
}

CodeBlock codes_of(const BlockQ4_1& block) {
  CodeBlock codes{.d = block.d, .m = block.m};
  read_nibbles(block.q, codes);
  return codes;
}

CodeBlock codes_of(const BlockQ8_0& block) {
  CodeBlock codes{.d = block.d};
  std::copy(std::begin(block.q), std::end(block.q), codes.codes.begin());
  return codes;
}

template <class Block>
void pack_codes(const WeightView& view, int64_t first_output, PackedLinear& packed) {
  const std::byte* from = view.bytes.data();
  const int64_t row_blocks = packed.n_inputs() / kSmallBlock;
  for (int64_t row = 0; row < view.shape[0]; ++row) {
    for (int64_t index = 0; index < row_blocks; ++index, from += sizeof(Block)) {
      Block block;  // a copy: the file's alignment may be 1
      std::memcpy(&block, from, sizeof(Block));
      packed.pack_block(first_output + row, index, codes_of(block));
    }
  }
}

// Decodes and packs in slices of some rows, so that loading needs little memory beside the weights.
Result<void> pack_floats(const WeightView& view, int64_t first_output, PackedLinear& packed) {
  constexpr int64_t kSliceRows = 64;
  const int64_t n_inputs = packed.n_inputs();
  const int64_t n_rows = view.shape[0];
  std::vector<float> slice;
  for (int64_t row = 0; row < n_rows; row += kSliceRows) {
    const int64_t n = std::min(kSliceRows, n_rows - row);
    slice.resize(static_cast<size_t>(n * n_inputs));
    TQ_TRY(dequantize(view, row * n_inputs, slice));
    packed.pack_rows(first_output + row, slice);
  }
  return {};
}

Result<void> pack_matrix(const WeightView& view, int64_t first_output, PackedLinear& packed) {
  switch (packed.type()) {
    case PackedType::kQ4_0: pack_codes<BlockQ4_0>(view, first_output, packed); return {};
    case PackedType::kQ4_1: pack_codes<BlockQ4_1>(view, first_output, packed); return {};
    case PackedType::kQ8_0: pack_codes<BlockQ8_0>(view, first_output, packed); return {};
    default: return pack_floats(view, first_output, packed);
  }
}

}  // namespace

PackedType packed_type(std::span<const WeightView> stack, ComputeType dtype) noexcept {
  if (dtype == ComputeType::kF32) return PackedType::kF32;
  const WeightType type = stack.front().type;
  const bool alike = std::all_of(stack.begin(), stack.end(),
                                 [type](const WeightView& view) { return view.type == type; });
  if (dtype == ComputeType::kBf16 || !alike) return PackedType::kBf16;
  switch (type) {
    case WeightType::kQ4_0: return PackedType::kQ4_0;
    case WeightType::kQ4_1: return PackedType::kQ4_1;
    case WeightType::kQ8_0: return PackedType::kQ8_0;
    default: return PackedType::kBf16;
  }
}

Result<PackedLinear> pack(std::span<const WeightView> stack, ComputeType dtype) {
  int64_t n_outputs = 0;
  for (const WeightView& view : stack) n_outputs += view.shape[0];
  TQ_ASSIGN(auto packed,
            PackedLinear::create(n_outputs, stack.front().shape[1], packed_type(stack, dtype)));
  int64_t first_output = 0;
  for (const WeightView& view : stack) {
    TQ_TRY(pack_matrix(view, first_output, packed));
    first_output += view.shape[0];
  }
  return packed;
}

uint64_t packed_bytes(const WeightSource& source, ComputeType dtype) {
  uint64_t bytes = 0;
  for (const ExpectedTensor& tensor : expected_tensors(source.spec())) {
    const std::optional<WeightView> view = source.find(tensor.name);
    TQ_CHECK(view, "an opened model lacks a tensor", tensor.name);
    if (view->shape.size() != 2) {  // a norm or a bias
      bytes += static_cast<uint64_t>(view->n_elements()) * sizeof(float);
      continue;
    }
    bytes += static_cast<uint64_t>(view->shape[0]) *
             kernels::panel_prefix_bytes(packed_type({&*view, 1}, dtype), view->shape[1]) /
             kernels::kPanelOutputs;
  }
  return bytes;
}

}  // namespace tq::models
