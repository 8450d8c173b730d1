#include "kernels/linear.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "config/check.h"
#include "quant/float16.h"

namespace tq::kernels {
namespace {

void put_codes(const CodeBlock& from, NibbleWords& to, size_t lane) {
  for (size_t k = 0; k < kCodeInputs; k += 8) {
    uint32_t word = 0;
    for (size_t i = 0; i < 8; ++i)
      word |= (static_cast<uint32_t>(from.codes[k + i]) & 15u) << 4 * i;
    to[k / 8][lane] = word;
  }
}

// Where a byte of input k is, and the bits above a nibble: see packed_blocks.h.
constexpr size_t byte_word(size_t k) { return k / 8 * 2 + k % 2; }
constexpr size_t byte_shift(size_t k) { return k % 8 / 2 * 8; }
constexpr size_t bit_shift(size_t k) { return byte_shift(k) + byte_word(k); }
constexpr size_t pair_shift(size_t k) { return byte_shift(k) + byte_word(k) % 4 * 2; }

void put(const CodeBlock& from, PanelQ4_0& to, size_t lane) {
  to.d[0][lane] = from.d;
  put_codes(from, to.codes, lane);
}

void put(const CodeBlock& from, PanelQ4_1& to, size_t lane) {
  to.d[0][lane] = from.d;
  to.m[lane] = from.m;
  put_codes(from, to.codes, lane);
}

void put(const CodeBlock& from, PanelQ5_1& to, size_t lane) {
  to.d[0][lane] = from.d;
  to.m[lane] = from.m;
  put_codes(from, to.codes, lane);
  to.upper[lane] = 0;
  for (size_t k = 0; k < kCodeInputs; ++k) {
    to.upper[lane] |= (static_cast<uint32_t>(from.codes[k]) >> 4 & 1u) << bit_shift(k);
  }
}

void put(const CodeBlock& from, PanelQ6_K& to, size_t lane) {
  to.d[0][lane] = from.d;
  to.d[1][lane] = from.d_second;
  put_codes(from, to.codes, lane);
  for (auto& word : to.upper) word[lane] = 0;
  for (size_t k = 0; k < kCodeInputs; ++k) {
    to.upper[k / 16][lane] |= (static_cast<uint32_t>(from.codes[k]) >> 4 & 3u) << pair_shift(k);
  }
}

void put(const CodeBlock& from, PanelQ8_0& to, size_t lane) {
  to.d[0][lane] = from.d;
  for (auto& word : to.codes) word[lane] = 0;
  for (size_t k = 0; k < kCodeInputs; ++k) {
    const uint32_t code = static_cast<uint8_t>(from.codes[k]) ^ 0x80u;
    to.codes[byte_word(k)][lane] |= code << byte_shift(k);
  }
}

uint32_t nibble_at(const NibbleWords& codes, size_t k, size_t lane) {
  return codes[k / 8][lane] >> 4 * (k % 8) & 15u;
}

float value(const PanelQ4_0& block, size_t k, size_t lane) {
  const auto code = static_cast<float>(nibble_at(block.codes, k, lane));
  return quant::fp16_to_float(block.d[0][lane]) * (code - PanelQ4_0::kZero);
}

float value(const PanelQ4_1& block, size_t k, size_t lane) {
  const auto code = static_cast<float>(nibble_at(block.codes, k, lane));
  return quant::fp16_to_float(block.d[0][lane]) * code + quant::fp16_to_float(block.m[lane]);
}

float value(const PanelQ5_1& block, size_t k, size_t lane) {
  const uint32_t upper = block.upper[lane] >> bit_shift(k) & 1u;
  const auto code = static_cast<float>(nibble_at(block.codes, k, lane) | upper << 4);
  return quant::fp16_to_float(block.d[0][lane]) * code + quant::fp16_to_float(block.m[lane]);
}

float value(const PanelQ6_K& block, size_t k, size_t lane) {
  const uint32_t upper = block.upper[k / 16][lane] >> pair_shift(k) & 3u;
  const auto code = static_cast<float>(nibble_at(block.codes, k, lane) | upper << 4);
  return quant::fp16_to_float(block.d[k / 16][lane]) * (code - PanelQ6_K::kZero);
}

float value(const PanelQ8_0& block, size_t k, size_t lane) {
  const uint32_t code = block.codes[byte_word(k)][lane] >> byte_shift(k) & 255u;
  return quant::fp16_to_float(block.d[0][lane]) * (static_cast<float>(code) - PanelQ8_0::kZero);
}

template <class Block>
void put_block(const CodeBlock& from, std::byte* panel, int64_t index, size_t lane) {
  put(from, reinterpret_cast<Block*>(panel)[index], lane);
}

template <class Block>
void unpack_blocks(const std::byte* panel, size_t lane, std::span<float> row) {
  const auto* blocks = reinterpret_cast<const Block*>(panel);
  for (size_t k = 0; k < row.size(); ++k) {
    row[k] = value(blocks[k / kCodeInputs], k % kCodeInputs, lane);
  }
}

void unpack_floats(const std::byte* panel, size_t lane, std::span<float> row) {
  const auto* words = reinterpret_cast<const float*>(panel) + lane;
  for (size_t k = 0; k < row.size(); ++k) row[k] = words[k * kPanelOutputs];
}

void unpack_bf16(const std::byte* panel, size_t lane, std::span<float> row) {
  const auto* words = reinterpret_cast<const uint32_t*>(panel) + lane;
  for (size_t k = 0; k < row.size(); ++k) {
    const uint32_t word = words[k / 2 * kPanelOutputs];
    row[k] = quant::bf16_to_float(static_cast<uint16_t>(k % 2 == 0 ? word : word >> 16));
  }
}

}  // namespace

PackedLinear::PackedLinear(int64_t n_outputs, int64_t n_inputs, PackedType type, Storage storage)
    : n_outputs_(n_outputs), n_inputs_(n_inputs), type_(type), storage_(std::move(storage)) {}

Result<PackedLinear> PackedLinear::create(int64_t n_outputs, int64_t n_inputs, PackedType type) {
  constexpr int64_t kSideMax = int64_t{1} << 24;
  if (n_outputs < 1 || n_inputs < 1 || n_outputs > kSideMax || n_inputs > kSideMax) {
    return Error{Code::kInvalidArgument,
                 "a linear layer of " + std::to_string(n_outputs) + " x " +
                     std::to_string(n_inputs) + " weights; each side must be in [1, " +
                     std::to_string(kSideMax) + "]",
                 ""};
  }
  if (is_codes(type) && n_inputs % kCodeInputs != 0) {
    return Error{Code::kInvalidArgument,
                 std::to_string(n_inputs) +
                     " inputs of a linear layer of codes, which come in blocks of " +
                     std::to_string(kCodeInputs),
                 ""};
  }
  PackedLinear packed(n_outputs, n_inputs, type, Storage(nullptr, [](std::byte*) {}));
  const size_t bytes = (packed.bytes() + 63) / 64 * 64;
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) {
    return Error{Code::kIo, "no memory for " + std::to_string(bytes) + " bytes of weights", ""};
  }
  std::memset(memory, 0, bytes);
  packed.storage_ =
      Storage(static_cast<std::byte*>(memory), [](std::byte* region) { std::free(region); });
  return packed;
}

size_t PackedLinear::panel_bytes() const noexcept { return panel_prefix_bytes(type_, n_inputs_); }

const std::byte* PackedLinear::panel(int64_t index) const noexcept {
  return storage_.get() + static_cast<size_t>(index) * panel_bytes();
}

std::byte* PackedLinear::panel_of(int64_t output) noexcept {
  return storage_.get() + static_cast<size_t>(output / kPanelOutputs) * panel_bytes();
}

void PackedLinear::pack_rows(int64_t first, std::span<const float> rows) {
  TQ_CHECK(!is_codes(type_), "pack_rows: codes come as blocks", static_cast<int>(type_));
  const auto n = static_cast<int64_t>(rows.size()) / n_inputs_;
  TQ_CHECK(n * n_inputs_ == static_cast<int64_t>(rows.size()), "pack_rows: not whole rows",
           rows.size(), n_inputs_);
  TQ_CHECK(first >= 0 && first + n <= n_outputs_, "pack_rows: outputs", first, n, n_outputs_);
  const size_t step = type_ == PackedType::kBf16 ? 2 : 1;
  for (int64_t i = 0; i < n; ++i) {
    const float* row = rows.data() + i * n_inputs_;
    auto* words = reinterpret_cast<uint32_t*>(panel_of(first + i)) + (first + i) % kPanelOutputs;
    for (size_t k = 0; k < static_cast<size_t>(n_inputs_); k += step, words += kPanelOutputs) {
      if (type_ == PackedType::kF32) {
        std::memcpy(words, row + k, sizeof(float));
        continue;
      }
      const bool odd = k + 1 < static_cast<size_t>(n_inputs_);
      *words = quant::float_to_bf16(row[k]) |
               (odd ? static_cast<uint32_t>(quant::float_to_bf16(row[k + 1])) << 16 : 0u);
    }
  }
}

void PackedLinear::pack_block(int64_t output, int64_t index, const CodeBlock& block) {
  TQ_CHECK(output >= 0 && output < n_outputs_, "pack_block: output", output, n_outputs_);
  TQ_CHECK(index >= 0 && index < n_inputs_ / kCodeInputs, "pack_block: block", index, n_inputs_);
  std::byte* base = panel_of(output);
  const size_t lane = static_cast<size_t>(output) % kPanelOutputs;
  switch (type_) {
    case PackedType::kQ4_0: return put_block<PanelQ4_0>(block, base, index, lane);
    case PackedType::kQ4_1: return put_block<PanelQ4_1>(block, base, index, lane);
    case PackedType::kQ5_1: return put_block<PanelQ5_1>(block, base, index, lane);
    case PackedType::kQ6_K: return put_block<PanelQ6_K>(block, base, index, lane);
    case PackedType::kQ8_0: return put_block<PanelQ8_0>(block, base, index, lane);
    default: TQ_CHECK(false, "pack_block: weights that are no codes", static_cast<int>(type_));
  }
}

void PackedLinear::unpack_row(int64_t output, std::span<float> row) const {
  TQ_CHECK(output >= 0 && output < n_outputs_, "unpack_row: output", output, n_outputs_);
  TQ_CHECK(static_cast<int64_t>(row.size()) == n_inputs_, "unpack_row: size", row.size(),
           n_inputs_);
  const std::byte* base = panel(output / kPanelOutputs);
  const size_t lane = static_cast<size_t>(output) % kPanelOutputs;
  switch (type_) {
    case PackedType::kF32: return unpack_floats(base, lane, row);
    case PackedType::kBf16: return unpack_bf16(base, lane, row);
    case PackedType::kQ4_0: return unpack_blocks<PanelQ4_0>(base, lane, row);
    case PackedType::kQ4_1: return unpack_blocks<PanelQ4_1>(base, lane, row);
    case PackedType::kQ5_1: return unpack_blocks<PanelQ5_1>(base, lane, row);
    case PackedType::kQ6_K: return unpack_blocks<PanelQ6_K>(base, lane, row);
    case PackedType::kQ8_0: return unpack_blocks<PanelQ8_0>(base, lane, row);
  }
}

}  // namespace tq::kernels
