#include "bench/cuda/sdpa_case.h"

#include <ATen/Context.h>
#include <ATen/SDPBackend.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/api/include/torch/version.h>

#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "models/device/torch_device.h"

namespace tq::bench {
namespace {

using at::SDPBackend;

std::string_view name_of(SDPBackend kernel) {
  switch (kernel) {
    case SDPBackend::math: return "math";
    case SDPBackend::flash_attention: return "flash";
    case SDPBackend::efficient_attention: return "efficient";
    case SDPBackend::cudnn_attention: return "cudnn";
    case SDPBackend::overrideable: return "overrideable";
    case SDPBackend::error: break;
  }
  return "none";
}

// While it lives, LibTorch chooses among this kernel and the plain products that it falls back on.
class Prefer {
 public:
  explicit Prefer(SDPBackend kernel) {
    set(kernel == SDPBackend::flash_attention, kernel == SDPBackend::efficient_attention,
        kernel == SDPBackend::cudnn_attention);
  }
  ~Prefer() { set(true, true, true); }  // as LibTorch starts
  Prefer(const Prefer&) = delete;
  Prefer& operator=(const Prefer&) = delete;

 private:
  static void set(bool flash, bool efficient, bool cudnn) {
    at::Context& context = at::globalContext();
    context.setSDPUseFlash(flash);
    context.setSDPUseMemEfficient(efficient);
    context.setSDPUseCuDNN(cudnn);
  }
};

// LibTorch's exceptions end here.
Result<void> guarded(const std::function<void()>& call) {
  try {
    const c10::InferenceMode no_gradients;
    call();
    return {};
  } catch (const std::exception& failure) {
    return Error{Code::kInternal, failure.what(), "LibTorch's attention"};
  }
}

// The rows of all layers, each [n_seqs, n_heads, tokens, head_dim]; gives LibTorch's memory back
// to the device, since stores of the next shape are not made by LibTorch.
class Rows {
 public:
  Rows(const SdpaShape& shape, c10::Device device) : device_(device), has_gqa_(shape.group > 1) {
    const auto options = at::TensorOptions().dtype(at::kBFloat16).device(device);
    const auto make = [&](int n_heads, int n_tokens) {
      return at::randn({shape.n_seqs, n_heads, n_tokens, shape.head_dim}, options);
    };
    q_ = make(shape.n_kv_heads * shape.group, 1);
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      k_.push_back(make(shape.n_kv_heads, shape.context));
      v_.push_back(make(shape.n_kv_heads, shape.context));
    }
  }
  ~Rows() {
    q_.reset();
    k_.clear();
    v_.clear();
    if (device_.is_cpu()) return;
    // Where this fails, whatever used the device has failed before and said so.
    static_cast<void>(guarded([&] { c10::getDeviceAllocator(device_.type())->emptyCache(); }));
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  SDPBackend choice() const {
    return static_cast<SDPBackend>(at::_fused_sdp_choice(
        q_, k_[0], v_[0], std::nullopt, 0.0, /*is_causal=*/false, std::nullopt, has_gqa_));
  }
  void attend() const {
    for (size_t layer = 0; layer < k_.size(); ++layer) {
      at::scaled_dot_product_attention(q_, k_[layer], v_[layer], std::nullopt, 0.0,
                                       /*is_causal=*/false, std::nullopt, has_gqa_);
    }
  }

 private:
  c10::Device device_;
  bool has_gqa_;
  at::Tensor q_;
  std::vector<at::Tensor> k_, v_;
};

class KernelCase final : public SdpaCase {
 public:
  KernelCase(std::shared_ptr<const Rows> rows, SDPBackend kernel, const models::TorchDevice& device)
      : rows_(std::move(rows)), kernel_(kernel), device_(device) {}

  std::string_view kernel() const override { return name_of(kernel_); }
  kernels::DeviceStream stream() const override { return device_.stream(); }
  Result<void> attend() override {
    return guarded([&] {
      device_.make_current();
      const Prefer prefer(kernel_);
      rows_->attend();
    });
  }

 private:
  std::shared_ptr<const Rows> rows_;
  SDPBackend kernel_;
  const models::TorchDevice& device_;
};

}  // namespace

const char* libtorch_version() noexcept { return TORCH_VERSION; }

Result<SdpaCases> make_sdpa_cases(const SdpaShape& shape, const models::TorchDevice& device) {
  SdpaCases cases;
  TQ_TRY(guarded([&] {
    device.make_current();
    const auto rows = std::make_shared<const Rows>(shape, device.device());
    for (const auto kernel : {SDPBackend::flash_attention, SDPBackend::cudnn_attention}) {
      const Prefer prefer(kernel);
      if (rows->choice() != kernel) continue;
      cases.push_back(std::make_unique<KernelCase>(rows, kernel, device));
    }
    if (cases.empty()) {
      cases.push_back(std::make_unique<KernelCase>(rows, rows->choice(), device));
    }
  }));
  return Result<SdpaCases>(std::move(cases));
}

}  // namespace tq::bench
