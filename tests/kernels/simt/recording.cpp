// kernels/cuda/recording.h without a device: what was put is kept, and put again at each play, by
// the host's clock.
#include "kernels/cuda/recording.h"

#include <chrono>
#include <utility>

namespace tq::kernels::cuda {
namespace {

using Put = std::function<Result<void>()>;

}  // namespace

Result<OwnStream> make_stream() {
  return OwnStream(nullptr, [](Stream) {});
}

Result<DeviceFacts> device_facts() {
  return DeviceFacts{.name = "emulated", .n_processors = 1, .l2_bytes = 4096};
}

Result<Recording> Recording::make(Stream stream, const Put& put) {
  // Owned's deleter knows the type again.
  return Recording(stream, Owned(new Put(put), [](void* kept) { delete static_cast<Put*>(kept); }));
}

Result<double> Recording::play(int n) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < n; ++i) TQ_TRY((*static_cast<const Put*>(graph_.get()))());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace tq::kernels::cuda
