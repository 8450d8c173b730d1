#include "bench/cuda/device_copy.h"

#include <utility>

#include "kernels/cuda/device.h"

namespace tq::bench {

using kernels::KvArena;
using kernels::cuda::OwnStream;
using kernels::cuda::Recording;

DeviceCopy::DeviceCopy(uint64_t n_bytes,
                       OwnStream stream,
                       KvArena::Region from,
                       KvArena::Region to,
                       Recording recording)
    : n_bytes_(n_bytes),
      stream_(std::move(stream)),
      from_(std::move(from)),
      to_(std::move(to)),
      recording_(std::move(recording)) {}

Result<DeviceCopy> DeviceCopy::create(uint64_t n_bytes) {
  TQ_ASSIGN(OwnStream stream, kernels::cuda::make_stream());
  TQ_ASSIGN(KvArena::Region from, kernels::cuda::allocate_device("a copy", n_bytes));
  TQ_ASSIGN(KvArena::Region to, kernels::cuda::allocate_device("a copy", n_bytes));
  const auto put = [n_bytes, to = to.get(), from = from.get(), on = stream.get()] {
    return kernels::cuda::copy(to, from, n_bytes, on);
  };
  TQ_ASSIGN(Recording recording, Recording::make(stream.get(), put));
  return DeviceCopy(n_bytes, std::move(stream), std::move(from), std::move(to),
                    std::move(recording));
}

Result<double> DeviceCopy::seconds(int n) {
  TQ_TRY(recording_.play(1));
  TQ_ASSIGN(const double all, recording_.play(n));
  return all / n;
}

}  // namespace tq::bench
