// LibTorch's CUDA: the first device, and a stream of its pool. Not the default stream, which cannot
// be recorded.
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "models/device/torch_device.h"

namespace tq::models {
namespace {

Error unusable(const std::string& reason) {
  return Error{Code::kUnsupported, "CUDA cannot be used: " + reason, "--device"};
}

Error unrecorded(const std::string& reason) {
  return Error{Code::kInternal, "CUDA graph: " + reason, ""};
}

class CudaGraph final : public Recorded {
 public:
  // `pool` is what LibTorch takes memory from meanwhile.
  Result<void> record(const std::function<Result<void>()>& put, at::cuda::MempoolId_t pool) {
    try {
      graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
      const Result<void> done = guarded(put);  // the stream's recording ends whatever happens
      graph_.capture_end();
      return done;
    } catch (const std::exception& failure) {
      return unrecorded(failure.what());
    }
  }

  Result<void> play() override {
    try {
      graph_.replay();
      return {};
    } catch (const std::exception& failure) {
      return unrecorded(failure.what());
    }
  }

 private:
  static Result<void> guarded(const std::function<Result<void>()>& put) {
    try {
      return put();
    } catch (const std::exception& failure) {
      return unrecorded(failure.what());
    }
  }

  at::cuda::CUDAGraph graph_;
};

class CudaDevice final : public TorchDevice {
 public:
  explicit CudaDevice(c10::cuda::CUDAStream stream)
      : stream_(stream), pool_(at::cuda::graph_pool_handle()) {}

  c10::Device device() const noexcept override { return stream_.device(); }
  kernels::DeviceStream stream() const noexcept override { return stream_.stream(); }
  void make_current() const override {
    c10::cuda::set_device(stream_.device_index());
    c10::cuda::setCurrentCUDAStream(stream_);
  }
  Result<std::unique_ptr<Recorded>> record(
      const std::function<Result<void>()>& put) const override {
    auto graph = std::make_unique<CudaGraph>();
    TQ_TRY(graph->record(put, pool_));
    return std::unique_ptr<Recorded>(std::move(graph));
  }

 private:
  c10::cuda::CUDAStream stream_;
  // One for all: no recording's memory is wanted once it has played, and they play in turn.
  at::cuda::MempoolId_t pool_;
};

}  // namespace

Result<DeviceFacts> cuda_device_facts() {
  try {
    if (c10::cuda::device_count() == 0) return unusable("LibTorch finds none");
    const auto [free, total] = c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(0);
    return DeviceFacts{.is_cuda = true,
                       .name = at::cuda::getDeviceProperties(0)->name,
                       .total_bytes = total,
                       .free_bytes = free};
  } catch (const std::exception& failure) {  // LibTorch: no driver, or one that is too old
    return unusable(failure.what());
  }
}

Result<std::unique_ptr<TorchDevice>> make_cuda_device() {
  TQ_TRY(cuda_device_facts());
  try {
    c10::cuda::set_device(0);
    return std::unique_ptr<TorchDevice>(
        std::make_unique<CudaDevice>(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, 0)));
  } catch (const std::exception& failure) {
    return unusable(failure.what());
  }
}

}  // namespace tq::models
