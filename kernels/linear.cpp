#include "kernels/linear.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "config/check.h"
#include "quant/float16.h"

namespace tq::kernels {
namespace {

// Inputs in one 32-bit word of a panel row.
int64_t words_per_output(int64_t n_inputs, PackedType type) {
  return type == PackedType::kBf16 ? (n_inputs + 1) / 2 : n_inputs;
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
  PackedLinear packed(n_outputs, n_inputs, type, Storage(nullptr, [](std::byte*) {}));
  const size_t bytes = packed.bytes();
  void* memory = std::aligned_alloc(64, bytes);  // a panel is a multiple of 64 bytes
  if (memory == nullptr) {
    return Error{Code::kIo, "no memory for " + std::to_string(bytes) + " bytes of weights", ""};
  }
  std::memset(memory, 0, bytes);
  packed.storage_ =
      Storage(static_cast<std::byte*>(memory), [](std::byte* region) { std::free(region); });
  return packed;
}

size_t PackedLinear::panel_bytes() const noexcept {
  return static_cast<size_t>(words_per_output(n_inputs_, type_)) * kPanelOutputs * sizeof(uint32_t);
}

const std::byte* PackedLinear::panel(int64_t index) const noexcept {
  return storage_.get() + static_cast<size_t>(index) * panel_bytes();
}

void PackedLinear::pack_rows(int64_t first, std::span<const float> rows) {
  const auto n = static_cast<int64_t>(rows.size()) / n_inputs_;
  TQ_CHECK(n * n_inputs_ == static_cast<int64_t>(rows.size()), "pack_rows: not whole rows",
           rows.size(), n_inputs_);
  TQ_CHECK(first >= 0 && first + n <= n_outputs_, "pack_rows: outputs", first, n, n_outputs_);
  const size_t step = type_ == PackedType::kBf16 ? 2 : 1;
  for (int64_t i = 0; i < n; ++i) {
    const float* row = rows.data() + i * n_inputs_;
    std::byte* base =
        storage_.get() + static_cast<size_t>((first + i) / kPanelOutputs) * panel_bytes();
    auto* words = reinterpret_cast<uint32_t*>(base) + (first + i) % kPanelOutputs;
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

void PackedLinear::unpack_row(int64_t output, std::span<float> row) const {
  TQ_CHECK(output >= 0 && output < n_outputs_, "unpack_row: output", output, n_outputs_);
  TQ_CHECK(static_cast<int64_t>(row.size()) == n_inputs_, "unpack_row: size", row.size(),
           n_inputs_);
  const auto* words =
      reinterpret_cast<const uint32_t*>(panel(output / kPanelOutputs)) + output % kPanelOutputs;
  for (size_t k = 0; k < row.size(); ++k) {
    if (type_ == PackedType::kF32) {
      std::memcpy(&row[k], words + k * kPanelOutputs, sizeof(float));
    } else {
      const uint32_t word = words[k / 2 * kPanelOutputs];
      row[k] = quant::bf16_to_float(static_cast<uint16_t>(k % 2 == 0 ? word : word >> 16));
    }
  }
}

}  // namespace tq::kernels
