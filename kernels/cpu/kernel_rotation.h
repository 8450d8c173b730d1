#pragma once
// KernelRotation: a quant::Rotation, which outlives it, as the ISA kernels read it, with the
// transposed matrix that they need of QR. Immutable; any thread.

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/cpu/isa_kernels.h"
#include "quant/rotation.h"

namespace tq::kernels::cpu {

struct KernelRotation {
  // null: none, and a view of nothing.
  explicit KernelRotation(const quant::Rotation* rotation) {
    if (rotation == nullptr) return;
    view.dim = rotation->dim();
    if (rotation->kind() == RotationKind::kHadamard) {
      for (int round = 0; round < quant::Rotation::kHadamardRounds; ++round) {
        view.signs[round] = rotation->signs(round).data();
      }
      return;
    }
    const auto n = static_cast<size_t>(view.dim);
    const std::span<const float> matrix = rotation->matrix();
    transposed.resize(n * n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) transposed[j * n + i] = matrix[i * n + j];
    }
    view.forward = transposed.data();
    view.inverse = matrix.data();
  }
  std::vector<float> transposed;
  RotationView view;  // into the rotation and `transposed`
};

}  // namespace tq::kernels::cpu
