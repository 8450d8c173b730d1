#include "kernels/cuda/device.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/cu_try.cuh"

namespace tq::kernels::cuda {
namespace {

constexpr int kCapabilityMin = 80;  // mma.m16n8k16

void release_device(std::byte* region) { cudaFree(region); }
void release_pinned(std::byte* region) { cudaFreeHost(region); }

}  // namespace

std::string missing_device() {
  int n_devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&n_devices);
  if (status != cudaSuccess || n_devices == 0) {
    cudaGetLastError();  // forgotten: the process goes on without a device
    return std::string("no CUDA device (") +
           (status == cudaSuccess ? "none is visible" : cudaGetErrorString(status)) + ")";
  }
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (10 * major + minor < kCapabilityMin) {
    return "the CUDA device has compute capability " + std::to_string(major) + "." +
           std::to_string(minor) + "; 8.0 is needed";
  }
  return {};
}

Result<KvArena::Region> allocate_device(std::string_view what, uint64_t n_bytes) {
  void* region = nullptr;
  const uint64_t n = std::max<uint64_t>(n_bytes, 1);
  TQ_TRY(cu_try(cudaMalloc(&region, n),
                std::to_string(n) + " bytes of device memory for " + std::string(what)));
  KvArena::Region owned(static_cast<std::byte*>(region), release_device);
  TQ_TRY(cu_try(cudaMemset(region, 0, n), "clearing memory"));
  // The caller's stream may be one that does not wait for the default one.
  TQ_TRY(cu_try(cudaStreamSynchronize(nullptr), "clearing memory"));
  return Result<KvArena::Region>(std::move(owned));
}

Result<KvArena::Region> allocate_pinned(uint64_t n_bytes) {
  void* region = nullptr;
  const uint64_t n = std::max<uint64_t>(n_bytes, 1);
  TQ_TRY(cu_try(cudaMallocHost(&region, n), std::to_string(n) + " bytes of pinned memory"));
  return KvArena::Region(static_cast<std::byte*>(region), release_pinned);
}

Result<void> copy(void* to, const void* from, size_t n_bytes, Stream stream) {
  if (n_bytes == 0) return {};
  return cu_try(cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDefault, stream), "copy");
}

Result<void> wait(Stream stream) { return cu_try(cudaStreamSynchronize(stream), "waiting"); }

Result<Mark> Mark::create() {
  cudaEvent_t event = nullptr;
  TQ_TRY(cu_try(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event"));
  return Mark(event);
}

Mark::Mark(Mark&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}

Mark& Mark::operator=(Mark&& other) noexcept {
  std::swap(event_, other.event_);
  return *this;
}

Mark::~Mark() {
  if (event_ != nullptr) cudaEventDestroy(static_cast<cudaEvent_t>(event_));
}

Result<void> Mark::set(Stream stream) {
  return cu_try(cudaEventRecord(static_cast<cudaEvent_t>(event_), stream), "event");
}

Result<void> Mark::wait() {
  return cu_try(cudaEventSynchronize(static_cast<cudaEvent_t>(event_)), "waiting");
}

}  // namespace tq::kernels::cuda
