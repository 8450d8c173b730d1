#include "models/packed_weights.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "models/weights/block_types.h"
#include "models/weights/tensor_check.h"
#include "quant/float16.h"

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

// The fifth bits of 32 codes, the first one's lowest.
void add_fifth_bits(uint32_t bits, CodeBlock& to) {
  for (size_t i = 0; i < kSmallBlock; ++i) {
    to.codes[i] = static_cast<int8_t>(to.codes[i] | static_cast<int>(bits >> i & 1) << 4);
  }
}

uint16_t scaled(uint16_t half, int factor) {
  return quant::float_to_fp16(quant::fp16_to_float(half) * static_cast<float>(factor));
}

// codes_of(block, part): elements [32 part, + 32).
CodeBlock codes_of(const BlockQ4_0& block, int) {
  CodeBlock codes{.d = block.d};
  read_nibbles(block.q, codes);
  return codes;
}

CodeBlock codes_of(const BlockQ4_1& block, int) {
  CodeBlock codes{.d = block.d, .m = block.m};
  read_nibbles(block.q, codes);
  return codes;
}

CodeBlock codes_of(const BlockQ5_0& block, int) {
  CodeBlock codes{.d = block.d, .m = scaled(block.d, -16)};
  read_nibbles(block.q, codes);
  add_fifth_bits(fifth_bits(block.q_high), codes);
  return codes;
}

CodeBlock codes_of(const BlockQ5_1& block, int) {
  CodeBlock codes{.d = block.d, .m = block.m};
  read_nibbles(block.q, codes);
  add_fifth_bits(fifth_bits(block.q_high), codes);
  return codes;
}

CodeBlock codes_of(const BlockQ8_0& block, int) {
  CodeBlock codes{.d = block.d};
  std::copy(std::begin(block.q), std::end(block.q), codes.codes.begin());
  return codes;
}

// What Q4_K and Q5_K share: a scale and a minimum, and the lower 4 bits of the codes.
template <class Block>
CodeBlock sub_block_codes(const Block& block, int part) {
  const SubScales of = sub_scales(block.scales, part);
  CodeBlock codes{.d = scaled(block.d, of.scale), .m = scaled(block.d_min, -of.min)};
  const uint8_t* q = block.q + part / 2 * 32;  // two parts share 32 bytes
  for (size_t i = 0; i < kSmallBlock; ++i) {
    codes.codes[i] = static_cast<int8_t>(part % 2 == 0 ? q[i] & 15 : q[i] >> 4);
  }
  return codes;
}

CodeBlock codes_of(const BlockQ4_K& block, int part) { return sub_block_codes(block, part); }

CodeBlock codes_of(const BlockQ5_K& block, int part) {
  CodeBlock codes = sub_block_codes(block, part);
  uint32_t bits = 0;
  for (int i = 0; i < kSmallBlock; ++i) {
    bits |= static_cast<uint32_t>(block.q_high[i] >> part & 1) << i;
  }
  add_fifth_bits(bits, codes);
  return codes;
}

CodeBlock codes_of(const BlockQ6_K& block, int part) {
  CodeBlock codes{.d = scaled(block.d, block.scales[2 * part]),
                  .d_second = scaled(block.d, block.scales[2 * part + 1])};
  const int quarter = part % 4;  // of half a block
  const uint8_t* low = block.q_low + part / 4 * 64 + quarter % 2 * 32;
  const uint8_t* high = block.q_high + part / 4 * 32;
  for (size_t i = 0; i < kSmallBlock; ++i) {
    const int lower = quarter < 2 ? low[i] & 15 : low[i] >> 4;
    codes.codes[i] = static_cast<int8_t>(lower | (high[i] >> 2 * quarter & 3) << 4);
  }
  return codes;
}

template <class Block, int kElements>
void pack_codes(const WeightView& view, int64_t first_output, PackedLinear& packed) {
  constexpr int kParts = kElements / kSmallBlock;
  const std::byte* from = view.bytes.data();
  for (int64_t row = 0; row < view.shape[0]; ++row) {
    for (int64_t at = 0; at < packed.n_inputs() / kSmallBlock; at += kParts) {
      Block block;  // a copy: the file's alignment may be 1
      std::memcpy(&block, from, sizeof(Block));
      for (int part = 0; part < kParts; ++part) {
        packed.pack_block(first_output + row, at + part, codes_of(block, part));
      }
      from += sizeof(Block);
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
  if (!kernels::is_codes(packed.type())) return pack_floats(view, first_output, packed);
  switch (view.type) {
    case WeightType::kQ4_0: pack_codes<BlockQ4_0, kSmallBlock>(view, first_output, packed); break;
    case WeightType::kQ4_1: pack_codes<BlockQ4_1, kSmallBlock>(view, first_output, packed); break;
    case WeightType::kQ5_0: pack_codes<BlockQ5_0, kSmallBlock>(view, first_output, packed); break;
    case WeightType::kQ5_1: pack_codes<BlockQ5_1, kSmallBlock>(view, first_output, packed); break;
    case WeightType::kQ8_0: pack_codes<BlockQ8_0, kSmallBlock>(view, first_output, packed); break;
    case WeightType::kQ4_K: pack_codes<BlockQ4_K, kSuperBlock>(view, first_output, packed); break;
    case WeightType::kQ5_K: pack_codes<BlockQ5_K, kSuperBlock>(view, first_output, packed); break;
    case WeightType::kQ6_K: pack_codes<BlockQ6_K, kSuperBlock>(view, first_output, packed); break;
    case WeightType::kF32:
    case WeightType::kF16:
    case WeightType::kBF16: TQ_CHECK(false, "floats packed as codes", view.name);
  }
  return {};
}

// Matrices of one packed type, stacked.
Result<PackedLinear> pack_alike(std::span<const WeightView> stack, PackedType type) {
  int64_t n_outputs = 0;
  for (const WeightView& view : stack) n_outputs += view.shape[0];
  TQ_ASSIGN(auto packed, PackedLinear::create(n_outputs, stack.front().shape[1], type));
  int64_t first_output = 0;
  for (const WeightView& view : stack) {
    TQ_TRY(pack_matrix(view, first_output, packed));
    first_output += view.shape[0];
  }
  return packed;
}

}  // namespace

PackedType packed_type(WeightType type, ComputeType dtype) noexcept {
  if (dtype == ComputeType::kF32) return PackedType::kF32;
  if (dtype == ComputeType::kBf16) return PackedType::kBf16;
  switch (type) {
    case WeightType::kQ4_0: return PackedType::kQ4_0;
    case WeightType::kQ4_1:
    case WeightType::kQ4_K: return PackedType::kQ4_1;
    case WeightType::kQ5_0:
    case WeightType::kQ5_1:
    case WeightType::kQ5_K: return PackedType::kQ5_1;
    case WeightType::kQ6_K: return PackedType::kQ6_K;
    case WeightType::kQ8_0: return PackedType::kQ8_0;
    case WeightType::kF32:
    case WeightType::kF16:
    case WeightType::kBF16: return PackedType::kBf16;
  }
  return PackedType::kBf16;
}

Result<std::vector<PackedLinear>> pack(std::span<const WeightView> stack, ComputeType dtype) {
  std::vector<PackedLinear> parts;
  while (!stack.empty()) {
    const PackedType type = packed_type(stack.front().type, dtype);
    size_t n_alike = 1;
    while (n_alike < stack.size() && packed_type(stack[n_alike].type, dtype) == type) ++n_alike;
    TQ_ASSIGN(auto part, pack_alike(stack.first(n_alike), type));
    parts.push_back(std::move(part));
    stack = stack.subspan(n_alike);
  }
  return parts;
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
             kernels::panel_prefix_bytes(packed_type(view->type, dtype), view->shape[1]) /
             kernels::kPanelOutputs;
  }
  return bytes;
}

}  // namespace tq::models
