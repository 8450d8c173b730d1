#include "kernels/cuda/cuda_layers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>

#include "config/result.h"
#include "kernels/cuda/call_check.h"
#include "kernels/cuda/layer_launch.h"

namespace tq::kernels::cuda {
namespace {

constexpr int32_t kHeadDims[] = {64, 80, 96, 128, 256};

Result<void> check_size(int32_t size, int32_t most) {
  TQ_TRY(check_in("size", size, kSizeStep, most));
  if (size % kSizeStep == 0) return {};
  return bad("size", std::to_string(size) + " is no multiple of " + std::to_string(kSizeStep));
}

Result<void> check_rows(ElementType type, int32_t n_rows) {
  TQ_TRY(check_in("type", static_cast<int64_t>(type), 0, static_cast<int64_t>(ElementType::kBf16)));
  return check_in("n_rows", n_rows, 0, kLayerRowsMax);
}

Result<void> check_eps(float eps) {
  if (eps >= 0.0f && std::isfinite(eps)) return {};
  return bad("eps", "is not a number of 0 or more");
}

Result<void> check(const EmbedCall& call) {
  TQ_TRY(check_rows(call.type, call.n_rows));
  TQ_TRY(check_size(call.size, kLayerSizeMax));
  if (call.n_rows == 0) return {};
  return check_pointers({{"table", call.table, kVectorBytes},
                         {"tokens", call.tokens, sizeof(TokenId)},
                         {"y", call.y, kVectorBytes}});
}

Result<void> check(const DeviceNormCall& call) {
  TQ_TRY(check_rows(call.type, call.n_rows));
  TQ_TRY(check_size(call.size, kNormSizeMax));
  TQ_TRY(check_eps(call.eps));
  if (call.n_rows == 0) return {};
  TQ_TRY(check_pointers({{"x", call.x, kVectorBytes},
                         {"weight", call.weight, kVectorBytes},
                         {"y", call.y, kVectorBytes}}));
  return check_aligned({{"delta", call.delta, kVectorBytes}, {"rows", call.rows, sizeof(int32_t)}});
}

Result<void> check(const DeviceSwigluCall& call) {
  TQ_TRY(check_rows(call.type, call.n_rows));
  TQ_TRY(check_size(call.size, kLayerSizeMax));
  if (call.n_rows == 0) return {};
  return check_pointers({{"gate_up", call.gate_up, kVectorBytes}, {"y", call.y, kVectorBytes}});
}

Result<void> check_head_sizes(const HeadsCall& call) {
  TQ_TRY(check_in("n_heads", call.n_heads, 1, kLayerHeadsMax));
  TQ_TRY(check_in("n_kv_heads", call.n_kv_heads, 1, kLayerHeadsMax));
  if (std::ranges::find(kHeadDims, call.head_dim) == std::end(kHeadDims)) {
    return bad("head_dim", std::to_string(call.head_dim) + " is not 64, 80, 96, 128 or 256");
  }
  TQ_TRY(check_in("n_pairs", call.n_pairs, 0, call.head_dim / 2));
  if (!std::isfinite(call.magnitude)) return bad("magnitude", "is not finite");
  return check_eps(call.eps);
}

Result<void> check(const HeadsCall& call) {
  TQ_TRY(check_rows(call.type, call.n_rows));
  TQ_TRY(check_head_sizes(call));
  if (call.n_rows == 0) return {};
  TQ_TRY(check_pointers({{"qkv", call.qkv, static_cast<uintptr_t>(element_bytes(call.type))},
                         {"q", call.q, sizeof(float)},
                         {"k", call.k, sizeof(float)},
                         {"v", call.v, sizeof(float)}}));
  TQ_TRY(check_aligned({{"bias", call.bias, sizeof(float)},
                        {"q_norm", call.q_norm, sizeof(float)},
                        {"k_norm", call.k_norm, sizeof(float)}}));
  if ((call.q_norm == nullptr) != (call.k_norm == nullptr)) {
    return bad(call.q_norm == nullptr ? "q_norm" : "k_norm", "is null, but the other norm is not");
  }
  if (call.n_pairs == 0) return {};
  return check_pointers({{"positions", call.positions, sizeof(int32_t)},
                         {"inverse_frequencies", call.inverse_frequencies, sizeof(float)}});
}

class CudaLayers final : public DeviceLayers {
 public:
  explicit CudaLayers(Stream stream) : stream_(stream) {}

  Result<void> embed(const EmbedCall& call) override { return put(call, launch_embed); }
  Result<void> norm(const DeviceNormCall& call) override { return put(call, launch_norm); }
  Result<void> swiglu(const DeviceSwigluCall& call) override { return put(call, launch_swiglu); }
  Result<void> heads(const HeadsCall& call) override { return put(call, launch_heads); }

 private:
  template <class Call>
  Result<void> put(const Call& call, Result<void> (*launch)(const Call&, Stream)) {
    TQ_TRY(check(call));
    return call.n_rows == 0 ? Result<void>() : launch(call, stream_);
  }

  Stream stream_;
};

}  // namespace

std::unique_ptr<DeviceLayers> make_cuda_layers(Stream stream) {
  return std::make_unique<CudaLayers>(stream);
}

}  // namespace tq::kernels::cuda
