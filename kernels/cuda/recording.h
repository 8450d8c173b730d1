#pragma once
// Recording: what calls put on a stream, kept as a CUDA graph and played again. For benchmarks: the
// device's time without the host's. Engine thread only.

#include <functional>
#include <memory>
#include <string>

#include "config/result.h"
#include "kernels/cuda/launch.h"

namespace tq::kernels::cuda {

using OwnStream = std::unique_ptr<CUstream_st, void (*)(Stream)>;
Result<OwnStream> make_stream();

// Name, multiprocessors, bytes of L2 and the driver's version.
struct DeviceFacts {
  std::string name;
  int n_processors = 0;
  int l2_bytes = 0;
  int driver = 0;
};
Result<DeviceFacts> device_facts();

class Recording {
 public:
  // `put` must not wait for the stream, which is not a default one.
  static Result<Recording> make(Stream stream, const std::function<Result<void>()>& put);

  // Seconds of n plays, one right after the other; waits for their end.
  Result<double> play(int n);

 private:
  using Owned = std::unique_ptr<void, void (*)(void*)>;
  Recording(Stream stream, Owned graph) : stream_(stream), graph_(std::move(graph)) {}
  Stream stream_;
  Owned graph_;  // cudaGraphExec_t
};

}  // namespace tq::kernels::cuda
