#pragma once
// DeviceLayers: what a decoder layer computes on a device besides attention (device_attention.h)
// and matrix products (a library's): the look-up of embeddings, RMSNorm with the residual sum
// before it, SwiGLU, and the way from a projection to heads. Rows lie in the device's memory; the
// residual stream is fp32, what matrix products read and write has an ElementType. All arithmetic
// is fp32, rounded once where it is stored. A row's result depends on that row alone. Calls are put
// on the stream and return before they are done. Engine thread only.

#include <cstdint>
#include <memory>
#include <string_view>

#include "config/ids.h"
#include "config/result.h"

namespace tq::kernels {

enum class ElementType : uint8_t { kF32, kF16, kBf16 };

constexpr int element_bytes(ElementType type) noexcept { return type == ElementType::kF32 ? 4 : 2; }

using DeviceStream = void*;  // a cudaStream_t; null: the default stream

// y[i] = table[tokens[i]].
struct EmbedCall {
  ElementType type = ElementType::kF32;  // of table
  const void* table = nullptr;           // [n_table_rows, size]
  const TokenId* tokens = nullptr;       // [n_rows], each within the table
  float* y = nullptr;                    // [n_rows, size]
  int32_t n_rows = 0;
  int32_t size = 0;
};

// As kernels/layer_kernels.h: x += delta, then y = x / rms(x) * weight.
struct DeviceNormCall {
  ElementType type = ElementType::kF32;  // of delta and y
  float* x = nullptr;                    // [*, size]
  const void* delta = nullptr;           // the same shape, or null: nothing is added
  const float* weight = nullptr;         // [size]
  void* y = nullptr;                     // [n_rows, size]; all rows normed: may be x or delta
  // Null: all rows are normed. Else y[i] is of x[rows[i]] + delta[rows[i]], and x is only read.
  const int32_t* rows = nullptr;
  int32_t n_rows = 0;
  int32_t size = 0;
  float eps = 0.0f;
};

// As kernels/layer_kernels.h: y = silu(gate) * up.
struct DeviceSwigluCall {
  ElementType type = ElementType::kF32;  // of both
  const void* gate_up = nullptr;         // [n_rows, 2 * size]: gate, then up
  void* y = nullptr;                     // [n_rows, size]
  int32_t n_rows = 0;
  int32_t size = 0;
};

// A projection's rows as q, k and v, ready for PagedAttention: the bias is added, heads of q and k
// are normed, and then turned by their position (RoFormer, arXiv 2104.09864).
struct HeadsCall {
  ElementType type = ElementType::kF32;  // of qkv
  const void* qkv = nullptr;             // [n_rows, (n_heads + 2 n_kv_heads) * head_dim]
  const float* bias = nullptr;           // of a row, or null
  const float* q_norm = nullptr;         // [head_dim], or null as k_norm: no norms
  const float* k_norm = nullptr;
  float eps = 0.0f;
  const int32_t* positions = nullptr;          // [n_rows]
  const float* inverse_frequencies = nullptr;  // [n_pairs], n_pairs <= head_dim / 2
  int32_t n_pairs = 0;                         // dimensions from 2 n_pairs on are not turned
  float magnitude = 1.0f;                      // of cosines and sines
  bool interleaved = false;                    // pairs are (2i, 2i + 1), else (i, i + n_pairs)
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t n_rows = 0;
  float* q = nullptr;  // [n_rows, n_heads, head_dim]
  float* k = nullptr;  // [n_rows, n_kv_heads, head_dim]
  float* v = nullptr;
};

inline constexpr int32_t kDeviceRowsMax = 65535;      // of a call
inline constexpr int32_t kDeviceSizeStep = 8;         // sizes are multiples of it
inline constexpr int32_t kDeviceNormSizeMax = 16384;  // of rows that are normed

// Errors name the field: one that is out of range, null or badly aligned (rows: to 16 bytes). On
// CUDA head_dim is 64, 80, 96, 128 or 256.
class DeviceLayers {
 public:
  virtual ~DeviceLayers() = default;

  virtual Result<void> embed(const EmbedCall& call) = 0;
  virtual Result<void> norm(const DeviceNormCall& call) = 0;
  virtual Result<void> swiglu(const DeviceSwigluCall& call) = 0;
  virtual Result<void> heads(const HeadsCall& call) = 0;
};

// For the device of make_device_backend(), on this stream.
Result<std::unique_ptr<DeviceLayers>> make_device_layers(std::string_view name,
                                                         DeviceStream stream);

}  // namespace tq::kernels
