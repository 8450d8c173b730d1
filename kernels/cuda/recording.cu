#include "kernels/cuda/recording.h"

#include <utility>

#include "kernels/cuda/cu_try.cuh"

namespace tq::kernels::cuda {
namespace {

void destroy_stream(Stream stream) { cudaStreamDestroy(stream); }
void destroy_graph(void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

class Event {
 public:
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  Result<void> set(Stream stream) {
    TQ_TRY(cu_try(cudaEventCreate(&event_), "event"));
    return cu_try(cudaEventRecord(event_, stream), "event");
  }
  Result<double> seconds_since(const Event& start) const {
    float ms = 0.0f;
    TQ_TRY(cu_try(cudaEventSynchronize(event_), "waiting"));
    TQ_TRY(cu_try(cudaEventElapsedTime(&ms, start.event_, event_), "time"));
    return ms * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

Result<OwnStream> make_stream() {
  cudaStream_t stream = nullptr;
  TQ_TRY(cu_try(cudaStreamCreate(&stream), "stream"));
  return OwnStream(stream, destroy_stream);
}

Result<DeviceFacts> device_facts() {
  int device = 0;
  cudaDeviceProp properties{};
  DeviceFacts facts;
  TQ_TRY(cu_try(cudaGetDevice(&device), "current device"));
  TQ_TRY(cu_try(cudaGetDeviceProperties(&properties, device), "properties"));
  TQ_TRY(cu_try(cudaDriverGetVersion(&facts.driver), "version"));
  facts.name = properties.name;
  facts.n_processors = properties.multiProcessorCount;
  facts.l2_bytes = properties.l2CacheSize;
  return facts;
}

Result<Recording> Recording::make(Stream stream, const std::function<Result<void>()>& put) {
  TQ_TRY(cu_try(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture"));
  Result<void> done = put();
  cudaGraph_t graph = nullptr;
  const Result<void> ended = cu_try(cudaStreamEndCapture(stream, &graph), "capture");
  TQ_TRY(std::move(done));
  TQ_TRY(ended);
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph);
  cudaGraphDestroy(graph);
  TQ_TRY(cu_try(status, "graph"));
  return Recording(stream, Owned(executable, destroy_graph));
}

Result<double> Recording::play(int n) {
  Event start, end;
  TQ_TRY(start.set(stream_));
  for (int i = 0; i < n; ++i) {
    TQ_TRY(cu_try(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph_.get()), stream_), "graph"));
  }
  TQ_TRY(end.set(stream_));
  return end.seconds_since(start);
}

}  // namespace tq::kernels::cuda
